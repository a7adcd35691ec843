/**
 * Incoming messages: resolves Topic Aliases, recognises QoS 2 messages that came before, and sends PUBACK, PUBREC and
 * PUBCOMP. One per client; it keeps QoS 2 identifiers over reconnects for as long as the server keeps the session.
 *
 * A message is acknowledged when all subscriptions that got it are done with it, and never before earlier messages
 * [MQTT-4.6.0-2] [MQTT-4.6.0-3]. So the server's sending window (our Receive Maximum) follows the application's pace.
 *
 * With a session store the identifier of a QoS 2 message is safe in it before PUBREC goes out, and safely removed
 * before PUBCOMP does. So a message that the application has finished never comes again, also after a crash; one that
 * it has not finished does.
 *
 * Invariant: a QoS 2 message is handed on once, however often it comes and over however many connections.
 *
 * Source: MQTT 5.0 sections 3.3.4, 4.3, 4.6, 4.9.
 */
import {
  type Properties,
  Puback,
  Pubcomp,
  type Publish,
  Pubrec,
  type Pubrel,
  ReasonCode,
  Receiver,
  TopicAliasReceiver,
} from '@recado/protocol'
import type { Connection } from './connection.ts'
import { type Delivery, Message } from './message.ts'
import { Ring } from './ring.ts'
import type { SessionStore } from './store/session-store.ts'

const NO_REASON: Properties = {}

class PendingDelivery implements Delivery {
  readonly packetId: number
  readonly qos: 1 | 2
  readonly connectionNumber: number
  /** Fingerprint for the session store; 0 at QoS 1, and without a store. */
  readonly fingerprint: number
  done = false
  /** PUBREL has ended its flow: no PUBREC follows, and its Packet Identifier may be another message's. */
  isReleased = false
  reasonCode: ReasonCode = 0
  properties: Properties = NO_REASON
  readonly #inbox: Inbox
  /** Number of holders; the first is the inbox itself, while it hands the message out. */
  #holders = 1
  #manual = false

  constructor(inbox: Inbox, packetId: number, qos: 1 | 2, connectionNumber: number, fingerprint: number) {
    this.#inbox = inbox
    this.packetId = packetId
    this.qos = qos
    this.connectionNumber = connectionNumber
    this.fingerprint = fingerprint
  }

  hold(): void {
    this.#holders++
  }

  holdForManual(): void {
    if (this.#manual) return
    this.#manual = true
    this.#holders++
  }

  release(): void {
    if (--this.#holders === 0) this.#finish()
  }

  acknowledge(reasonCode: ReasonCode, properties: Properties): void {
    if (this.done || !this.#manual) return
    this.#manual = false
    this.reasonCode = reasonCode
    this.properties = properties
    this.release()
  }

  #finish(): void {
    this.done = true
    this.#inbox.settle()
  }
}

export class Inbox {
  readonly #receiver: Receiver
  readonly #topicAliasMaximum: number
  readonly #dispatch: (message: Message) => void
  #store: SessionStore | null
  #aliases: TopicAliasReceiver
  #connection: Connection | null = null
  #connectionNumber = 0
  /** Deliveries that are not yet acknowledged, in the order in which they came. */
  #pending = new Ring<PendingDelivery>()
  /** Pending QoS 2 deliveries whose PUBREC has not been sent, by Packet Identifier. */
  readonly #pendingQoS2 = new Map<number, PendingDelivery>()
  /** QoS 2 identifiers that an earlier process had finished, with the fingerprints of their messages. */
  readonly #restored = new Map<number, number>()

  constructor(
    receiveMaximum: number,
    topicAliasMaximum: number,
    store: SessionStore | null,
    dispatch: (message: Message) => void,
  ) {
    this.#receiver = new Receiver(receiveMaximum)
    this.#topicAliasMaximum = topicAliasMaximum
    this.#store = store
    this.#aliases = new TopicAliasReceiver(0)
    this.#dispatch = dispatch
  }

  /** Number of messages that the application has not acknowledged. */
  get unacknowledged(): number {
    return this.#pending.size
  }

  /** Restores the identifiers from the session store. */
  restore(received: ReadonlyMap<number, number>): void {
    for (const [packetId, fingerprint] of received) {
      this.#receiver.restore(packetId)
      if (fingerprint !== 0) this.#restored.set(packetId, fingerprint)
    }
  }

  /**
   * Begins a connection. Returns `true` when identifiers of an old session were forgotten; this must be safe in the
   * store before the server sends anything.
   */
  attach(connection: Connection, sessionPresent: boolean, receiveMaximum: number): boolean {
    let hasForgotten = false
    this.#connection = connection
    this.#connectionNumber++
    this.#aliases = new TopicAliasReceiver(connection.protocolVersion === 5 ? this.#topicAliasMaximum : 0)
    this.#receiver.receiveMaximum = receiveMaximum
    if (sessionPresent) this.#receiver.resume()
    else {
      // [MQTT-3.2.2-5]
      this.#receiver.resume()
      if (this.#store !== null) {
        for (const packetId of this.#receiver.ids()) {
          this.#store.removeReceived(packetId)
          hasForgotten = true
        }
      }
      this.#receiver.clear()
      this.#restored.clear()
      this.#pending = new Ring()
      this.#pendingQoS2.clear()
    }
    this.settle()
    return hasForgotten
  }

  detach(): void {
    this.#connection = null
    // Acknowledgements of QoS 1 messages are void with their connection: the server sends the messages again.
    this.settle()
  }

  /**
   * Gives up the store, which the next client may open. Messages finished from now on are not noted: the server sends
   * them again.
   */
  leaveStore(): void {
    this.#store = null
  }

  handlePublish(publish: Publish): void {
    const connection = this.#connection!
    if (connection.protocolVersion === 5) this.#aliases.resolve(publish)
    const { qos, packetId } = publish
    if (qos === 0) {
      this.#dispatch(new Message(publish, null))
      return
    }
    const fingerprint = qos === 2 && this.#store !== null ? this.#store.fingerprint(publish) : 0
    if (qos === 2) this.#checkRestored(packetId, fingerprint)
    if (!this.#receiver.handlePublish(packetId, qos, publish.dup)) {
      // A QoS 2 message that we have. If the application still has to acknowledge it, PUBREC follows then.
      if (!this.#pendingQoS2.has(packetId)) this.#sendWhenSafe(5, packetId) // [MQTT-4.3.3-10]
      return
    }
    const delivery = new PendingDelivery(this, packetId, qos, this.#connectionNumber, fingerprint)
    this.#pending.push(delivery)
    if (qos === 2) this.#pendingQoS2.set(packetId, delivery)
    this.#dispatch(new Message(publish, delivery))
    delivery.release() // [MQTT-4.5.0-2]: also if it matched no subscription
  }

  /**
   * Forgets a restored identifier that another message has: it belongs to a session that the server has lost, and the
   * process that learned this died before it could forget the identifier.
   */
  #checkRestored(packetId: number, fingerprint: number): void {
    const known = this.#restored.get(packetId)
    if (known === undefined || known === fingerprint) return
    this.#restored.delete(packetId)
    this.#receiver.handlePubrel(packetId)
    this.#store?.removeReceived(packetId)
  }

  handlePubrel(pubrel: Pubrel): void {
    const { packetId } = pubrel
    this.#restored.delete(packetId)
    // The server has given up a message that the application is not done with.
    const pending = this.#pendingQoS2.get(packetId)
    if (pending !== undefined) pending.isReleased = true
    this.#pendingQoS2.delete(packetId)
    const known = this.#receiver.handlePubrel(packetId)
    if (known) this.#store?.removeReceived(packetId)
    // [MQTT-4.3.3-11]; an unknown one can be a repetition after a reconnect, and may still be known to the store
    const isLost = !known && this.#connection!.protocolVersion === 5
    this.#sendWhenSafe(7, packetId, isLost ? new Pubcomp(packetId, ReasonCode.PacketIdentifierNotFound) : null)
  }

  /** Sends the acknowledgements that are due: from the oldest message on, up to the first that is unfinished. */
  settle(): void {
    for (;;) {
      const delivery = this.#pending.peek()
      if (delivery === undefined) return
      const stale = delivery.connectionNumber !== this.#connectionNumber || this.#connection === null
      if (!delivery.done && !(stale && delivery.qos === 1)) return
      this.#pending.shift()
      if (delivery.qos === 2) this.#acknowledgeQoS2(delivery)
      else if (!stale) this.#acknowledgeQoS1(delivery)
    }
  }

  #acknowledgeQoS1(delivery: PendingDelivery): void {
    const { packetId, reasonCode, properties } = delivery
    this.#receiver.acknowledged(packetId, 1, false)
    if (reasonCode === 0 && properties === NO_REASON) this.#connection!.sendAck(4, packetId)
    else this.#connection!.send(new Puback(packetId, reasonCode, properties))
  }

  #acknowledgeQoS2(delivery: PendingDelivery): void {
    const { packetId, properties, fingerprint } = delivery
    if (delivery.isReleased) return
    this.#pendingQoS2.delete(packetId)
    // Without a connection there is nothing to send: when the server sends the message again it gets its PUBREC.
    if (this.#connection === null) {
      this.#store?.saveReceived(packetId, fingerprint)
      return
    }
    // Before 5.0 PUBREC cannot refuse, and the server goes on to PUBREL.
    const reasonCode = this.#connection.protocolVersion === 5 ? delivery.reasonCode : 0
    if (reasonCode >= ReasonCode.UnspecifiedError) this.#receiver.acknowledged(packetId, 2, true)
    else this.#store?.saveReceived(packetId, fingerprint)
    if (reasonCode === 0 && properties === NO_REASON) this.#sendWhenSafe(5, packetId)
    else this.#sendWhenSafe(5, packetId, new Pubrec(packetId, reasonCode, properties))
  }

  /** Sends PUBREC or PUBCOMP as soon as the session store has safely noted the identifier. */
  #sendWhenSafe(packetType: 5 | 7, packetId: number, packet: Pubrec | Pubcomp | null = null): void {
    const connection = this.#connection!
    const send = (): void => {
      if (this.#connection !== connection) return
      if (packet === null) connection.sendAck(packetType, packetId)
      else connection.send(packet)
    }
    if (this.#store === null) send()
    else this.#store.whenSafe(send)
  }
}
