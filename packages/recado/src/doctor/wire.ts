/**
 * A connection on which `recado doctor` says what no client library would: packets byte by byte, right and wrong.
 *
 * Called by `conformance.ts`. The invariant: every wait ends, with a packet, with the end of the connection, or with silence.
 */
import type { Duplex } from 'node:stream'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  encode,
  type Packet,
  type ProtocolVersion,
} from '@recado/protocol'
import { Wakeup } from './wakeup.ts'

/** `malformed`: bytes that are no packet, or one that may not come there. */
export type Answer = Packet | 'closed' | 'silent' | 'malformed'

export class Wire {
  readonly version: ProtocolVersion
  readonly #stream: Duplex
  readonly #decoder: Decoder
  readonly #packets: Packet[] = []
  #isClosed = false
  #isMalformed = false
  readonly #wakeup: Wakeup = new Wakeup()

  constructor(stream: Duplex, version: ProtocolVersion) {
    this.version = version
    this.#stream = stream
    this.#decoder = new Decoder({ role: 'client', protocolVersion: version })
    stream.on('data', (chunk: Uint8Array) => this.#take(chunk))
    stream.on('error', () => {})
    stream.on('close', () => this.#close())
    stream.on('end', () => this.#close())
  }

  #take(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) this.#packets.push(packet)
    } catch {
      this.#isMalformed = true
    }
    this.#wakeup.wake()
  }

  #close(): void {
    this.#isClosed = true
    this.#wakeup.wake()
  }

  send(...packets: readonly (Packet | Uint8Array)[]): void {
    for (const packet of packets) {
      if (!this.#isClosed) this.#stream.write(packet instanceof Uint8Array ? packet : encode(packet, this.version))
    }
  }

  /** Returns the next packet, the end, or silence for so long. */
  async next(ms: number): Promise<Answer> {
    const deadline = performance.now() + ms
    while (this.#packets.length === 0) {
      if (this.#isMalformed) return 'malformed'
      if (this.#isClosed) return 'closed'
      const left = deadline - performance.now()
      if (left <= 0) return 'silent'
      await this.#wakeup.wait(left)
    }
    return this.#packets.shift()!
  }

  async connect(ms: number, options: Partial<ConnectOptions> = {}): Promise<Connack | 'closed' | 'silent'> {
    const { version } = this
    this.send(
      new Connect({
        protocolVersion: version,
        cleanStart: true,
        keepAliveSeconds: 60,
        clientId: `recado-doctor-${suffix()}`,
        ...options,
      }),
    )
    const answer = await this.next(ms)
    return answer instanceof Connack || answer === 'silent' ? answer : 'closed'
  }

  end(): void {
    this.#stream.destroy()
    this.#close()
  }
}

/** So that two doctors do not end each other's sessions. */
export const suffix = (): string => Math.random().toString(36).slice(2, 10)
