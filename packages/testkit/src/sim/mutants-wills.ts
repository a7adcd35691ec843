/** Ways to break what CONNACK promises: that the session and the Will are on disk, and that nothing is left of a client that is not let in. */
import { type Mutant, mutant } from './mutants.ts'

const will = 'broker/dist/core/session/wills.js'
const sessions = 'broker/dist/core/session/sessions.js'

export const willMutants: readonly Mutant[] = [
  // --- what CONNACK waits for
  mutant(
    'CONNACK before what it promises is on disk',
    sessions,
    'const mustWait = journal !== null &&',
    'const mustWait = false &&',
  ),
  mutant(
    'CONNACK before the Will is on disk',
    sessions,
    'session.number !== 0 || session.willNumber !== 0;',
    'session.number !== 0;',
  ),
  mutant(
    'while the disk fails a session is begun',
    sessions,
    'if (!this.journal?.isFailing)\n            return true;',
    'return true;',
  ),

  mutant(
    'a PUBACK overtakes another while the disk fails',
    'broker/dist/core/connection/acknowledgement-line.js',
    'pending.packetType === PacketType.PUBACK)\n                return false;',
    'false)\n                return false;',
  ),
  mutant(
    'PUBRECs of a failing batch are refused too, and the message is kept',
    'broker/dist/core/connection/acknowledgement-line.js',
    '!(pending instanceof PendingAck) || pending.packetType !== PacketType.PUBACK',
    '!(pending instanceof PendingAck) || pending.packetType === PacketType.PUBCOMP',
  ),

  // --- a client that is not let in
  mutant(
    'a session of a client that was not let in stays',
    sessions,
    "this.end(session, 'disconnected');\n            if (session.number !== 0)",
    'if (session.number !== 0)',
  ),
  mutant(
    'the end of a session of a client that was not let in is not waited for',
    sessions,
    'this.#mustEnd(session.clientId);',
    ';',
  ),
  mutant(
    'the Will of a client that was not let in stays',
    sessions,
    'wills.forget(session);\n        if (!sessionPresent)',
    'if (!sessionPresent)',
  ),
  mutant(
    'an earlier Will is lost with a client that was not let in',
    sessions,
    'wills.resume(earlierWill, this.#byClientId.get(session.clientId) === earlierWill.session);',
    ';',
  ),
  mutant(
    'the expiry of a client that was not let in holds',
    sessions,
    'session.expirySeconds = earlierExpirySeconds;',
    '',
  ),
  mutant(
    'a session expires while its client waits for CONNACK',
    sessions,
    'wheel.clear(session.expiryTimer);\n        this.#store',
    'this.#store',
  ),

  // --- Wills and crashes
  mutant(
    'a Will without a delay is not kept',
    will,
    'if (journal === null)\n            return;',
    'if (journal === null || !(will.properties.willDelayIntervalSeconds > 0))\n            return;',
  ),
  mutant(
    'the Will of a session that ends with its connection is not kept',
    will,
    'if (journal === null)\n            return;',
    'if (journal === null || session.number === 0)\n            return;',
  ),
  mutant('a Will is off the disk before what it leads to is there', will, 'journal?.hurry(message);', ''),
  mutant(
    'a Will is lost when the disk fails',
    will,
    'this.#intake.accept(message, Taking.Will);',
    'this.#intake.accept(message);',
  ),
  mutant(
    'Wills of sessions that ended with the broker are not published',
    will,
    'session?.clientId ?? client?.clientId;',
    'session?.clientId;',
  ),
  mutant('Wills do not wait for the grace', will, 'Math.max(fromNowMs, nowMs + willGraceMs)', 'fromNowMs'),
  mutant(
    'a client that is back within the grace has its Will published',
    will,
    'session?.pendingWill ?? this.#orphans.get(clientId) ?? null;',
    'session?.pendingWill ?? null;',
  ),
  mutant(
    'Clean Start within the grace publishes the Will',
    sessions,
    'if (session.pendingWill?.isGrace)',
    'if (false)',
  ),
  mutant(
    'a Will that has waited stays on disk',
    will,
    'this.#remove(number);\n        if (session !== null)',
    'if (session !== null)',
  ),
  mutant(
    'a Will stays on disk after DISCONNECT',
    will,
    'this.#remove(session.willNumber);\n        session.willNumber = 0;',
    '',
  ),
]
