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
import { isCertificate } from './sparkplug.ts'
import {
  type Expectation,
  type Held,
  keyOf,
  type ModelConnection,
  type ModelSession,
  type Publication,
} from './state.ts'
import type { AckPacket, PublishPacket } from './types.ts'

/** PUBLISH from a client. */
export function handlePublish(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  packet: PublishPacket,
  isNew: boolean,
): void {
  model.cover(`publish.qos${packet.qos}`)
  if (packet.dup) model.cover('publish.dup')
  let { topic } = packet
  if (packet.topicAlias !== 0) {
    model.cover('publish.alias')
    if (topic !== '') connection.aliasesIn.set(packet.topicAlias, topic)
    else topic = connection.aliasesIn.get(packet.topicAlias)!
  }
  const delay = model.settings.hasDelays ? delayOf(topic, connection.settings.mountPoint) : null
  topic = delay?.topic ?? topic
  const isMalformed = delay?.isMalformed === true
  if (packet.qos > 0) {
    const key = keyOf({ topic, payload: packet.payload })
    const earlier = session.fromClient.get(packet.packetId)
    if (!packet.dup && earlier !== undefined && earlier.key === key && earlier.connection !== connection)
      model.fail(
        'end to end',
        `${connection.name}: the client sends ${packet.packetId} again without DUP [MQTT-3.3.1-1]`,
      )
    session.fromClient.set(packet.packetId, { key, qos: packet.qos, connection })
  }
  const held = heldBy(model, connection, session, topic, packet, isNew)
  if (held !== null && !held.isUncertain) {
    model.cover('publish.duplicate-of-held')
    // Sent again on the same connection it uses no more quota.
    if (held.connection !== connection) connection.unacknowledged++
    held.connection = connection
    const { publication } = held
    model.owe(connection, { type: 'PUBREC', packetId: packet.packetId, publication, held, allowed: [0, 0x10, 0x97] })
    return
  }
  if (packet.qos > 0) connection.unacknowledged++
  // One that was refused went to nobody: what comes after a crash is published, and changed, as if for the first time.
  const again = held !== null && (delay !== null || !held.publication.isRefused) ? held.publication : null
  const publication = again ?? instanceOf(model, session, topic, delay === null ? packet : { ...packet, retain: false })
  publication.isDelayed = delay !== null && !isMalformed
  publication.isMalformed = isMalformed
  if (again !== null) {
    publication.wasPublishedAgain = true
    publication.alsoPassedOn.add(packet.passedOn)
    publication.publishedSeq = model.seq
    // Who matches now has been promised nothing yet.
    publication.isAcknowledged = false
    // There may be room for it now, where there was none before the crash.
    if (delay !== null) publication.isRefused = false
  }
  let newHeld: Held | null = null
  if (packet.qos === 2) {
    newHeld = {
      publication,
      topic,
      payload: packet.payload,
      seq: model.seq,
      releasedSeq: Number.POSITIVE_INFINITY,
      connection,
      mountPoint: session.mountPoint,
      isReleasePromised: false,
      isUncertain: false,
    }
    session.held.set(packet.packetId, newHeld)
  }
  if (again !== null) doubt(publication)
  const allowed = model.accept(publication, topic, session)
  if (delay !== null && !isMalformed && !publication.isRefused) model.delayed.add(publication, packet, delay, session)
  // It may have matched before a crash and not now.
  if (again !== null && !publication.isRefused) allowed.splice(0, 1, 0, 0x10)
  if (packet.qos > 0) {
    const type = packet.qos === 1 ? 'PUBACK' : 'PUBREC'
    model.owe(connection, { type, packetId: packet.packetId, publication, held: newHeld, allowed })
    if (publication.isRefused && publication.withheld !== 0) freeId(model, publication)
  }
}

/** True for a PUBLISH that the broker refuses before it asks the policy. */
export function isRefusedUnasked(model: Model, connection: ModelConnection, packet: PublishPacket): boolean {
  const { hasDelays, isSparkplugAware } = model.settings
  if (isPayloadTooLarge(model, packet)) return true
  const topic = packet.topic || (connection.aliasesIn.get(packet.topicAlias) ?? '')
  const delay = hasDelays ? delayOf(topic, connection.settings.mountPoint) : null
  return delay?.isMalformed === true || (isSparkplugAware && isCertificate(delay?.topic ?? topic))
}

/** The QoS 2 message that this PUBLISH repeats; uncertain: a crash may have taken it. */
function heldBy(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  topic: string,
  packet: PublishPacket,
  isNew: boolean,
): Held | null {
  const held = packet.qos === 2 ? session.held.get(packet.packetId) : undefined
  if (held === undefined || held.releasedSeq !== Number.POSITIVE_INFINITY) return null
  if (held.isUncertain && isNew && topic !== held.topic) return null
  if (keyOf(held) !== keyOf({ topic: topicSeen(session, held, topic), payload: packet.payload })) {
    // A client of a session that a crash has brought back may use the id anew.
    if (held.isUncertain && isNew) return null
    if (!session.isRevived)
      model.fail('no loss', `${connection.name}: PUBLISH ${packet.packetId} is taken for another message`)
  }
  if (!isNew) held.isUncertain = false
  return held
}

/**
 * Topic as the client sees it. After a return on another listener its topics are the same, though the broker has them
 * below another mount point.
 */
function topicSeen({ mountPoint }: ModelSession, { topic: sent, mountPoint: before }: Held, topic: string): string {
  if (mountPoint === before) return topic
  return topic.slice(mountPoint.length) === sent.slice(before.length) ? sent : topic
}

function instanceOf(model: Model, session: ModelSession, topic: string, packet: PublishPacket): Publication {
  const { payload, qos, retain, passedOn, expirySeconds } = packet
  const { settings } = model
  // Who may not publish it, or not so much, is refused before.
  const isRefused = isPayloadTooLarge(model, packet) || !settings.mayPublish(session.clientId, session.username, topic)
  const change = isRefused ? null : settings.changeOf(payload)
  const changed = { topic, payload, retain, ...(typeof change === 'object' ? change : {}) }
  if (change !== null) model.cover(typeof change === 'number' ? 'publish.withheld' : 'publish.changed')
  const publication = model.newPublication(
    changed.topic,
    changed.payload,
    qos,
    changed.retain,
    passedOn,
    expirySeconds,
    session,
    session.username,
  )
  if (typeof change === 'number') publication.withheld = change
  return publication
}

/** PUBACK, PUBREC or PUBCOMP from a client. */
export function handleAck(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  { type, packetId, reasonCode }: AckPacket,
): void {
  let expectation = session.flight.get(packetId)
  if (type === 'PUBCOMP' && expectation?.qos !== 2) expectation = session.releasedWith(packetId) ?? expectation
  model.cover(`in.${type}`)
  if (expectation === undefined) {
    if (type === 'PUBREC' && reasonCode < 0x80)
      session.strayPubrecs.set(packetId, (session.strayPubrecs.get(packetId) ?? 0) + 1)
    model.cover('in.ack-of-unknown')
    return
  }
  if (type === 'PUBACK' && expectation.qos === 1) {
    finish(model, connection, session, expectation)
  } else if (type === 'PUBREC' && expectation.qos === 2) {
    if (expectation.progress === 'released')
      session.strayPubrecs.set(packetId, (session.strayPubrecs.get(packetId) ?? 0) + 1)
    else if (reasonCode >= 0x80) {
      model.cover('in.PUBREC-failed')
      finish(model, connection, session, expectation)
    } else if (expectation.progress === 'sent') {
      expectation.progress = 'received'
      expectation.receivedSeq = model.seq
    }
  } else if (type === 'PUBCOMP' && expectation.qos === 2 && expectation.progress === 'released') {
    finish(model, connection, session, expectation)
  } else if (!session.forgottenIds.has(packetId)) {
    model.violate(connection, `${type} for a message that waits for another acknowledgement`)
  }
}

function finish(model: Model, connection: ModelConnection, session: ModelSession, expectation: Expectation): void {
  expectation.progress = 'done'
  expectation.doneSeq = model.seq
  if (session.flight.get(expectation.packetId) !== expectation) return
  session.flight.delete(expectation.packetId)
  session.forgottenIds.delete(expectation.packetId)
  connection.outstanding.delete(expectation.packetId)
}

/** PUBREL from a client. */
export function handlePubrel(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  { packetId }: AckPacket,
): void {
  model.cover('in.PUBREL')
  const held = session.held.get(packetId)
  if (held !== undefined && held.releasedSeq === Number.POSITIVE_INFINITY) {
    held.releasedSeq = model.seq
    if (held.connection === connection && connection.unacknowledged > 0) connection.unacknowledged--
  }
  model.owe(connection, { type: 'PUBCOMP', packetId, held: held ?? null, allowed: [0, 0x92] })
}
