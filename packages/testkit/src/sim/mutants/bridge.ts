/** Mutants of bridges, which `npm run sim:mutants -- --bridge` tries on the simulation with bridges. */
import { type Mutant, mutant } from './mutant.ts'

export const bridgeMutants: readonly Mutant[] = [
  // --- sessions and their Packet Identifiers
  mutant(
    'Packet Identifiers of a remote session that is gone still count as received',
    'broker',
    'RelaySession.attach',
    'if (isFarNew) {',
    'if (false) {',
  ),
  mutant(
    'a session of the remote broker that is not known is not released of its Packet Identifiers',
    'recado',
    'FarLineage.mustRelease',
    'this.#awaited.add(packetId); return true;',
    'return false;',
  ),
  mutant(
    'the session of a bridge here is not kept on the disk',
    'broker',
    'RelaySession.openSession',
    'this.#cleanStart ? 0 : NEVER_EXPIRES',
    '0',
  ),
  mutant(
    'the session there ends with the connection in MQTT 5.0',
    'recado',
    'BridgeLink.#connect',
    'config.sessionExpirySeconds ?? (config.cleanStart ? 0 : NEVER_SECONDS)',
    '0',
  ),
  mutant(
    'a message of the remote broker that came twice is taken twice',
    'broker',
    'RelaySession.handlePublish',
    'if (!session.receiver.handlePublish(publish.packetId, publish.qos, publish.dup)) {',
    'session.receiver.handlePublish(publish.packetId, publish.qos, publish.dup); if (false) {',
  ),
  mutant(
    'PUBREL goes to the remote broker before PUBREC is on the disk',
    'broker',
    'RelaySession.handlePubrec',
    'if (session.handlePubrec(packetId, reasonCode)) this.sendPubrel(packetId);',
    'session.handlePubrec(packetId, reasonCode); this.sendPubrel(packetId);',
  ),

  mutant(
    'a session behind a CONNECT without an answer is taken for the old one',
    'recado',
    'FarLineage.noteAsked',
    'return known === null ? null : JSON.stringify({ ...known, isAsked: true });',
    'return null;',
  ),
  mutant(
    'a session here that was removed is only there again when the remote broker has accepted',
    'recado',
    'Bridge.#keepSession',
    'if (!this.config.localCleanStart) this.#relay?.openSession();',
    '',
  ),

  // --- limits of the remote broker
  mutant(
    'the notification does not count as outstanding',
    'recado',
    'BridgeLink.#handleConnack',
    'flightMaximum - (this.#publisher.isNoticeOut ? 1 : 0)',
    'flightMaximum',
  ),
  mutant(
    'the notification counts as outstanding for ever',
    'recado',
    'BridgeLink.#noticeAnswered',
    'this.#parts.relay.setReceiveMaximum(this.#flightMaximum);',
    '',
  ),
  mutant(
    'the Receive Maximum of the remote broker is not kept',
    'recado',
    'BridgeLink.#handleConnack',
    'Math.min(inflightMax, farMaximum)',
    'inflightMax',
  ),
  mutant(
    'the Maximum QoS of the remote broker is not kept',
    'recado',
    'FarPublisher.#send',
    'qos > maximumQoS ? maximumQoS : qos',
    'qos',
  ),
  mutant(
    'a message that went out at a lower QoS never ends',
    'recado',
    'FarPublisher.takeLowered',
    'if (this.#lowered.size === 0 || !this.#lowered.has(packetId))',
    'if (true)',
  ),
  mutant(
    'a Topic Alias stands for a topic that the remote broker has not been told',
    'recado',
    'FarPublisher.#send',
    'if (!given.isNew)',
    'if (true)',
  ),

  // --- loops
  mutant(
    'a message that has been here is taken again',
    'recado',
    'BridgeLink.#handlePublish',
    'path === null || isOnPath(path, relay.identity)',
    'path === null',
  ),
  mutant(
    'a message with properties has no path',
    'recado',
    'PathWriter.field',
    'return joinPropertyFields(field, own);',
    'return field;',
  ),
  mutant(
    'a message with a path does not get the next broker on it',
    'recado',
    'pathWith',
    'return path === identity || path.endsWith(`,${identity}`) ? path : `${path},${identity}`;',
    'return path;',
  ),
  mutant(
    'a path that a client has copied counts for its message',
    'broker',
    'believedPath',
    'if (isSame) return path;',
    'if (true) return path;',
  ),
  mutant(
    'a path that a bridge of another kind has passed on does not count',
    'broker',
    'believedPath',
    'if (isSame) return path;',
    '',
  ),
  mutant(
    'the name of a broker on paths is not kept on its disk',
    'broker',
    'giveIdentity',
    'journal?.change(Table.Meta, IDENTITY_KEY, 0, 0, row);',
    '',
  ),
  mutant(
    'a remote Recado is not on the path of what it sends',
    'recado',
    'BridgeLink.#pathFrom',
    "farIdentity === '' ? path : pathWith(path, farIdentity)",
    'path',
  ),
  mutant(
    'the remote broker is not asked for No Local',
    'recado',
    'BridgeLink.#sendSubscribe',
    'noLocal: isV5 && !isShared',
    'noLocal: false',
  ),
  mutant(
    'what a bridge has brought goes back over it',
    'broker',
    'RelaySession.#subscribe',
    'noLocal: !isShared',
    'noLocal: false',
  ),
  mutant(
    'a bridge of 3.1.1 does not say so',
    'recado',
    'BridgeLink.#connect',
    'isBridge: manner.isPrivate',
    'isBridge: false',
  ),

  // --- topics and subscriptions
  mutant('a prefix is not taken off', 'recado', 'nameFor', 'to + topic.slice(from.length)', 'to + topic'),
  mutant(
    'what is retained there counts as come when the subscription is answered',
    'recado',
    'BridgeLink.#noteSubscriptions',
    'this.#arrival.start();',
    'relay.note = lineage.note(this.#place, this.#subscriptions);',
  ),
  mutant(
    'a new session there gets no subscriptions',
    'recado',
    'FarLineage.accepted',
    'isFarPresent && isSame && known.subscriptions === subscriptions',
    'isSame && known.subscriptions === subscriptions',
  ),

  // --- retained messages
  mutant(
    'a retained message at QoS 0 that was lost with the connection counts as sent',
    'broker',
    'SentRetained.doubt',
    'this.#sent.set(topic, UNKNOWN);',
    '',
  ),
  mutant(
    'a retained message that was published at QoS 0 is not compared',
    'broker',
    'RelaySession.sendRetained',
    '!isWhole && ((isQueued && message.qos > 0) || this.#sentRetained.has(message))',
    '!isWhole && (isQueued || this.#sentRetained.has(message))',
  ),
  mutant(
    'a deletion that is told later has no path',
    'broker',
    'SentRetained.deletionOf',
    'return this.#gone.get(topic) ?? NO_PROPERTIES;',
    'return NO_PROPERTIES;',
  ),
  mutant(
    'a deletion that comes while retained messages are compared does not count',
    'recado',
    'BridgeLink.#handlePublish',
    'if (!isDeletion || topic === null || relay.isNewHere(topic))',
    'if (true)',
  ),
  mutant(
    'retained messages of a subscription that is replaced do not come',
    'broker',
    'makeSubscription',
    'connection.session.goOnWithRetained(before, entry);',
    '{}',
  ),
  mutant(
    'a lazy bridge leaves before it knows that a retained message has arrived',
    'recado',
    'Bridge.#look',
    '|| this.#relay?.hasUnproved === true',
    '',
  ),
  mutant(
    'a retained message goes back to the broker that it came from',
    'broker',
    'RelaySession.sendRetained',
    'if (this.#isOwn(message.source)) return true;',
    '',
  ),
  mutant(
    'retained messages lose RETAIN on the way',
    'recado',
    'FarPublisher.publish',
    'retain && config.outgoingRetain && retainAvailable',
    'false',
  ),

  // --- the disk
  mutant(
    'a message of a bridge is refused while the disk fails',
    'broker',
    'acceptMessage',
    'if (isNotTaken(connection, reasonCode) && isOfBridge(connection, publish)) {',
    'if (false) {',
  ),

  mutant(
    'a bridge that is owed an acknowledgement is refused when the disk begins to fail',
    'broker',
    'Connections.storeFailed',
    'if (connection.bringsPaths && connection.acknowledgements.isOwing)',
    'if (false)',
  ),

  // --- the life of a bridge
  mutant(
    'a bridge that has failed does not try again',
    'recado',
    'Bridge.#failed',
    'this.#timer = environment.setTimer(() => this.#connect(), pauseMs);',
    '',
  ),
  mutant(
    'a lazy bridge stays idle',
    'recado',
    'Bridge.#look',
    'if (isNew || this.figures.queuedMessages >= config.threshold)',
    'if (false)',
  ),
  mutant(
    'the session of a lazy bridge that was removed is not there again',
    'recado',
    'Bridge.#look',
    '!config.localCleanStart && this.#relay?.openSession() === false',
    'false',
  ),
  mutant('a message over the rate never goes', 'recado', 'FarPublisher.#isTime', 'relay.handleDrain();', ''),
  mutant(
    'what waits for a remote broker that does not read stays',
    'recado',
    'BridgeLink.handleDrain',
    'this.#parts.relay.handleDrain();',
    '',
  ),
]
