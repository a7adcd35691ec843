/**
 * `recado sub`: mosquitto_sub on our own client. Same arguments, same bytes on stdout, same exit codes: 0, 1 for
 * arguments and addresses, the CONNACK's code for a refusal, 27 for `-W`.
 *
 * Called by `main.ts`. Invariants: a message of QoS 1 or 2 is acknowledged when it has been handed to the operating
 * system, so that none is lost with a full disk; when `runSub` resolves, everything printed has been handed over, and
 * the connection is closed.
 */
import {
  type Client,
  type CloseOptions,
  type Message,
  type MqttError,
  SubscribeError,
  type Subscription,
} from '@recado/client'
import { topicMatches } from '@recado/protocol'
import { subCommand } from './client-commands.ts'
import { DebugLog } from './debug-log.ts'
import { type CliIo, Output } from './io.ts'
import type { Manner } from './manner.ts'
import { asArguments, connectFailure, ExitCode } from './mosquitto-messages.ts'
import { runMosquittoTool } from './mosquitto-tool.ts'
import { MessagePrinter, printerOptions } from './output-format.ts'
import { safeLine } from './terminal.ts'
import { ArgumentError, makeClient, prepare } from './tool-client.ts'
import type { ToolOptions } from './tool-options.ts'
import { WatchLines } from './watch-lines.ts'

/** @param invokedAs the name of Mosquitto's tool by which the program was started */
export async function runSub(argv: readonly string[], io: CliIo, invokedAs?: string): Promise<number> {
  return await runMosquittoTool('sub', subCommand, { argv, io, invokedAs }, (options, manner) =>
    new Sub(options, io, manner).run(),
  )
}

class Sub {
  readonly #options: ToolOptions
  readonly #manner: Manner
  readonly #io: CliIo
  readonly #output: Output
  readonly #printer: MessagePrinter
  readonly #watch: WatchLines | null
  #client: Client | null = null
  /** Whether messages are printed; false once the end has been decided. */
  #processing = true
  #printed = 0
  /** Number of messages of the present second, for `--message-rate`. */
  #inSecond = 0
  #exitCode: number = ExitCode.Success
  #ending: Promise<void> | null = null
  /** Whether a server has accepted a connection. */
  #hasReached = false

  constructor(options: ToolOptions, io: CliIo, manner: Manner) {
    this.#options = options
    this.#manner = manner
    this.#io = io
    this.#output = new Output(io.stdout, () => this.#end(ExitCode.Success))
    this.#watch = options.watch ? new WatchLines() : null
    this.#printer = new MessagePrinter(printerOptions(options, io, manner), (text) => this.#complain(text))
  }

  async run(): Promise<number> {
    const { signals } = this.#io
    const onSignal = (): void => this.#end(this.#client?.connected ? ExitCode.Success : 255, 0x04)
    signals.on('SIGINT', onSignal)
    signals.on('SIGTERM', onSignal)
    const { timeoutSeconds, messageRate } = this.#options
    const timer = timeoutSeconds === 0 ? null : setTimeout(() => this.#timeOut(), timeoutSeconds * 1000)
    const seconds = messageRate ? setInterval(() => this.#printRate(), 1_000) : null
    if (this.#watch !== null) void this.#output.write(this.#watch.begin(this.#options.host ?? 'localhost'))
    try {
      await this.#subscribe()
    } finally {
      signals.off('SIGINT', onSignal)
      signals.off('SIGTERM', onSignal)
      if (timer !== null) clearTimeout(timer)
      if (seconds !== null) clearInterval(seconds)
    }
    try {
      await this.#output.end()
    } catch (error) {
      this.#complain(`Error: standard output cannot be written: ${(error as Error).message}\n`)
      return ExitCode.Failure
    }
    return this.#exitCode
  }

  async #subscribe(): Promise<void> {
    const options = this.#options
    try {
      await prepare(options, this.#io)
      await this.#printer.decodeFrom(options.decode)
      const log = new DebugLog(options.idPrefix ?? options.id ?? '', (line) => this.#output.write(Buffer.from(line)))
      this.#client = makeClient(options, this.#manner, {
        ...(options.debug && !options.quiet ? { trace: log.trace } : {}),
        // Like `mosquitto_loop_forever`: every second, for ever, except when the server refuses; the first time only
        // when a server has closed the connection.
        retryFirst: true,
        reconnect: { minMs: 1_000, maxMs: 1_000, retry: (error) => this.#triesAgain(error) },
      })
    } catch (error) {
      this.#complain(
        error instanceof ArgumentError ? error.message : `Error: ${asArguments((error as Error).message)}\n`,
      )
      this.#exitCode = ExitCode.Failure
      return
    }
    const client = this.#client
    client.onMessage = (message) => void this.#handleMessage(message)
    // Before connecting, so that SUBSCRIBE follows CONNACK and no message of a kept session comes first. There may be
    // no subscription at all, only the end of some.
    const subscribed = options.topics.length === 0 ? [] : [this.#makeSubscription(client).ready]
    const answered = Promise.allSettled(subscribed).then(async (results) => {
      // Behind SUBSCRIBE, so that retained messages come, also for a filter that stands in both.
      await Promise.allSettled(
        options.unsubscribe.map((filter) => {
          return client.unsubscribe(filter, { literal: true, properties: options.properties.unsubscribe })
        }),
      )
      return results
    })
    try {
      await client.connect()
      this.#hasReached = true
    } catch (error) {
      if (this.#ending === null) {
        const { text, exitCode } = connectFailure(error, false)
        this.#complain(text)
        this.#exitCode = exitCode
      }
      return
    }
    void answered.then((results) => this.#handleAnswers(results))
    const closedBy = await client.closed
    await this.#ending
    if (closedBy !== null && this.#ending === null) {
      const { text, exitCode } = connectFailure(closedBy, false)
      this.#complain(text)
      this.#exitCode = exitCode
    }
  }

  #triesAgain({ code }: MqttError): boolean {
    if (code === 'ERR_MQTT_CONNECTION_REFUSED') return false
    this.#hasReached ||= code === 'ERR_MQTT_CONNECTION_LOST'
    return this.#hasReached
  }

  #makeSubscription(client: Client): Subscription {
    const { topics, qos, retainAsPublished, retainHandling, protocolVersion, properties } = this.#options
    const onlyIn5 = protocolVersion === 5 ? { retainAsPublished, retainHandling } : {}
    return client.subscribe(
      topics,
      {
        qos,
        properties: properties.subscribe,
        identifier: false,
        partial: true,
        literal: true,
        ack: 'manual',
        ...onlyIn5,
      },
      (message) => this.#handleMessage(message),
    )
  }

  #handleAnswers(results: PromiseSettledResult<unknown>[]): void {
    const denied = results.some((result) => result.status === 'rejected' && result.reason instanceof SubscribeError)
    if (denied) {
      this.#end(ExitCode.Success)
      this.#complain('All subscription requests were denied.\n')
    } else if (this.#options.exitAfterSubscribe) this.#end(ExitCode.Success)
  }

  #handleMessage(message: Message): void | Promise<void> {
    if (!this.#processing) return
    const options = this.#options
    if (options.retainedOnly && !message.retain) {
      this.#end(ExitCode.Success)
      return
    }
    const filtered = options.filterOut.some((filter) => topicMatches(filter, message.topic))
    if (options.removeRetained && message.retain && !filtered) this.#removeRetained(message.topic)
    if (filtered || (message.retain && options.noRetained)) {
      message.ack()
      return
    }
    let slow: Promise<void> | null = null
    this.#inSecond++
    if (options.messageRate) message.ack()
    else if (options.perMille === 1_000 || Math.random() * 1_000 < options.perMille) {
      const printed = this.#printer.print(message)
      const bytes = this.#watch === null ? printed : this.#watch.at(message.topic, printed)
      if (message.qos === 0) slow = this.#output.write(bytes)
      // A message that was not written is not acknowledged either: it comes again.
      else
        void this.#output.writeThrough(bytes).then(
          () => message.ack(),
          () => undefined,
        )
    } else message.ack()
    this.#printed++
    if (this.#printed === options.count) this.#end(ExitCode.Success)
    else if (slow !== null) return slow
  }

  #printRate(): void {
    void this.#output.write(Buffer.from(`${this.#inSecond}\n`))
    this.#inSecond = 0
  }

  /** Removes the retained message by an empty one. `close` waits for the answer. */
  #removeRetained(topic: string): void {
    this.#client?.publish(topic, '', { qos: 1, retain: true }).catch((error: Error) => {
      this.#complain(`Error: ${safeLine(error.message)}\n`)
    })
  }

  #timeOut(): void {
    this.#end(ExitCode.TimedOut, 0x04)
    this.#complain('Timed out\n')
  }

  #end(exitCode: number, reasonCode = 0): void {
    this.#processing = false
    if (this.#ending !== null) return
    this.#exitCode = exitCode
    const properties = this.#options.properties.disconnect
    const client = this.#client
    // With a Reason Code that asks for the Will, as mosquitto_sub does, only where there is one.
    this.#ending = client === null ? Promise.resolve() : this.#close(client, { reasonCode, properties })
  }

  /** Closes the connection after printed messages have been acknowledged. */
  async #close(client: Client, options: CloseOptions): Promise<void> {
    await this.#output.settled()
    await new Promise((resolve) => setImmediate(resolve))
    await client.close(options)
  }

  #complain(text: string): void {
    if (!this.#options.quiet) this.#io.stderr.write(text)
  }
}
