/**
 * `recado pub`: mosquitto_pub on our own client. Same arguments and exit codes: 0, 1 for arguments and addresses, the
 * CONNACK's code for a refusal, 7 for a lost connection. One difference, on purpose: a message that the server cannot
 * accept (QoS, RETAIN, size) or has refused (a Reason Code of 5.0) is an error with exit code 1, where mosquitto_pub
 * ends with 0.
 *
 * Called by `main.ts`. Invariant: exit code 0 only when the flow of every message has ended.
 */
import { type Client, MqttError, NotSupportedError, PublishError } from '@recado/client'
import { pubCommand } from './client-commands.ts'
import { DebugLog } from './debug-log.ts'
import { type CliIo, Output } from './io.ts'
import { readLines } from './lines.ts'
import type { Manner } from './manner.ts'
import { readMessage } from './message-input.ts'
import { asArguments, connectFailure, ExitCode, reasonText } from './mosquitto-messages.ts'
import { publishProperties } from './mosquitto-properties.ts'
import { runMosquittoTool } from './mosquitto-tool.ts'
import { safeLine } from './terminal.ts'
import { ArgumentError, makeClient, prepare } from './tool-client.ts'
import type { ToolOptions } from './tool-options.ts'

/** Number of lines that are read ahead of the server's acknowledgements. */
const UNACKNOWLEDGED_MAX = 1_000

/** @param invokedAs the name of Mosquitto's tool by which the program was started */
export async function runPub(argv: readonly string[], io: CliIo, invokedAs?: string): Promise<number> {
  return await runMosquittoTool('pub', pubCommand, { argv, io, invokedAs }, (options, manner) =>
    new Pub(options, io, manner).run(),
  )
}

class Pub {
  readonly #options: ToolOptions
  readonly #manner: Manner
  readonly #io: CliIo
  readonly #output: Output
  #exitCode: number = ExitCode.Success
  #count = 0

  constructor(options: ToolOptions, io: CliIo, manner: Manner) {
    this.#options = options
    this.#manner = manner
    this.#io = io
    this.#output = new Output(io.stdout, () => {})
  }

  async run(): Promise<number> {
    try {
      await this.#run()
    } catch (error) {
      if (!(error instanceof ArgumentError || error instanceof MqttError)) throw error
      this.#complain(error instanceof ArgumentError ? error.message : `Error: ${asArguments(error.message)}\n`)
      this.#exitCode = ExitCode.Failure
    }
    try {
      await this.#output.end()
    } catch (error) {
      this.#complain(`Error: standard output cannot be written: ${(error as Error).message}\n`)
      return ExitCode.Failure
    }
    return this.#exitCode
  }

  async #run(): Promise<void> {
    const options = this.#options
    // Read before connecting: no connection for a file that does not exist.
    const payload = await readMessage(options, this.#io, this.#manner)
    await prepare(options, this.#io)
    const log = new DebugLog(options.idPrefix ?? options.id ?? '', (line) => this.#output.write(Buffer.from(line)))
    const isLines = options.message?.kind === 'lines'
    const client = makeClient(options, this.#manner, {
      ...(options.debug && !options.quiet ? { trace: log.trace } : {}),
      // Only reading lines goes on after a lost connection, as in mosquitto_pub.
      reconnect: isLines ? { minMs: 1_000, maxMs: 1_000 } : false,
    })
    try {
      await client.connect()
    } catch (error) {
      this.#fail(connectFailure(error, true))
      return
    }
    if (payload === null) await this.#publishLines(client)
    else await this.#publishRepeatedly(client, payload)
    await client.close({ properties: options.properties.disconnect })
  }

  async #publishRepeatedly(client: Client, payload: Uint8Array): Promise<void> {
    const { repeat, repeatDelayMs } = this.#options
    for (let i = 0; i < repeat && client.state.name === 'connected'; i++) {
      if (i > 0 && repeatDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, repeatDelayMs))
      await this.#publish(client, payload)
    }
  }

  async #publishLines(client: Client): Promise<void> {
    const unacknowledged = new Set<Promise<void>>()
    for await (const line of readLines(this.#io.stdin)) {
      const published = this.#publish(client, line)
      if (this.#options.qos === 0) await published
      else {
        unacknowledged.add(published)
        void published.then(() => unacknowledged.delete(published))
        if (unacknowledged.size >= UNACKNOWLEDGED_MAX) await Promise.race(unacknowledged)
      }
      if (client.state.name === 'closed') break
    }
    await Promise.all(unacknowledged)
  }

  /** Publishes a message; never rejects: a failure is printed, and changes the exit code. */
  async #publish(client: Client, payload: Uint8Array): Promise<void> {
    const { topics, qos, retain, properties } = this.#options
    const number = ++this.#count
    try {
      await client.publish(topics[0]!, payload, { qos, retain, properties: publishProperties(properties) })
    } catch (error) {
      if (error instanceof PublishError) {
        this.#fail({
          text: `Warning: Publish ${number} failed: ${reasonText(error.reasonCode)}.\n`,
          exitCode: ExitCode.Failure,
        })
        if (error.reasonString !== undefined) this.#complain(`${safeLine(error.reasonString)}\n`)
      } else if (error instanceof NotSupportedError) {
        const text =
          error.limit === 'maximumQoS'
            ? 'Message QoS not supported on broker, try a lower QoS'
            : safeLine(error.message)
        this.#fail({ text: `Error: ${text}.\n`, exitCode: ExitCode.Failure })
      } else if (client.state.name === 'closed') {
        // Printed once, not for every message that was on its way.
        if (this.#exitCode === ExitCode.Success) this.#fail(connectFailure(client.state.error ?? error, true))
      } else
        this.#fail({ text: `Error: ${safeLine(asArguments((error as Error).message))}\n`, exitCode: ExitCode.Failure })
    }
  }

  #fail(failure: { text: string; exitCode: number }): void {
    this.#complain(failure.text)
    this.#exitCode = failure.exitCode
  }

  #complain(text: string): void {
    if (!this.#options.quiet) this.#io.stderr.write(text)
  }
}
