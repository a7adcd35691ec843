/**
 * A client of a lane that subscribes to all its topics, reads the retained messages, and leaves: for `lane.ts`, when it
 * settles.
 */
import { createConnection, type Socket } from 'node:net'
import { connectOf, Kind, Malformed, type Packet, PINGREQ, Reader, subscribeOf, type Version } from './codec.ts'
import { numberIn, type Retained } from './model.ts'

export class RetainedReader {
  /** Numbers of retained messages by topic; null for one without a number. */
  readonly seen: Map<string, number | null> = new Map()
  /** Whether SUBACK and PINGRESP have come. */
  isDone = false
  failure = ''
  readonly #socket: Socket

  constructor(port: number, lane: number, version: Version) {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    const reader = new Reader(version, (packet) => this.#handle(packet))
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof Malformed)) throw error
        this.failure = error.message
      }
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      if (!this.isDone) this.failure ||= 'its connection was closed'
    })
    const filter = { filter: `L${lane}/#`, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }
    socket.write(connectOf(version, `L${lane}-reader`, true, 0, null, []))
    socket.write(subscribeOf(version, 1, [filter], 0))
    socket.write(PINGREQ)
  }

  #handle(packet: Packet): void {
    if (packet.kind === Kind.Publish && packet.retain) {
      if (this.seen.has(packet.topic)) this.failure = `${packet.topic} comes twice`
      this.seen.set(packet.topic, numberIn(packet.payload))
    } else if (packet.kind === Kind.Connack && packet.reasonCode !== 0) {
      this.failure = `CONNACK 0x${packet.reasonCode.toString(16)}`
    } else if (packet.kind === Kind.Suback && packet.reasonCodes[0] !== 0) {
      this.failure = `SUBACK 0x${packet.reasonCodes[0]!.toString(16)}`
    } else if (packet.kind === Kind.Pingresp) {
      this.isDone = true
    }
  }

  /** Retained messages that were seen and cannot be, and those that were not seen and must be. */
  compare(retained: Retained): string[] {
    const wrong: string[] = []
    const topics = new Set(retained.topics())
    for (const topic of topics) {
      const { messages, mayBeNone } = retained.candidates(topic)
      const number = this.seen.get(topic)
      const wanted = messages.map((message) => message.number)
      if (number === undefined ? mayBeNone : number !== null && wanted.includes(number)) continue
      wrong.push(
        `${topic.slice(0, 20)}: message ${number ?? 'none'} is retained, and should be ${wanted.join(' or ')}${mayBeNone ? ' or none' : ''}`,
      )
    }
    for (const topic of this.seen.keys())
      if (!topics.has(topic)) wrong.push(`${topic}: retained, and nobody has done it`)
    return wrong
  }

  close(): void {
    this.#socket.destroy()
  }
}
