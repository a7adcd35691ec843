/**
 * Messages of clients: their own PUBLISH and PUBREL, and the acknowledgements of those that they were sent.
 *
 * Sources: MQTT 5.0 sections 3.3, 4.3 and 4.9.
 */
import { isPayloadTooLarge } from './bytes.ts'
import { delayOf } from './delayed.ts'
import { doubt } from './deliveries.ts'
import { freeId } from './drops.ts'
import type { Model } from './model.ts'
import { type Expectation, type Held, type Instance, keyOf, type Life, type Link } from './state.ts'
import type { AckPacket, PublishPacket } from './types.ts'

/** PUBLISH from a client. */
export function handlePublish(model: Model, link: Link, life: Life, packet: PublishPacket, isNew: boolean): void {
  model.cover(`publish.qos${packet.qos}`)
  if (packet.dup) model.cover('publish.dup')
  let { topic } = packet
  if (packet.topicAlias !== 0) {
    model.cover('publish.alias')
    if (topic !== '') link.aliasesIn.set(packet.topicAlias, topic)
    else topic = link.aliasesIn.get(packet.topicAlias)!
  }
  const delay = model.settings.hasDelays ? delayOf(topic, link.settings.mountPoint) : null
  topic = delay?.topic ?? topic
  if (packet.qos > 0) {
    const key = keyOf({ topic, payload: packet.payload })
    const earlier = life.fromClient.get(packet.packetId)
    if (!packet.dup && earlier !== undefined && earlier.key === key && earlier.link !== link)
      model.fail('end to end', `${link.name}: the client sends ${packet.packetId} again without DUP [MQTT-3.3.1-1]`)
    life.fromClient.set(packet.packetId, { key, qos: packet.qos, link })
  }
  const held = heldBy(model, link, life, topic, packet, isNew)
  if (held !== null && !held.isUncertain) {
    model.cover('publish.duplicate-of-held')
    // Sent again on the same connection it uses no more quota.
    if (held.link !== link) link.unacknowledged++
    held.link = link
    const { instance } = held
    model.owe(link, { type: 'PUBREC', packetId: packet.packetId, instance, held, allowed: [0, 0x10, 0x97] })
    return
  }
  if (packet.qos > 0) link.unacknowledged++
  const instance =
    held?.instance ?? instanceOf(model, life, topic, delay === null ? packet : { ...packet, retain: false })
  instance.isDelayed = delay !== null
  if (held !== null) {
    instance.wasPublishedAgain = true
    instance.publishedSeq = model.seq
    // Who matches now has been promised nothing yet.
    instance.isAcknowledged = false
  }
  let newHeld: Held | null = null
  if (packet.qos === 2) {
    newHeld = {
      instance,
      topic,
      payload: packet.payload,
      seq: model.seq,
      releasedSeq: Number.POSITIVE_INFINITY,
      link,
      mountPoint: life.mountPoint,
      isReleasePromised: false,
      isUncertain: false,
    }
    life.held.set(packet.packetId, newHeld)
  }
  if (held !== null) doubt(instance)
  const allowed = model.accept(instance, topic, life)
  if (delay !== null && !instance.isRefused) model.delayed.add(instance, packet, delay, life)
  // It may have matched before a crash and not now.
  if (held !== null && !instance.isRefused) allowed.splice(0, 1, 0, 0x10)
  if (packet.qos > 0) {
    const type = packet.qos === 1 ? 'PUBACK' : 'PUBREC'
    model.owe(link, { type, packetId: packet.packetId, instance, held: newHeld, allowed })
    if (instance.isRefused && instance.withheld !== 0) freeId(model, instance)
  }
}

/** The QoS 2 message that this PUBLISH repeats; uncertain: a crash may have taken it. */
function heldBy(
  model: Model,
  link: Link,
  life: Life,
  topic: string,
  packet: PublishPacket,
  isNew: boolean,
): Held | null {
  const held = packet.qos === 2 ? life.held.get(packet.packetId) : undefined
  if (held === undefined || held.releasedSeq !== Number.POSITIVE_INFINITY) return null
  if (held.isUncertain && isNew && topic !== held.topic) return null
  if (keyOf(held) !== keyOf({ topic: topicSeen(life, held, topic), payload: packet.payload })) {
    // A client of a session that a crash has brought back may use the id anew.
    if (held.isUncertain && isNew) return null
    if (!life.isRevived) model.fail('no loss', `${link.name}: PUBLISH ${packet.packetId} is taken for another message`)
  }
  if (!isNew) held.isUncertain = false
  return held
}

/**
 * Topic as the client sees it. After a return on another listener its topics are the same, though the broker has them
 * below another mount point.
 */
function topicSeen({ mountPoint }: Life, { topic: sent, mountPoint: before }: Held, topic: string): string {
  if (mountPoint === before) return topic
  return topic.slice(mountPoint.length) === sent.slice(before.length) ? sent : topic
}

function instanceOf(model: Model, life: Life, topic: string, packet: PublishPacket): Instance {
  const { payload, qos, retain, passedOn, expirySeconds } = packet
  const { settings } = model
  // Who may not publish it, or not so much, is refused before.
  const isRefused = isPayloadTooLarge(model, packet) || !settings.mayPublish(life.clientId, life.username, topic)
  const change = isRefused ? null : settings.changeOf(payload)
  const changed = { topic, payload, retain, ...(typeof change === 'object' ? change : {}) }
  if (change !== null) model.cover(typeof change === 'number' ? 'publish.withheld' : 'publish.changed')
  const instance = model.newInstance(
    changed.topic,
    changed.payload,
    qos,
    changed.retain,
    passedOn,
    expirySeconds,
    life,
    life.username,
  )
  if (typeof change === 'number') instance.withheld = change
  return instance
}

/** PUBACK, PUBREC or PUBCOMP from a client. */
export function handleAck(model: Model, link: Link, life: Life, { type, packetId, reasonCode }: AckPacket): void {
  let expectation = life.flight.get(packetId)
  if (type === 'PUBCOMP' && expectation?.qos !== 2) expectation = life.releasedWith(packetId) ?? expectation
  model.cover(`in.${type}`)
  if (expectation === undefined) {
    if (type === 'PUBREC' && reasonCode < 0x80)
      life.strayPubrecs.set(packetId, (life.strayPubrecs.get(packetId) ?? 0) + 1)
    model.cover('in.ack-of-unknown')
    return
  }
  if (type === 'PUBACK' && expectation.qos === 1) {
    finish(model, link, life, expectation)
  } else if (type === 'PUBREC' && expectation.qos === 2) {
    if (expectation.progress === 'released') life.strayPubrecs.set(packetId, (life.strayPubrecs.get(packetId) ?? 0) + 1)
    else if (reasonCode >= 0x80) {
      model.cover('in.PUBREC-failed')
      finish(model, link, life, expectation)
    } else if (expectation.progress === 'sent') {
      expectation.progress = 'received'
      expectation.receivedSeq = model.seq
    }
  } else if (type === 'PUBCOMP' && expectation.qos === 2 && expectation.progress === 'released') {
    finish(model, link, life, expectation)
  } else if (!life.forgottenIds.has(packetId)) {
    model.violate(link, `${type} for a message that waits for another acknowledgement`)
  }
}

function finish(model: Model, link: Link, life: Life, expectation: Expectation): void {
  expectation.progress = 'done'
  expectation.doneSeq = model.seq
  if (life.flight.get(expectation.packetId) !== expectation) return
  life.flight.delete(expectation.packetId)
  life.forgottenIds.delete(expectation.packetId)
  link.outstanding.delete(expectation.packetId)
}

/** PUBREL from a client. */
export function handlePubrel(model: Model, link: Link, life: Life, { packetId }: AckPacket): void {
  model.cover('in.PUBREL')
  const held = life.held.get(packetId)
  if (held !== undefined && held.releasedSeq === Number.POSITIVE_INFINITY) {
    held.releasedSeq = model.seq
    if (held.link === link && link.unacknowledged > 0) link.unacknowledged--
  }
  model.owe(link, { type: 'PUBCOMP', packetId, held: held ?? null, allowed: [0, 0x92] })
}
