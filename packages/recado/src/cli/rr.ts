/**
 * `recado rr`: mosquitto_rr on our own client: publishes a request, prints the first message that comes on the response
 * topic, and ends. Same arguments and exit codes: 0, 1 for arguments and addresses, the CONNACK's code for a refusal, 7
 * for a lost connection, 27 for `-W`. Like mosquitto_rr it takes any message for the response, whatever its Correlation
 * Data, and also speaks 3.1.1; `client.request` does neither. Two differences, on purpose: a refused subscription is
 * exit code 1 where mosquitto_rr ends with 0, and so is a refused request at once, where mosquitto_rr waits for ever.
 *
 * Called by `main.ts`. Invariant: exit code 0 only when a response has been printed.
 */
import { type Client, type Message, MqttError, PublishError, SubscribeError } from '@recado/client'
import { rrCommand } from './client-commands.ts'
import { DebugLog } from './debug-log.ts'
import { type CliIo, Output } from './io.ts'
import type { Manner } from './manner.ts'
import { readMessage } from './message-input.ts'
import { connectFailure, ExitCode, type Failure, reasonText } from './mosquitto-messages.ts'
import { publishProperties } from './mosquitto-properties.ts'
import { runMosquittoTool } from './mosquitto-tool.ts'
import { MessagePrinter, printerOptions } from './output-format.ts'
import { safeLine } from './terminal.ts'
import { ArgumentError, makeClient, prepare } from './tool-client.ts'
import type { ToolOptions } from './tool-options.ts'

/** @param invokedAs the name of Mosquitto's tool by which the program was started */
export async function runRr(argv: readonly string[], io: CliIo, invokedAs?: string): Promise<number> {
  return await runMosquittoTool('rr', rrCommand, { argv, io, invokedAs }, (options, manner) =>
    new RequestResponse(options, io, manner).run(),
  )
}

class RequestResponse {
  readonly #options: ToolOptions
  readonly #manner: Manner
  readonly #io: CliIo
  readonly #output: Output
  readonly #printer: MessagePrinter
  readonly #giveUp = new AbortController()
  #client: Client | null = null
  #exitCode: number | null = null
  #sentAt: bigint | null = null
  #end: () => void = () => {}
  readonly #ended = new Promise<void>((resolve) => {
    this.#end = resolve
  })

  constructor(options: ToolOptions, io: CliIo, manner: Manner) {
    this.#options = options
    this.#manner = manner
    this.#io = io
    this.#output = new Output(io.stdout, () => this.#finish(ExitCode.Success))
    this.#printer = new MessagePrinter(printerOptions(options, io, manner), (text) => this.#complain(text))
  }

  async run(): Promise<number> {
    const { signals } = this.#io
    const onInterrupt = (): void => this.#finish(130)
    const onTerminate = (): void => this.#finish(143)
    signals.on('SIGINT', onInterrupt)
    signals.on('SIGTERM', onTerminate)
    const { timeoutSeconds } = this.#options
    const onTimeout = (): void => this.#fail({ text: 'Timed out\n', exitCode: ExitCode.TimedOut })
    const timer = timeoutSeconds === 0 ? null : setTimeout(onTimeout, timeoutSeconds * 1000)
    try {
      await this.#run()
    } catch (error) {
      if (error instanceof ArgumentError) this.#fail({ text: error.message, exitCode: ExitCode.Failure })
      else if (error instanceof MqttError) this.#fail(connectFailure(error, false))
      else throw error
    } finally {
      signals.off('SIGINT', onInterrupt)
      signals.off('SIGTERM', onTerminate)
      if (timer !== null) clearTimeout(timer)
      await this.#client?.close({ drainMs: 0, properties: this.#options.properties.disconnect })
    }
    try {
      await this.#output.end()
    } catch (error) {
      this.#complain(`Error: standard output cannot be written: ${(error as Error).message}\n`)
      return ExitCode.Failure
    }
    return this.#exitCode ?? ExitCode.Success
  }

  async #run(): Promise<void> {
    const options = this.#options
    const payload = await readMessage(options, this.#io, this.#manner)
    await prepare(options, this.#io)
    await this.#printer.decodeFrom(options.decode)
    const write = (line: string): void => void this.#output.write(Buffer.from(line))
    const log = new DebugLog(options.idPrefix ?? options.id ?? '', write, false)
    const client = makeClient(options, this.#manner, {
      ...(options.debug && !options.quiet ? { trace: log.trace } : {}),
      reconnect: false,
    })
    this.#client = client
    client.onMessage = (message) => this.#handleMessage(message)
    try {
      await client.connect(this.#giveUp.signal)
    } catch (error) {
      this.#fail(connectFailure(error, false))
      return
    }
    void client.closed.then((why) => {
      if (why !== null) this.#fail(connectFailure(why, false))
    })
    this.#request(client, payload ?? new Uint8Array(0)).catch((error: unknown) => this.#handleRefusal(error))
    await this.#ended
  }

  async #request(client: Client, payload: Uint8Array): Promise<void> {
    const { topics, responseTopic, qos, retainAsPublished, retainHandling, protocolVersion, properties } = this.#options
    const onlyIn5 = protocolVersion === 5 ? { retainAsPublished, retainHandling } : {}
    const subscribed = { qos, properties: properties.subscribe, identifier: false, literal: true, ...onlyIn5 }
    await client.subscribe(responseTopic!, subscribed, (message) => this.#handleMessage(message)).ready
    // Only now, so that the response cannot come before its subscription.
    const forRequest = protocolVersion === 5 ? { ...publishProperties(properties), responseTopic: responseTopic! } : {}
    this.#sentAt = process.hrtime.bigint()
    await client.publish(topics[0]!, payload, { qos, properties: forRequest })
  }

  #handleMessage(message: Message): void {
    if (this.#exitCode !== null || (message.retain && this.#options.noRetained)) return
    const took = process.hrtime.bigint() - (this.#sentAt ?? process.hrtime.bigint())
    void this.#output.write(this.#printer.print(message))
    if (this.#options.latency) void this.#output.write(Buffer.from(latencyLine(took)))
    this.#finish(ExitCode.Success)
  }

  #handleRefusal(error: unknown): void {
    if (error instanceof SubscribeError) {
      this.#fail({ text: `${reasonText(error.reasonCode)}\n`, exitCode: ExitCode.Failure })
    } else if (error instanceof PublishError) {
      this.#fail({ text: `Error: Publish failed: ${reasonText(error.reasonCode)}.\n`, exitCode: ExitCode.Failure })
    } else if (this.#client?.state.name !== 'closed') {
      this.#fail({ text: `Error: ${safeLine((error as Error).message)}\n`, exitCode: ExitCode.Failure })
    }
  }

  /** Ends the tool; the first call counts. */
  #finish(exitCode: number): void {
    this.#exitCode ??= exitCode
    this.#giveUp.abort(new MqttError('ERR_MQTT_CLOSED', 'given up'))
    this.#end()
  }

  #fail(failure: Failure): void {
    if (this.#exitCode === null) this.#complain(failure.text)
    this.#finish(failure.exitCode)
  }

  #complain(text: string): void {
    if (!this.#options.quiet) this.#io.stderr.write(text)
  }
}

/** Line of the latency as mosquitto_rr writes it: in the unit that suits. */
export function latencyLine(nanoseconds: bigint): string {
  if (nanoseconds >= 1_000_000_000n) {
    return `Latency: ${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}\n`
  }
  if (nanoseconds < 1_000n) return `Latency: ${nanoseconds}ns\n`
  if (nanoseconds < 1_000_000n) return `Latency: ${(Number(nanoseconds) / 1e3).toFixed(6)}µs\n`
  return `Latency: ${(Number(nanoseconds) / 1e6).toFixed(6)}ms\n`
}
