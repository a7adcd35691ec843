/**
 * The judge of a crash run: messages that were sent, messages that a subscriber must have, and those that it has.
 *
 * Messages form streams: one publisher, one topic, one QoS, numbered from 1. A message is owed to every durable
 * subscriber of its stream from the moment at which the broker acknowledged it (PUBACK, PUBREC). A message that was
 * sent and never acknowledged may arrive or not. QoS 2 to a QoS 2 subscription arrives at most once. The first receipts
 * of a stream come in the order of their numbers (MQTT 5.0 section 4.6); repeats of QoS 1 do not count.
 */

export interface Violations {
  /** Number of messages acknowledged to the publisher and never delivered to a durable subscriber. */
  lost: number
  /** Number of QoS 2 messages delivered again. */
  duplicatesQos2: number
  /** Number of QoS 0 messages delivered again; absent where none are sent. */
  duplicatesQos0?: number
  /** Number of messages that came for the first time after a later one of their stream. */
  disordered: number
  /** Number of payloads that differ from what was sent. */
  corrupted: number
  /** Number of messages that were never sent, or that this subscriber did not ask for. */
  unknown: number
}

const Mark = { None: 0, Acknowledged: 1, MayRepeat: 2 } as const

/** Array of bytes that grows, one byte for each message of a stream. */
class Marks {
  #bytes = new Uint8Array(256)

  get(index: number): number {
    return this.#bytes[index] ?? 0
  }

  set(index: number, value: number): void {
    if (index >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(index + 1, this.#bytes.length * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes[index] = value
  }
}

export class Stream {
  readonly id: number
  readonly topic: string
  /** QoS; at 0 nothing is ever acknowledged, so nothing is owed. */
  readonly qos: 0 | 1 | 2
  /** Number of the last message that was sent. */
  sent = 0
  acknowledged = 0
  readonly #marks = new Marks()

  constructor(id: number, topic: string, qos: 0 | 1 | 2) {
    this.id = id
    this.topic = topic
    this.qos = qos
  }

  acknowledge(number: number): void {
    if (this.isAcknowledged(number)) return
    this.acknowledged++
    this.#marks.set(number, this.#marks.get(number) | Mark.Acknowledged)
  }

  isAcknowledged(number: number): boolean {
    return (this.#marks.get(number) & Mark.Acknowledged) !== 0
  }

  /** Notes that the publisher lost its session and sent the message as a new one: it may come twice, and late. */
  mayRepeat(number: number): void {
    this.#marks.set(number, this.#marks.get(number) | Mark.MayRepeat)
  }

  isRepeatable(number: number): boolean {
    return (this.#marks.get(number) & Mark.MayRepeat) !== 0
  }
}

/** Circumstances of a receipt: the subscriber's connections are counted from 1. */
export interface Receipt {
  connection: number
  packetId: number
  dup: boolean
}

/** Messages of one stream that one subscriber has. */
class Delivery {
  readonly stream: Stream
  readonly qos: 0 | 1 | 2
  readonly counts: Marks = new Marks()
  /** Number of the latest message that came for the first time, and its receipt. */
  last = 0
  lastReceipt: Receipt = { connection: 0, packetId: 0, dup: false }
  /** Number of the last message that `settle` has judged. */
  settled = 0

  constructor(stream: Stream, qos: 0 | 1 | 2) {
    this.stream = stream
    this.qos = qos
  }
}

export class Inbox {
  readonly name: string
  readonly violations: Violations
  /** Number of first receipts. */
  received = 0
  /** Number of QoS 1 messages that came again, as they may. */
  repeats = 0
  readonly #deliveries = new Map<number, Delivery>()
  readonly #report: (kind: keyof Violations, text: string) => void

  constructor(name: string, violations: Violations, report: (kind: keyof Violations, text: string) => void) {
    this.name = name
    this.violations = violations
    this.#report = report
  }

  /** Notes that the subscriber is owed `stream` from now on, at this QoS at most. */
  subscribe(stream: Stream, qos: 0 | 1 | 2): void {
    this.#deliveries.set(stream.id, new Delivery(stream, Math.min(qos, stream.qos) as 0 | 1 | 2))
  }

  handle(topic: string, payload: Uint8Array, receipt: Receipt): void {
    const message = decodePayload(payload)
    if (message === null) {
      this.violations.corrupted++
      this.#report(
        'corrupted',
        `${this.name}: a payload of ${payload.length} bytes on ${topic} is not what anybody sent`,
      )
      return
    }
    const delivery = this.#deliveries.get(message.stream)
    const { number } = message
    if (delivery === undefined || delivery.stream.topic !== topic || number > delivery.stream.sent) {
      this.violations.unknown++
      this.#report(
        'unknown',
        `${this.name}: message ${number} of stream ${message.stream} on ${topic} was not meant to come`,
      )
      return
    }
    const count = delivery.counts.get(number)
    delivery.counts.set(number, Math.min(count + 1, 255))
    if (count > 0) {
      if (delivery.qos === 1) this.repeats++
      else if (delivery.qos === 0) {
        this.violations.duplicatesQos0 = (this.violations.duplicatesQos0 ?? 0) + 1
        this.#report('duplicatesQos0', `${this.name}: QoS 0 message ${number} on ${topic} came again`)
      } else if (!delivery.stream.isRepeatable(number)) {
        this.violations.duplicatesQos2++
        this.#report('duplicatesQos2', `${this.name}: QoS 2 message ${number} on ${topic} came again`)
      }
      return
    }
    this.received++
    if (number < delivery.last && !delivery.stream.isRepeatable(number)) {
      this.violations.disordered++
      const isSafe = delivery.stream.isAcknowledged(number) ? 'acknowledged' : 'not acknowledged'
      this.#report(
        'disordered',
        `${this.name}: message ${number} (${isSafe}; ${describe(receipt)}) on ${topic} came after ${delivery.last} (${describe(delivery.lastReceipt)})`,
      )
    } else {
      delivery.lastReceipt = receipt
    }
    delivery.last = Math.max(delivery.last, number)
  }

  /** Returns the number of messages of a stream that have come. */
  receivedOf(stream: Stream): number {
    const counts = this.#deliveries.get(stream.id)?.counts
    let received = 0
    for (let number = 1; number <= stream.sent; number++) if ((counts?.get(number) ?? 0) > 0) received++
    return received
  }

  /** Returns the number of acknowledged messages that have not come yet. */
  missing(): number {
    let missing = 0
    for (const delivery of this.#deliveries.values()) {
      for (let number = delivery.settled + 1; number <= delivery.stream.sent; number++) {
        if (delivery.stream.isAcknowledged(number) && delivery.counts.get(number) === 0) missing++
      }
    }
    return missing
  }

  /** Counts missing messages as lost: nothing more will come. */
  settle(): void {
    for (const delivery of this.#deliveries.values()) {
      const { stream } = delivery
      let first = 0
      let lost = 0
      for (let number = delivery.settled + 1; number <= stream.sent; number++) {
        if (!stream.isAcknowledged(number) || delivery.counts.get(number) > 0) continue
        first ||= number
        lost++
      }
      if (lost > 0)
        this.#report(
          'lost',
          `${this.name}: ${lost} acknowledged messages on ${stream.topic} were lost, the first is ${first}`,
        )
      this.violations.lost += lost
      delivery.settled = stream.sent
    }
  }
}

function describe({ connection, packetId, dup }: Receipt): string {
  return `connection ${connection}, packet id ${packetId}${dup ? ', DUP' : ''}`
}

const HEAD_BYTES = 10
const FILL_MAX = 240

/** Encodes stream, number and length, then bytes that follow from them. */
export function encodePayload(stream: number, number: number): Uint8Array {
  // Most are small; every 50th does not fit into a page of a file or a segment of TCP.
  const length = number % 50 === 0 ? 5_000 + (number % 7) * 1_000 : (number * 7_919) % FILL_MAX
  const payload = new Uint8Array(HEAD_BYTES + length)
  const view = new DataView(payload.buffer)
  view.setUint16(0, stream)
  view.setUint32(2, number)
  view.setUint32(6, length)
  for (let i = 0; i < length; i++) payload[HEAD_BYTES + i] = fillAt(stream, number, i)
  return payload
}

export function decodePayload(payload: Uint8Array): { stream: number; number: number } | null {
  if (payload.length < HEAD_BYTES) return null
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const stream = view.getUint16(0)
  const number = view.getUint32(2)
  if (view.getUint32(6) !== payload.length - HEAD_BYTES) return null
  for (let i = HEAD_BYTES; i < payload.length; i++)
    if (payload[i] !== fillAt(stream, number, i - HEAD_BYTES)) return null
  return { stream, number }
}

function fillAt(stream: number, number: number, i: number): number {
  return (stream * 31 + number * 17 + i * 7) & 0xff
}
