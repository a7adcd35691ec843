/** The lines that `-d` prints: each packet sent and received, in the words of libmosquitto's log. */
import type { Packet } from '@recado/client'
import { safeLine } from './terminal.ts'

export class DebugLog {
  readonly #write: (line: string) => void
  readonly #saysSubscribed: boolean
  #id: string
  /**
   * Number of the last message that was sent. libmosquitto counts messages of QoS 0 as well, though no packet has the
   * number.
   */
  #mid = 0

  /** @param saysSubscribed whether to print the granted QoS, as mosquitto_sub does and mosquitto_rr does not */
  constructor(id: string, write: (line: string) => void, saysSubscribed = true) {
    this.#id = id
    this.#write = write
    this.#saysSubscribed = saysSubscribed
  }

  readonly trace = (direction: 'sent' | 'received', packet: Packet): void => {
    // An assigned identifier is used from the packet that has it.
    if (packet.type === 2) this.#id = safeLine(packet.properties.assignedClientIdentifier ?? this.#id)
    const mid = direction === 'sent' ? this.#midOf(packet) : 0
    const verb = direction === 'sent' ? 'sending' : 'received'
    for (const line of direction === 'sent' ? sent(packet, mid) : received(packet)) {
      this.#write(`Client ${this.#id === '' ? '(null)' : this.#id} ${verb} ${line}\n`)
    }
    if (direction === 'received' && packet.type === 9 && this.#saysSubscribed) {
      this.#write(`Subscribed (mid: ${packet.packetId}): ${packet.reasonCodes.join(', ')}\n`)
    }
  }

  #midOf(packet: Packet): number {
    if (packet.type === 3 && packet.qos === 0) return ++this.#mid
    if (packet.type === 3 || packet.type === 8 || packet.type === 10) this.#mid = packet.packetId
    return this.#mid
  }
}

const hex = (value: number): string => `0x${value.toString(16).padStart(2, '0').toUpperCase()}`

function sent(packet: Packet, mid: number): string[] {
  switch (packet.type) {
    case 1:
      return ['CONNECT']
    case 3:
      return [publish(packet, mid)]
    case 4:
      return [`PUBACK (m${packet.packetId}, rc${packet.reasonCode})`]
    case 5:
      return [`PUBREC (m${packet.packetId}, rc${packet.reasonCode})`]
    case 6:
      return [`PUBREL (m${packet.packetId})`]
    case 7:
      return [`PUBCOMP (m${packet.packetId})`]
    case 8:
      return packet.subscriptions.map((s) => {
        const options = (s.noLocal ? 4 : 0) | (s.retainAsPublished ? 8 : 0) | (s.retainHandling << 4)
        return `SUBSCRIBE (Mid: ${packet.packetId}, Topic: ${s.topicFilter}, QoS: ${s.qos}, Options: ${hex(options)})`
      })
    case 10:
      return packet.topicFilters.map((filter) => `UNSUBSCRIBE (Mid: ${packet.packetId}, Topic: ${filter})`)
    case 12:
      return ['PINGREQ']
    case 14:
      return ['DISCONNECT']
    default:
      return ['AUTH']
  }
}

function received(packet: Packet): string[] {
  switch (packet.type) {
    case 2:
      return [`CONNACK (${packet.reasonCode})`]
    case 3:
      return [publish(packet, packet.packetId)]
    case 4:
      return [`PUBACK (Mid: ${packet.packetId}, RC:${packet.reasonCode})`]
    case 5:
      return [`PUBREC (Mid: ${packet.packetId})`]
    case 6:
      return [`PUBREL (Mid: ${packet.packetId})`]
    case 7:
      return [`PUBCOMP (Mid: ${packet.packetId}, RC:${packet.reasonCode})`]
    case 9:
      return ['SUBACK']
    case 11:
      return ['UNSUBACK']
    case 13:
      return ['PINGRESP']
    case 14:
      return [`DISCONNECT (${packet.reasonCode})`]
    default:
      return ['AUTH']
  }
}

function publish(packet: Extract<Packet, { type: 3 }>, mid: number): string {
  const { dup, qos, retain, topic } = packet
  const length = packet.payloadEnd - packet.payloadStart
  return `PUBLISH (d${dup ? 1 : 0}, q${qos}, r${retain ? 1 : 0}, m${mid}, '${safeLine(topic)}', ... (${length} bytes))`
}
