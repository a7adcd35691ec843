/**
 * The stage of a lesson: connections to a server on which packets are sent and received one by one, each printed with its bytes.
 *
 * `lessons.ts` plays on it. The invariants: every wait ends, with the packet, or with an error that says what came instead;
 * `clear` ends all connections and leaves nothing on the server.
 */
import type { Duplex } from 'node:stream'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  Disconnect,
  encode,
  type Packet,
  type ProtocolVersion,
  Publish,
  packetEnd,
  packetTypeName,
  ReasonCode,
  reasonCodeName,
} from '@recado/protocol'
import { safeLine } from '../cli/terminal.ts'
import { ToolError } from '../command-table.ts'
import { openStream, type Target } from '../doctor/target.ts'
import { Wakeup } from '../doctor/wakeup.ts'
import { hexOf, type Language, packetRows } from './packet-rows.ts'

/** A text in each language. */
export type Text = Readonly<Record<Language, string>>

/** Bytes in one line of a row. */
const BYTES_PER_LINE = 8
/** Bytes of a row that are printed; a payload may be long. */
const BYTES_SHOWN = 32
/** Bytes of one packet that are waited for. */
const PACKET_BYTES_MAX = 1024 * 1024

const sides: Record<Language, { server: string; closes: string; silent: string }> = {
  en: { server: 'server', closes: 'the server closes the connection', silent: 'nothing comes' },
  es: { server: 'servidor', closes: 'el servidor cierra la conexión', silent: 'no llega nada' },
}

export interface StageOptions {
  readonly target: Target
  readonly language: Language
  /** Whether packets are one line each, without their bytes. */
  readonly isBrief: boolean
  readonly isColoured: boolean
  print(text: string): void
  /** Waits until the reader wants to see more; false: the reader has seen enough. */
  pause(): Promise<boolean>
  /** Word that tells this run's topics and Client Identifiers from others'. */
  readonly suffix: string
}

/** The reader has seen enough. */
export class Left extends Error {}

export class Stage {
  readonly options: StageOptions
  readonly #sides: Side[] = []
  /** Topics with a retained message of this run. */
  readonly #retained: Set<string> = new Set()
  /** Client Identifiers of sessions that outlive their connection. */
  readonly #kept: Map<string, ProtocolVersion> = new Map()

  constructor(options: StageOptions) {
    this.options = options
  }

  topic(name: string): string {
    return `${this.options.target.topic}/${this.options.suffix}/${name}`
  }

  clientId(name: string): string {
    return `learn-${name}-${this.options.suffix}`
  }

  /** Prints a paragraph. */
  say(text: Text): void {
    this.options.print(`\n${wrap(text[this.options.language])}\n`)
  }

  /** Opens a connection and sends nothing yet. `name` is printed. */
  async open(name: Text, version: ProtocolVersion): Promise<Side> {
    const stream = await openStream(this.options.target)
    const side = new Side(this, name[this.options.language], stream, version)
    this.#sides.push(side)
    return side
  }

  /** Opens a connection, sends CONNECT and takes a CONNACK that accepts it. */
  async connect(name: Text, id: string, version: ProtocolVersion, more: Partial<ConnectOptions> = {}): Promise<Side> {
    const side = await this.open(name, version)
    const connack = await side.login(id, more)
    if (connack.reasonCode !== ReasonCode.Success)
      throw new ToolError(
        `the server refuses the connection (${reasonCodeName(connack.reasonCode)}); log in with -u NAME and RECADO_PASSWORD`,
      )
    const isKept = version === 5 ? (more.properties?.sessionExpiryIntervalSeconds ?? 0) > 0 : more.cleanStart === false
    if (isKept) this.#kept.set(this.clientId(id), version)
    return side
  }

  noteRetained({ topic, retain, payload }: Publish): void {
    if (!retain) return
    if (payload.length > 0) this.#retained.add(topic)
    else this.#retained.delete(topic)
  }

  /** Prints a packet on its way. */
  show(from: string, to: string, bytes: Uint8Array, version: ProtocolVersion): void {
    const { isBrief, isColoured, language, print } = this.options
    const name = packetTypeName((bytes[0] ?? 0) >> 4)
    const bold = (text: string): string => (isColoured ? `\x1b[1m${text}\x1b[0m` : text)
    print(`\n${from} -> ${to}  ${bold(name)}  ${bytes.length} bytes\n`)
    if (isBrief) return
    for (const { at, bytes: part, meaning } of packetRows(bytes, version, language)) {
      const shown = part.subarray(0, BYTES_SHOWN)
      const lines: string[] = []
      for (let i = 0; i < shown.length; i += BYTES_PER_LINE) lines.push(hexOf(shown.subarray(i, i + BYTES_PER_LINE)))
      if (shown.length < part.length) lines[lines.length - 1] += ' ...'
      const text = safeLine(meaning.replaceAll('`', ''))
      const cut = text.length > 160 ? `${text.slice(0, 157)}...` : text
      for (const [i, line] of lines.entries()) {
        const number = i === 0 ? String(at) : ''
        print(`${number.padStart(6)}  ${line.padEnd(BYTES_PER_LINE * 3 + 3)}${i === 0 ? ` ${cut}` : ''}`.trimEnd())
        print('\n')
      }
    }
  }

  async pause(): Promise<void> {
    if (!(await this.options.pause())) throw new Left()
  }

  /** Ends all connections, and takes from the server what the lesson has left there. */
  async clear(): Promise<void> {
    for (const side of this.#sides) side.end()
    if (this.#retained.size === 0 && this.#kept.size === 0) return
    const quiet = new Stage({ ...this.options, print: () => {}, pause: async () => true })
    const name = { en: '', es: '' }
    for (const [clientId, version] of this.#kept) {
      const side = await quiet.open(name, version)
      await side.login('', { clientId, cleanStart: true })
      side.send(new Disconnect())
    }
    if (this.#retained.size > 0) {
      const side = await quiet.open(name, 4)
      await side.login('end')
      for (const topic of this.#retained) side.send(Publish.of({ topic, retain: true }))
      side.send(new Disconnect())
    }
    for (const side of quiet.#sides) await side.leave()
  }
}

/** One connection of a lesson. */
export class Side {
  readonly #stage: Stage
  readonly #name: string
  readonly #stream: Duplex
  readonly #version: ProtocolVersion
  readonly #decoder: Decoder
  #bytes: Uint8Array = new Uint8Array(0)
  #isClosed = false
  readonly #wakeup: Wakeup = new Wakeup()

  constructor(stage: Stage, name: string, stream: Duplex, version: ProtocolVersion) {
    this.#stage = stage
    this.#name = name
    this.#stream = stream
    this.#version = version
    this.#decoder = new Decoder({ role: 'client', protocolVersion: version })
    const close = (): void => {
      this.#isClosed = true
      this.#wakeup.wake()
    }
    stream.on('data', (chunk: Uint8Array) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wakeup.wake()
    })
    stream.on('error', close)
    stream.on('close', close)
    stream.on('end', close)
  }

  /** Sends CONNECT as the user of the command line, and returns the answer. */
  async login(id: string, more: Partial<ConnectOptions> = {}): Promise<Connack> {
    const { username, password } = this.#stage.options.target
    this.send(
      new Connect({
        protocolVersion: this.#version,
        cleanStart: true,
        keepAliveSeconds: 60,
        clientId: this.#stage.clientId(id),
        username,
        password: password === undefined ? undefined : new TextEncoder().encode(password),
        ...more,
      }),
    )
    return this.receive(Connack)
  }

  /** Sends a packet and prints it. */
  send(packet: Packet): void {
    if (packet instanceof Publish) this.#stage.noteRetained(packet)
    const bytes = encode(packet, this.#version)
    this.#stage.show(this.#name, this.#server, bytes, this.#version)
    if (!this.#isClosed) this.#stream.write(bytes)
  }

  /**
   * Takes the next packet and prints it.
   *
   * @throws ToolError when it is another one, or none comes in time
   */
  async receive<Kind extends Packet>(kind: new (...values: never[]) => Kind): Promise<Kind> {
    const packet = await this.#next(this.#stage.options.target.timeoutMs)
    if (packet instanceof kind) {
      await this.#stage.pause()
      return packet
    }
    const expected = kind.name.toUpperCase()
    if (packet === 'closed') throw new ToolError(`the server closed the connection where ${expected} was expected`)
    if (packet === 'silent') throw new ToolError(`no ${expected} came within ${this.#seconds} s`)
    const reason = packet instanceof Disconnect ? ` (${reasonCodeName(packet.reasonCode)})` : ''
    throw new ToolError(`the server sent ${packetTypeName(packet.type)}${reason} where ${expected} was expected`)
  }

  /** Shows that no packet comes for so long. @throws ToolError when one comes */
  async silence(ms: number): Promise<void> {
    const packet = await this.#next(ms)
    if (packet !== 'silent' && packet !== 'closed')
      throw new ToolError(`the server sent ${packetTypeName(packet.type)} where nothing was expected`)
    const { print, language } = this.#stage.options
    print(`\n${this.#server} -> ${this.#name}  (${sides[language].silent})\n`)
    await this.#stage.pause()
  }

  /** Takes what comes until the server closes the connection, and prints it. @throws ToolError when it does not */
  async closes(): Promise<void> {
    const { print, language } = this.#stage.options
    for (;;) {
      const packet = await this.#next(this.#stage.options.target.timeoutMs)
      if (packet === 'silent') throw new ToolError(`the server did not close the connection within ${this.#seconds} s`)
      if (packet === 'closed') break
    }
    print(`\n${this.#server} -> ${this.#name}  (${sides[language].closes})\n`)
    await this.#stage.pause()
  }

  /** Breaks the connection, without DISCONNECT. */
  end(): void {
    this.#stream.destroy()
    this.#isClosed = true
  }

  /** Ends the connection when the server has read all: behind DISCONNECT it closes it. */
  async leave(): Promise<void> {
    const packet = await this.#next(this.#stage.options.target.timeoutMs)
    if (packet !== 'closed' && packet !== 'silent') await this.leave()
    this.end()
  }

  get #server(): string {
    return sides[this.#stage.options.language].server
  }

  get #seconds(): number {
    return this.#stage.options.target.timeoutMs / 1000
  }

  async #next(ms: number): Promise<Packet | 'closed' | 'silent'> {
    const deadline = performance.now() + ms
    for (;;) {
      const end = this.#bytes.length < 2 ? Number.POSITIVE_INFINITY : packetEnd(this.#bytes, 0)
      if (end <= this.#bytes.length) return this.#take(end)
      if (Number.isFinite(end) && end > PACKET_BYTES_MAX)
        throw new ToolError(`the server sends a packet of ${end} bytes`)
      if (this.#isClosed) return 'closed'
      const left = deadline - performance.now()
      if (left <= 0) return 'silent'
      await this.#wakeup.wait(left)
    }
  }

  #take(end: number): Packet {
    const bytes = this.#bytes.slice(0, end)
    this.#bytes = this.#bytes.subarray(end)
    this.#stage.show(this.#server, this.#name, bytes, this.#version)
    this.#decoder.push(bytes)
    const packet = this.#decoder.read()
    if (packet === null) throw new ToolError('the server sends a packet whose length is malformed')
    return packet
  }
}

/** Breaks a paragraph into lines of at most 100 characters. */
function wrap(text: string): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + word.length >= 100) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}
