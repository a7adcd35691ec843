/**
 * The sending half of a session: PUBLISH at QoS 1 and 2 until it is acknowledged, over any number of connections.
 *
 * Invariant: after a reconnect to the same session every unacknowledged PUBLISH goes out again with DUP, every PUBREL
 * without PUBCOMP again, under their Packet Identifiers and in their order [MQTT-4.4.0-1], before anything new.
 */
import { type Connack, type Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel } from '@recado/protocol'
import { encodePayload, type Stream } from './ledger.ts'
import { SessionClient } from './session-client.ts'

interface Outgoing {
  readonly stream: Stream
  readonly number: number
  packetId: number
  /** Whether PUBREC has come, so that only PUBREL and PUBCOMP are left. */
  isReceived: boolean
}

export class Publisher extends SessionClient {
  streams: readonly Stream[] = []
  /**
   * Number of messages that the broker refused with a reason code (5.0): not acknowledged, not owed to any subscriber.
   */
  refused = 0
  /** Messages in the order in which they were sent first. */
  #outgoing = new Map<number, Outgoing>()
  #nextPacketId = 1
  #sendQuota = 0
  #budget = 0
  readonly #windowMax: number

  constructor(...parameters: ConstructorParameters<typeof SessionClient>) {
    super(...parameters)
    this.#windowMax = this.random.between(1, 80)
  }

  get unacknowledged(): number {
    return this.#outgoing.size
  }

  /** Allows this many more messages. */
  allow(messages: number): void {
    this.#budget = messages
  }

  /** Sends some of the allowed messages, as far as the window is open. */
  tick(): void {
    if (!this.isConnected) return
    for (let n = this.random.between(0, 8); n > 0 && this.#budget > 0; n--) {
      if (this.#outgoing.size >= Math.min(this.#windowMax, this.#sendQuota)) return
      this.#budget--
      const stream = this.streams[this.random.between(0, this.streams.length - 1)] as Stream
      this.#publish(stream, ++stream.sent)
    }
  }

  #publish(stream: Stream, number: number): void {
    if (stream.qos === 0) {
      this.send(Publish.of({ topic: stream.topic, payload: encodePayload(stream.id, number), qos: 0 }))
      return
    }
    const message: Outgoing = { stream, number, packetId: this.#allocate(), isReceived: false }
    this.#outgoing.set(message.packetId, message)
    this.#send(message, false)
  }

  #send({ stream, number, packetId }: Outgoing, dup: boolean): void {
    const payload = encodePayload(stream.id, number)
    this.send(Publish.of({ topic: stream.topic, payload, qos: stream.qos, dup, packetId }))
  }

  #allocate(): number {
    while (this.#outgoing.has(this.#nextPacketId)) this.#advance()
    const packetId = this.#nextPacketId
    this.#advance()
    return packetId
  }

  #advance(): void {
    this.#nextPacketId = (this.#nextPacketId % 65_535) + 1
  }

  protected override resume(isSessionPresent: boolean, connack: Connack): void {
    this.#sendQuota = connack.properties.receiveMaximum ?? 65_535
    if (!isSessionPresent) return
    for (const message of this.#outgoing.values()) {
      if (message.isReceived) this.send(new Pubrel(message.packetId))
      else this.#send(message, true)
    }
  }

  /** Sends unacknowledged messages again as new ones, as an application would. */
  protected override discardSession(): void {
    const unsent = [...this.#outgoing.values()].filter(({ isReceived }) => !isReceived)
    this.#outgoing = new Map()
    for (const message of unsent) {
      message.stream.mayRepeat(message.number)
      message.packetId = this.#allocate()
      this.#outgoing.set(message.packetId, message)
    }
    // They go out after CONNACK has been handled, which is at the end of this call's caller.
    queueMicrotask(() => {
      for (const message of unsent) this.#send(message, false)
    })
  }

  protected override forgetConnection(): void {
    this.#sendQuota = 0
  }

  protected override handle(packet: Packet): void {
    if (packet instanceof Puback) this.#handlePuback(packet)
    else if (packet instanceof Pubrec) this.#handlePubrec(packet)
    else if (packet instanceof Pubcomp) this.#outgoing.delete(packet.packetId)
    else this.fault(`a packet of type ${packet.type} for a publisher`)
  }

  #handlePuback({ packetId, reasonCode }: Puback): void {
    const message = this.#outgoing.get(packetId)
    if (message?.stream.qos !== 1) {
      this.fault(`PUBACK for packet id ${packetId}, which is no QoS 1 message`)
      return
    }
    this.#outgoing.delete(packetId)
    if (reasonCode >= 0x80) this.refused++
    else message.stream.acknowledge(message.number)
  }

  #handlePubrec({ packetId, reasonCode }: Pubrec): void {
    const message = this.#outgoing.get(packetId)
    if (message === undefined) {
      // It belongs to an earlier connection: section 4.3.3 answers it all the same.
      this.send(new Pubrel(packetId, this.version === 5 ? 0x92 : 0))
      return
    }
    if (message.stream.qos !== 2) {
      this.fault(`PUBREC for packet id ${packetId}, which is no QoS 2 message`)
      return
    }
    if (reasonCode >= 0x80) {
      this.refused++
      this.#outgoing.delete(packetId)
      return
    }
    message.isReceived = true
    message.stream.acknowledge(message.number)
    this.send(new Pubrel(packetId))
  }
}
