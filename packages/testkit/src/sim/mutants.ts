/**
 * Ways to break the product, each a replacement in one compiled file. The simulation must notice every one.
 *
 * The searched text must stand exactly once in the file: a mutant that does not fit any more is an error, not a success.
 */
export interface Mutant {
  readonly name: string
  /** Below `packages/`, in `dist`. */
  readonly file: string
  readonly search: string
  readonly replace: string
}

const core = (file: string): string => `broker/dist/core/${file}.js`

export const mutant = (name: string, file: string, search: string, replace: string): Mutant => ({
  name,
  file,
  search,
  replace,
})

/** In how many places it fits; it must be one. */
export function placesOf({ search }: Mutant, compiled: string): number {
  return compiled.split(search).length - 1
}

export const mutants: readonly Mutant[] = [
  // --- what is safe before it is promised
  mutant(
    'PUBACK and PUBREC before the message is on disk',
    core('journal/journal'),
    'row.waiting = answer;\n            answer.waits++;',
    '',
  ),
  mutant(
    'SUBACK before the subscription is on disk',
    core('connection/handle-subscribe'),
    'journal.gate(pending);',
    ';',
  ),
  mutant(
    'PUBCOMP before the packet id is forgotten on disk',
    core('connection/handle-publish'),
    '(isHeld && !isStored)) {',
    'true) {',
  ),
  mutant(
    'PUBCOMP to a PUBREL that comes again before the packet id is forgotten on disk',
    core('connection/handle-publish'),
    '(isHeld && !isStored)) {',
    '!isStored) {',
  ),
  mutant(
    'PUBREL before the PUBREC is on disk',
    core('session/session'),
    'if (!delivery.isGated) {\n            this.#journal.progress(delivery, true);\n            delivery.isGated = true;\n        }\n        return false;',
    'this.#journal.progress(delivery, false);\n        return true;',
  ),
  mutant(
    'first QoS 2 PUBLISH before its packet id is on disk',
    core('session/session'),
    'const isGated = this.#journal !== null && delivery.qos === 2;',
    'const isGated = false;',
  ),
  mutant(
    'a retained message is acknowledged before it is on disk',
    core('journal/journal'),
    'if (isRetained)\n            this.gate(answer);',
    '',
  ),
  mutant(
    'a failed batch counts as written',
    core('journal/journal'),
    'if (error === null)\n                    this.#done(batch);',
    'if (true)\n                    this.#done(batch);',
  ),
  mutant(
    'changes of a failed batch are forgotten',
    core('journal/journal'),
    'this.#changes = [...batch.changes, ...this.#changes];',
    '',
  ),
  mutant(
    'rows of a failed batch are forgotten',
    core('journal/journal'),
    'this.#urgentRows = [...batch.rows, ...this.#urgentRows];',
    '',
  ),
  mutant(
    'the packet id of a QoS 2 publisher is not kept with the message',
    core('journal/batch-writer'),
    'this.#store.put(Table.Received, ids.sessionNumber, receipt.packetId, 0, NO_VALUE);',
    '',
  ),
  mutant(
    'the packet id of a QoS 2 publisher is not kept with what another member inherits',
    core('journal/received-ids'),
    'const receipt = new Receipt(this, packetId, row);',
    'if (row === null) return; const receipt = new Receipt(this, packetId, row);',
  ),
  mutant(
    'a recipient that is done is not noted in a message for several',
    core('journal/batch-writer'),
    'encodeFlight({ packetId: 0, flow: 0, isDone: true })',
    'encodeFlight({ packetId: 0, flow: 0, isDone: false })',
  ),
  mutant('acknowledged messages stay on disk', core('journal/journal'), 'this.#removals.push(delivery);', ''),
  mutant('rows of ended sessions stay on disk', core('journal/journal'), 'this.#leftRows.push(left);', ''),
  mutant(
    'a subscription is not kept',
    core('session/subscriptions'),
    'this.#journal.change(Table.Subscriptions, this.#sessionNumber, entry.number, 0, encodeSubscription(entry.options));',
    '',
  ),
  mutant(
    'an ended subscription comes back after a crash',
    core('session/subscriptions'),
    'this.#journal.change(Table.Subscriptions, this.#sessionNumber, entry.number, 0, null);',
    ';',
  ),
  mutant(
    'recovery gives messages in flight a new packet id',
    core('session/recovery'),
    'delivery.packetId = flight.packetId;',
    'delivery.packetId = flight.packetId + 1;',
  ),
  mutant(
    'the packet id of a QoS 2 publisher is not kept with what is retained',
    core('journal/journal'),
    'this.change(Table.Received, ids.sessionNumber, packetId, 0, NO_VALUE);',
    '',
  ),
  mutant(
    'a message that is too large with a Topic Alias is dropped',
    core('connection/publish-writer'),
    'if (this.aliases === null)\n                    return false;',
    '{ this.aliases = null; return false; }',
  ),
  mutant(
    'recovery forgets received QoS 2 packet ids',
    core('session/recovery'),
    'session.receiver.restore(packetId);',
    '',
  ),
  mutant(
    'after a restart sessions live anew',
    core('session/sessions'),
    'const awaySinceMs = disconnectedAtMs === 0 ? this.#lostAtMs(expirySeconds) : disconnectedAtMs;',
    'const awaySinceMs = this.context.turn.nowMs;',
  ),
  mutant(
    'one row for a session that gets a message twice',
    core('journal/journal'),
    'else if (delivery.group !== null) {',
    'else if (false) {',
  ),

  // --- QoS flows
  mutant('DUP is forgotten', core('session/session'), 'const dup = way === Way.Again;', 'const dup = false;'),
  mutant(
    'a packet id in use is given out again',
    'protocol/dist/packet-ids.js',
    'while (this.has(id));',
    'while (false);\n        id = (id % 3) + 1;',
  ),
  mutant(
    'QoS 2 packet ids are never released',
    'protocol/dist/receiver.js',
    'const connection = this.#held.delete(packetId);',
    'const connection = this.#held.get(packetId);',
  ),
  mutant(
    'QoS 2 duplicates are delivered',
    'protocol/dist/receiver.js',
    'if (connection === this.#connection)\n            return false;',
    'if (connection === this.#connection)\n            return true;',
  ),
  mutant(
    'QoS 2 duplicates use quota',
    'protocol/dist/receiver.js',
    'if (connection === this.#connection)\n            return false;',
    '',
  ),
  mutant(
    'QoS 2 duplicates of an earlier connection are delivered',
    'protocol/dist/receiver.js',
    'return connection === undefined;',
    'return true;',
  ),
  mutant(
    "the client's Receive Maximum is ignored",
    'protocol/dist/sender.js',
    'return this.#outstanding < this.receiveMaximum && this.#resend.length === 0;',
    'return this.#resend.length === 0;',
  ),
  mutant(
    'resent in the wrong order',
    'protocol/dist/sender.js',
    'a.flightOrder - b.flightOrder',
    'b.flightOrder - a.flightOrder',
  ),
  mutant(
    'nothing is sent again after a reconnect',
    core('session/session'),
    'this.#isResending = this.sender.inflight > 0;\n        this.advance();',
    'this.advance();',
  ),
  mutant(
    'PUBACK out of order',
    core('connection/acknowledgement-line'),
    'if (this.#line.length > 0 && !(packetType',
    'if (false && !(packetType',
  ),
  mutant(
    'a QoS 2 message whose permission is awaited is held when the connection is lost',
    core('session/session'),
    'if (this.undecidedPacketId !== 0)',
    'if (false)',
  ),

  // --- who gets what
  mutant(
    'delivered after UNSUBACK',
    core('routing/router'),
    'if (subscriptions.plain.delete(subscriber))',
    'if (false)',
  ),
  mutant(
    'No Local is ignored',
    core('routing/router'),
    'target.noLocal ? null : (target.withoutNoLocal ?? target)',
    'target',
  ),
  mutant(
    'overlapping subscriptions deliver twice',
    core('routing/router'),
    'if (subscriber.routeStamp === stamp) {',
    'if (false) {',
  ),
  mutant(
    'Subscription Identifiers of overlapping subscriptions are lost',
    core('routing/route'),
    'sum.subscriptionIdentifiers = [...(a.subscriptionIdentifiers ?? []), ...(b.subscriptionIdentifiers ?? [])];',
    'sum.subscriptionIdentifiers = a.subscriptionIdentifiers;',
  ),
  mutant(
    'a shared subscription delivers to nobody who is away',
    core('routing/shared-group'),
    'if (readiness > bestReadiness) {',
    'if (readiness > Math.max(1, bestReadiness)) {',
  ),
  mutant(
    'a shared subscription delivers twice',
    core('routing/router'),
    'this.#deliver(message, member);\n            count++;',
    'this.#deliver(message, member);\n            groups[i].choose(null)?.subscriber.deliver(message, member);\n            count++;',
  ),
  mutant('the QoS of the subscription is ignored', core('base/message'), 'return Math.min(a, b);', 'return a;'),
  mutant(
    'Retain As Published is ignored',
    core('session/session'),
    'const retain = subscription.retainAsPublished && message.retain;',
    'const retain = message.retain;',
  ),
  mutant(
    'permission to publish is not asked',
    core('connection/handle-publish'),
    'if (verdict === ALLOW)\n        acceptMessage(',
    'if (true)\n        acceptMessage(',
  ),
  mutant('permission to subscribe is not asked', core('connection/handle-subscribe'), 'reasonCode = verdict;', ';'),
  mutant(
    'a route is remembered when subscriptions change',
    core('routing/router'),
    'this.#changed(topicFilter);\n    }\n    unsubscribe',
    '}\n    unsubscribe',
  ),
  mutant(
    'Clean Start keeps the session',
    core('session/sessions'),
    'if (session !== undefined && cleanStart) {',
    'if (false) {',
  ),
  mutant(
    'CONNACK of a Clean Start before the end of the session is on disk',
    core('session/sessions'),
    '(isPromise || this.#ends.has(clientId))',
    'isPromise',
  ),
  mutant(
    'Session Present lies',
    core('connection/handle-connect'),
    'const isPresent = sessionPresent &&',
    'const isPresent = !sessionPresent &&',
  ),
  mutant(
    'two connections with one Client Identifier',
    core('session/sessions'),
    "other.closeWith(ReasonCode.SessionTakenOver, 'the client has connected again');",
    '',
  ),

  // --- retained messages
  mutant(
    'an empty payload does not clear',
    core('routing/retained'),
    'this.delete(message.topic);\n            return true;',
    'return true;',
  ),
  mutant(
    'the first retained message stays',
    core('routing/retained'),
    'this.#put(message.keep(), old);',
    'if (old === undefined)\n            this.#put(message.keep(), old);',
  ),
  mutant(
    'retained messages come without RETAIN',
    core('session/session'),
    'this.#offer(message, qos, true, subscription',
    'this.#offer(message, qos, false, subscription',
  ),
  mutant(
    'Retain Handling is ignored',
    core('connection/handle-subscribe'),
    'retainHandling === 0 || (retainHandling === 1 && isNew)',
    'true',
  ),

  // --- Wills
  mutant('Wills are dropped', core('session/wills'), 'this.#intake.accept(message', 'void (message'),
  mutant(
    'a Will does not wait',
    core('session/wills'),
    'if (delaySeconds === 0 || session.expirySeconds === 0) {',
    'if (true) {',
  ),
  mutant(
    'a Will is published though the client is back',
    core('session/wills'),
    'this.#take(pending);\n        if (pending.session === null)',
    'if (pending.session === null)',
  ),
  mutant(
    'a Will is published after DISCONNECT',
    core('connection/connection'),
    'packet.reasonCode === ReasonCode.NormalDisconnection ? null : this.will',
    'this.will',
  ),
  mutant('a Will waits beyond its session', core('session/sessions'), 'wills.publishPending(session)', 'undefined'),
  mutant(
    'a shutdown forgets delayed Wills',
    core('session/sessions'),
    'else if (session.pendingWill === null)',
    'else',
  ),

  // --- time
  mutant('messages do not expire', core('base/message'), 'return this.expiresAtMs <= nowMs;', 'return false;'),
  mutant(
    'the Message Expiry Interval is passed on one second too long',
    core('base/message'),
    'Math.ceil((this.expiresAtMs - nowMs) / 1000)',
    'Math.ceil((this.expiresAtMs - nowMs) / 1000) + 1',
  ),
  mutant(
    'sessions do not expire',
    core('session/sessions'),
    'this.context.wheel.set(session.expiryTimer, nowMs + session.expirySeconds * 1000);',
    '',
  ),
  mutant(
    'a session expires though its client is back',
    core('session/session'),
    'wheel.clear(this.expiryTimer);\n        this.sender.resume();',
    'this.sender.resume();',
  ),
  mutant(
    'the expiry of DISCONNECT is ignored',
    core('connection/connection'),
    'session.expirySeconds = Math.min(expirySeconds, this.limits.sessionExpirySecondsMax);',
    '',
  ),
  mutant('Keep Alive is ignored', core('connection/connection'), 'this.#keepAlive.isOver(nowMs))', 'false)'),

  // --- bounds, bytes
  mutant(
    'a full queue takes more',
    core('session/backlog'),
    'return this.queue.length < this.#messagesMax &&',
    'return',
  ),
  mutant(
    'dropped messages are not counted',
    core('session/session'),
    'this.#context.dropped(this.clientId, message.topic, qos, reason);',
    '',
  ),
  mutant(
    'Maximum Packet Size is ignored',
    core('connection/publish-writer'),
    'if (maximumPacketSize !== Number.POSITIVE_INFINITY) {',
    'if (false) {',
  ),
  mutant('payloads are not copied', core('base/message'), 'if (this.#borrowed) {', 'if (false) {'),
  mutant(
    'a Topic Alias stands for nothing',
    core('connection/publish-writer'),
    'if (!assigned.isNew)\n                        topicField',
    'topicField',
  ),
  mutant('User Properties are lost', core('base/message'), 'result.userProperties = properties.userProperties;', ''),

  // --- permission at delivery
  mutant(
    'routes ask nobody who may receive',
    core('routing/router'),
    'if (this.isFiltering && !subscriber.mayReceive(topic))',
    'if (false)',
  ),
  mutant(
    'rights that have changed do not reach the routes',
    core('core'),
    'context.rechecks++;\n        this.router.rightsChanged();',
    'context.rechecks++;',
  ),
  mutant(
    'whose session it is does not reach the routes',
    core('session/session'),
    'if (this.subscriptions.size > 0 && !isSame)\n            this.#parts.router.rightsChanged();',
    '',
  ),
  mutant(
    'what waits is sent to who may not have it any more',
    core('session/session'),
    "return this.mayReceive(message.topic) ? null : 'not-authorized';",
    'return null;',
  ),
  mutant(
    'what is in flight is sent again to who may not have it any more',
    core('session/session'),
    'if (way !== Way.Routed) {',
    'if (way === Way.Waited) {',
  ),
  mutant(
    'a QoS 2 message that is given up frees its packet id at once',
    core('session/session'),
    'if (qos === 2 && delivery.isSent) {',
    'if (false) {',
  ),
  mutant(
    'a PUBLISH that has waited for the disk leaves out of turn on a new connection',
    core('session/session'),
    'if (connection === null || sender.awaitsResend(delivery))',
    'if (connection === null)',
  ),
  mutant(
    'Session Expiry of a client that was connected at a crash begins at the restart',
    core('session/sessions'),
    'this.#lostAtMs(expirySeconds)',
    'this.context.turn.nowMs',
  ),
  mutant('a full queue is not known after a restart', core('session/recovery'), 'session.backlog.noteFullness();', ';'),
  mutant(
    'a durable session that is wanted no longer keeps no messages in flight',
    core('session/session'),
    'this.#journal !== null || this.expirySeconds !== 0 || group !== null',
    'this.expirySeconds !== 0 || group !== null',
  ),
  mutant(
    'what is retained is sent to who may not have it',
    core('session/retained-feeds'),
    'if (!this.#session.mayReceive(topic))\n            return false;',
    '',
  ),
  mutant(
    'a shared subscription chooses who may not have it',
    core('routing/shared-group'),
    'if (topic !== null && !member.subscriber.mayReceive(topic))',
    'if (false)',
  ),

  // --- the memory ceiling
  mutant(
    'sessions are begun though memory is short',
    core('connection/handle-connect'),
    'context.memoryGuard?.refusesNew && expirySeconds > 0',
    'false && expirySeconds > 0',
  ),
  mutant(
    'clients are let in though memory is short',
    core('connection/handle-connect'),
    'memoryGuard?.refusesToKeep',
    'false',
  ),
  mutant(
    'subscriptions are made though memory is short',
    core('connection/handle-subscribe'),
    'connection.context.memoryGuard?.refusesNew',
    'false',
  ),
  mutant(
    'messages are retained though memory is short',
    core('routing/intake'),
    '!isNews && !this.#hasMemoryToRetain(message)',
    'false',
  ),
  mutant(
    'messages are queued though memory is short',
    core('session/backlog'),
    '!isInherited && this.#context.memoryGuard?.refusesToKeep',
    'false',
  ),
  mutant('memory is never short', core('base/memory-guard'), 'if (level !== this.level) {', 'if (false) {'),
  mutant('a memory level does not end below where it began', core('base/memory-guard'), '(isIn ? LEAVE : 0)', '0'),
  mutant(
    'garbage makes memory short',
    core('base/memory-guard'),
    'else if (level > this.level && level < MemoryLevel.Full) {',
    'else if (false) {',
  ),

  // --- rate limits
  mutant('rates are not kept', core('connection/throttle'), 'if (ownMs > 0) {', 'if (false) {'),
  mutant('the rate of a listener is not kept', core('connection/throttle'), 'if (listenerMs === 0)', 'if (true)'),
  mutant(
    'who is over a rate is disconnected at once',
    core('connection/throttle'),
    'if (nowMs - this.#overSinceMs >= this.#graceMs) {',
    'if (true) {',
  ),
  mutant(
    'who is over a rate is never disconnected',
    core('connection/throttle'),
    'if (nowMs - this.#overSinceMs >= this.#graceMs) {',
    'if (false) {',
  ),
  mutant(
    'a rest is not noticed',
    core('connection/throttle'),
    'const isFresh = this.#overSinceMs === Number.POSITIVE_INFINITY || nowMs - this.#wentOnMs >= REST_MS;',
    'const isFresh = this.#overSinceMs === Number.POSITIVE_INFINITY;',
  ),
  mutant(
    'who is held back for a rate is silent',
    core('connection/read-gate'),
    '(this.#stops & (Stop.Decision | Stop.Rate)) !== 0',
    '(this.#stops & Stop.Decision) !== 0',
  ),
  mutant(
    'what is held back for a rate is not read again',
    core('connection/throttle'),
    'this.#connection.goOnAfterRate();',
    '',
  ),

  // --- Client Identifiers that the broker chooses
  mutant(
    'an assigned Client Identifier is not told',
    core('connection/handle-connect'),
    "if (request.connect.clientId === '')\n        answer.assigned",
    'if (false)\n        answer.assigned',
  ),
  mutant(
    'who has a Client Identifier is told that it is assigned',
    core('connection/handle-connect'),
    "if (request.connect.clientId === '')\n        answer.assigned",
    'if (true)\n        answer.assigned',
  ),
  mutant(
    'a Client Identifier that is in use is assigned',
    core('connection/handle-connect'),
    'context.random.hex(16)',
    '1',
  ),
  mutant(
    'an empty Client Identifier with Clean Session 0 is let in',
    core('connection/handle-connect'),
    '(connect.protocolVersion === 4 && connect.cleanStart)',
    'connect.protocolVersion === 4',
  ),
  mutant(
    'an empty Client Identifier is let in where none is allowed',
    core('connection/handle-connect'),
    'settings.options.allowEmptyClientId && (isV5',
    '(isV5',
  ),
  mutant(
    'an empty Client Identifier is refused with another code',
    core('connection/handle-connect'),
    "ReasonCode.ClientIdentifierNotValid, 'the Client Identifier is empty'",
    "ReasonCode.NotAuthorized, 'the Client Identifier is empty'",
  ),

  // --- the clock across a restart
  mutant('the time is not noted', core('journal/batch-writer'), 'store.put(Table.Meta, TIME_KEY', 'void (0, TIME_KEY'),
  mutant(
    'the time goes back with the clock',
    core('base/steady-clock'),
    'this.behindMs = Math.max(0, this.notedMs - clock.nowMs());',
    'this.behindMs = 0;',
  ),
  mutant(
    'alarms are not of the time that goes on',
    core('base/steady-clock'),
    'this.#clock.alarm(atMs - this.behindMs, callback);',
    'this.#clock.alarm(atMs, callback);',
  ),

  // --- the client library
  mutant(
    'client: DUP is forgotten',
    'client/dist/publisher.js',
    'this.#writeOutgoing(connection, item, true)',
    'this.#writeOutgoing(connection, item, false)',
  ),
  mutant(
    'client: a QoS 2 message is handed out twice',
    'client/dist/inbox.js',
    'if (!this.#receiver.handlePublish(packetId, qos, publish.dup)) {',
    'if (this.#receiver.handlePublish(packetId, qos, publish.dup), false) {',
  ),
  mutant(
    'client: unacknowledged messages are not sent again',
    'client/dist/publisher.js',
    'if (sessionPresent)\n            this.#sender.resume();',
    'if (sessionPresent)\n            ;',
  ),
]
