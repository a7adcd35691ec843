/** Ways to break the client's session store: what it keeps, and what waits for it. */
import { type Mutant, mutant } from './mutants.ts'

const rows = 'client/dist/store/session-rows.js'
const session = 'client/dist/store/stored-session.js'
const publisher = 'client/dist/publisher.js'
const inbox = 'client/dist/inbox.js'

export const storeMutants: readonly Mutant[] = [
  // --- what waits for the disk
  mutant(
    'client store: a QoS 2 PUBLISH before it is stored',
    publisher,
    'if (qos === 2 || this.#gated.size > 0) {',
    'if (false) {',
  ),
  mutant(
    'client store: PUBREL before the PUBREC is stored',
    publisher,
    'this.#store.whenSafe(() => {\n            if (this.#connection === connection && item.flow',
    '((send) => send())(() => {\n            if (this.#connection === connection && item.flow',
  ),
  mutant(
    'client store: PUBREC before it is stored that the application is done',
    inbox,
    'if (this.#store === null)\n            send();',
    'if (this.#store === null || packetType === 5)\n            send();',
  ),
  mutant(
    'client store: PUBCOMP before the identifier is out of the store',
    inbox,
    'if (this.#store === null)\n            send();',
    'if (this.#store === null || packetType === 7)\n            send();',
  ),
  mutant(
    'client store: a second PUBCOMP before the identifier is out of the store',
    inbox,
    'const isLost =',
    'if (!known) {\n            this.#connection.sendAck(7, packetId);\n            return;\n        }\n        const isLost =',
  ),
  mutant('client store: resent before it is stored', publisher, 'this.#held = true;', 'this.#held = false;'),
  mutant(
    "client store: until 'stored' does not wait",
    publisher,
    'this.#store?.whenSafe(() => {\n            // The caller may now',
    '((settle) => settle())(() => {\n            // The caller may now',
  ),

  // --- what is kept
  mutant(
    'client store: what the application is done with is not noted',
    inbox,
    'else\n            this.#store?.saveReceived(packetId, fingerprint);',
    '',
  ),
  mutant(
    'client store: identifiers of the old session are not forgotten',
    inbox,
    'this.#store.removeReceived(packetId);',
    '',
  ),
  mutant(
    'client store: an identifier stays after PUBREL',
    inbox,
    'if (known)\n            this.#store?.removeReceived(packetId);',
    '',
  ),
  mutant(
    'client store: the progress of a flow is not kept',
    session,
    'this.#set(rowKey(RowKind.Flight, message.sequence), encodeFlight(message));',
    '',
  ),
  mutant(
    'client store: what is delivered stays',
    session,
    'else\n            this.#set(rowKey(RowKind.Message, sequence), null);',
    '',
  ),
  mutant(
    'client store: the progress of what is delivered stays',
    session,
    'if (message.hasFlightRow)\n            this.#set(rowKey(RowKind.Flight, sequence), null);',
    '',
  ),
  mutant('client store: what a failed batch had is forgotten', session, 'this.#changes.set(key, row);', ';'),
  mutant(
    'client store: a failed batch wins over what has changed since',
    session,
    'if (!this.#changes.has(key))',
    'if (true)',
  ),
  mutant('client store: a failed batch counts as written', session, 'this.#failed(rows, error);', 'this.#done(batch);'),

  // --- time
  mutant(
    'client store: the time that a message waits does not count',
    publisher,
    'if (left < interval) {',
    'if (false) {',
  ),
  mutant(
    'client store: what has expired is sent',
    publisher,
    'if (expiresAt === Number.POSITIVE_INFINITY || expiresAt > this.#owner.now())',
    'if (true)',
  ),
  mutant(
    'client store: a message counts its time anew in each process',
    session,
    'Math.min(date - this.#date(), intervalSeconds * 1000)',
    'intervalSeconds * 1000',
  ),

  // --- what the next process makes of it
  mutant(
    'client store: restored in the wrong order',
    session,
    'messages: [...messages.values()],',
    'messages: [...messages.values()].reverse(),',
  ),
  mutant(
    'client store: numbers of messages begin anew',
    session,
    'this.#lastSequence = Math.max(this.#lastSequence, number);',
    ';',
  ),
  mutant(
    'client store: all messages are restored as not yet sent',
    rows,
    'null : { flow, losses, packetId: (high << 8) | low };',
    'null : { flow: 0, losses, packetId: (high << 8) | low };',
  ),
  mutant(
    'client store: received identifiers are not restored',
    'client/dist/client.js',
    'this.#inbox.restore(restored.received);',
    '',
  ),
  mutant(
    'client store: a new store goes on with the session of a lost one',
    'client/dist/client.js',
    'this.#dialer.mustBeginAnew = restored.clientId === null && clientId !== undefined;',
    'store.saveClientId(this.clientId);',
  ),
  mutant(
    'client store: what was published before the store was open comes first',
    publisher,
    'this.#putFirst(queued);\n    }\n    #settleWhenStored',
    'for (const item of queued)\n            this.#queue.push(item);\n    }\n    #settleWhenStored',
  ),
]
