/** Mutants of the client's session store: of what it keeps, and of what waits for it. */
import { type Mutant, mutant } from './mutant.ts'

export const storeMutants: readonly Mutant[] = [
  // --- what waits for the disk
  mutant(
    'client store: a QoS 2 PUBLISH before it is stored',
    'client',
    'Publisher.#sendQoS12',
    'if (qos === 2 || this.#gated.size > 0) {',
    'if (false) {',
  ),
  mutant(
    'client store: PUBREL before the PUBREC is stored',
    'client',
    'Publisher.handlePubrec',
    'this.#store.whenSafe(() => { if (this.#connection === connection && item.flow',
    '((send) => send())(() => { if (this.#connection === connection && item.flow',
  ),
  mutant(
    'client store: PUBREC before it is stored that the application is done',
    'client',
    'Inbox.#sendWhenSafe',
    'if (this.#store === null) send();',
    'if (this.#store === null || packetType === 5) send();',
  ),
  mutant(
    'client store: PUBCOMP before the identifier is out of the store',
    'client',
    'Inbox.#sendWhenSafe',
    'if (this.#store === null) send();',
    'if (this.#store === null || packetType === 7) send();',
  ),
  mutant(
    'client store: a second PUBCOMP before the identifier is out of the store',
    'client',
    'Inbox.handlePubrel',
    'const isLost =',
    'if (!known) { this.#connection.sendAck(7, packetId); return; } const isLost =',
  ),
  mutant(
    'client store: resent before it is stored',
    'client',
    'Publisher.attach',
    'this.#held = true;',
    'this.#held = false;',
  ),
  mutant(
    "client store: until 'stored' does not wait",
    'client',
    'Publisher.#settleWhenStored',
    'this.#store?.whenSafe(() => {',
    '((settle) => settle())(() => {',
  ),

  // --- what is kept
  mutant(
    'client store: what the application is done with is not noted',
    'client',
    'Inbox.#acknowledgeQoS2',
    'else this.#store?.saveReceived(packetId, fingerprint);',
    '',
  ),
  mutant(
    'client store: PUBREC follows PUBCOMP when the server has given a message up',
    'client',
    'Inbox.#acknowledgeQoS2',
    'if (delivery.isReleased) return;',
    '',
  ),
  mutant(
    'client store: identifiers of the old session are not forgotten',
    'client',
    'Inbox.attach',
    'this.#store.removeReceived(packetId);',
    '',
  ),
  mutant(
    'client store: an identifier stays after PUBREL',
    'client',
    'Inbox.handlePubrel',
    'if (known) this.#store?.removeReceived(packetId);',
    '',
  ),
  mutant(
    'client store: the progress of a flow is not kept',
    'client',
    'StoredSession.save',
    'this.#set(rowKey(RowKind.Flight, message.sequence), encodeFlight(message));',
    '',
  ),
  mutant(
    'client store: what is delivered stays',
    'client',
    'StoredSession.remove',
    'else this.#set(rowKey(RowKind.Message, sequence), null);',
    '',
  ),
  mutant(
    'client store: the progress of what is delivered stays',
    'client',
    'StoredSession.remove',
    'if (message.hasFlightRow) this.#set(rowKey(RowKind.Flight, sequence), null);',
    '',
  ),
  mutant(
    'client store: what a failed batch had is forgotten',
    'client',
    'StoredSession.#failed',
    'this.#changes.set(key, row);',
    ';',
  ),
  mutant(
    'client store: a failed batch wins over what has changed since',
    'client',
    'StoredSession.#failed',
    'if (!this.#changes.has(key))',
    'if (true)',
  ),
  mutant(
    'client store: a failed batch counts as written',
    'client',
    'StoredSession.#begin',
    'this.#failed(rows, error);',
    'this.#done(batch);',
  ),

  // --- time
  mutant(
    'client store: the time that a message waits does not count',
    'client',
    'Publisher.#writeOutgoing',
    'if (left < interval) {',
    'if (false) {',
  ),
  mutant(
    'client store: what has expired is sent',
    'client',
    'Publisher.#checkExpiry',
    'if (expiresAt === Number.POSITIVE_INFINITY || expiresAt > this.#owner.now())',
    'if (true)',
  ),
  mutant(
    'client store: a message counts its time anew in each process',
    'client',
    'StoredSession.#monotonic',
    'Math.min(date - this.#date(), intervalSeconds * 1000)',
    'intervalSeconds * 1000',
  ),

  // --- what the next process makes of it
  mutant(
    'client store: restored in the wrong order',
    'client',
    'StoredSession.#restore',
    'messages: [...messages.values()],',
    'messages: [...messages.values()].reverse(),',
  ),
  mutant(
    'client store: numbers of messages begin anew',
    'client',
    'StoredSession.#restore',
    'this.#lastSequence = Math.max(this.#lastSequence, number);',
    ';',
  ),
  mutant(
    'client store: all messages are restored as not yet sent',
    'client',
    'decodeFlight',
    'null : { flow, losses, packetId: (high << 8) | low };',
    'null : { flow: 0, losses, packetId: (high << 8) | low };',
  ),
  mutant(
    'client store: received identifiers are not restored',
    'client',
    'Client.#openStore',
    'this.#inbox.restore(restored.received);',
    '',
  ),
  mutant(
    'client store: a new store goes on with the session of a lost one',
    'client',
    'Client.#openStore',
    'this.#dialer.mustBeginAnew = restored.clientId === null && clientId !== undefined;',
    'store.saveClientId(this.clientId);',
  ),
  mutant(
    'client store: what was published before the store was open comes first',
    'client',
    'Publisher',
    'this.#putFirst(queued); } #settleWhenStored',
    'for (const item of queued) this.#queue.push(item); } #settleWhenStored',
  ),
]
