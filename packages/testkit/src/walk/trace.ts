/** The last packets of a lane in both directions, for the reader of a finding. */
import { Kind } from './codec.ts'
import type { Connection } from './connection.ts'
import type { Ticks } from './model.ts'

/** Number of packets that are remembered. */
const TRACE_MAX = 600
const NAMES: readonly string[] = [
  '',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
]

export class Trace {
  readonly #ticks: Ticks
  readonly #entries: [number, Connection, boolean, number, number, string][] = []
  #count = 0

  constructor(ticks: Ticks) {
    this.#ticks = ticks
  }

  note(connection: Connection, isOut: boolean, first: number, packetId: number, text: string): void {
    this.#entries[this.#count++ % TRACE_MAX] = [this.#ticks.now, connection, isOut, first, packetId, text]
  }

  /** Returns lines, oldest first: `tick client version > kind flags packetId what`. */
  lines(): string[] {
    const start = Math.max(0, this.#count - TRACE_MAX)
    return Array.from({ length: this.#count - start }, (_, i) => {
      const [tick, { client, version }, isOut, first, packetId, text] = this.#entries[(start + i) % TRACE_MAX]!
      const isPublish = first >> 4 === Kind.Publish
      const flags = isPublish ? ` q${(first >> 1) & 3}${first & 8 ? ' dup' : ''}${first & 1 ? ' r' : ''}` : ''
      return `${tick} ${client.clientId} v${version} ${isOut ? '>' : '<'} ${NAMES[first >> 4]}${flags} ${packetId || ''} ${text}`
    })
  }
}
