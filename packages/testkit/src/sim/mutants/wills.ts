/** Mutants of Wills, of what the broker knows after a restart, and of what waits for the disk. */
import { type Mutant, mutant } from './mutant.ts'

export const willMutants: readonly Mutant[] = [
  // --- what CONNACK waits for
  mutant(
    'CONNACK before what it promises is on disk',
    'broker',
    'Sessions.open',
    'const mustWait = journal !== null &&',
    'const mustWait = false &&',
  ),
  mutant(
    'CONNACK before the Will is on disk',
    'broker',
    'Sessions.open',
    'session.number !== 0 || session.willNumber !== 0;',
    'session.number !== 0;',
  ),
  mutant(
    'while the disk fails a session is begun',
    'broker',
    'Sessions.mayOpen',
    'if (!this.journal?.isFailing) return true;',
    'return true;',
  ),

  mutant(
    'a PUBACK overtakes another while the disk fails',
    'broker',
    'AcknowledgementLine.#maySendPuback',
    'pending.packetType === PacketType.PUBACK) return false;',
    'false) return false;',
  ),
  mutant(
    'PUBRECs of a failing batch are refused too, and the message is kept',
    'broker',
    'AcknowledgementLine.storeFailed',
    '!(pending instanceof PendingAck) || pending.packetType !== PacketType.PUBACK',
    '!(pending instanceof PendingAck) || pending.packetType === PacketType.PUBCOMP',
  ),

  // --- a client that is not let in
  mutant(
    'a session of a client that was not let in stays',
    'broker',
    'Sessions.abandon',
    "this.end(session, 'disconnected'); if (session.number !== 0)",
    'if (session.number !== 0)',
  ),
  mutant(
    'the end of a session of a client that was not let in is not waited for',
    'broker',
    'Sessions.abandon',
    'this.#mustEnd(session.clientId);',
    ';',
  ),
  mutant(
    'the Will of a client that was not let in stays',
    'broker',
    'Sessions.abandon',
    'wills.forget(session); if (!sessionPresent)',
    'if (!sessionPresent)',
  ),
  mutant(
    'an earlier Will is lost with a client that was not let in',
    'broker',
    'Sessions.abandon',
    'wills.resume(earlierWill, this.#byClientId.get(session.clientId) === earlierWill.session);',
    ';',
  ),
  mutant(
    'the expiry of a client that was not let in holds',
    'broker',
    'Sessions.abandon',
    'session.expirySeconds = earlierExpirySeconds;',
    '',
  ),
  mutant(
    'a session expires while its client waits for CONNACK',
    'broker',
    'Sessions.open',
    'wheel.clear(session.expiryTimer); this.#store',
    'this.#store',
  ),

  // --- Wills and crashes
  mutant(
    'a Will without a delay is not kept',
    'broker',
    'Wills.register',
    'if (journal === null) return;',
    'if (journal === null || !(will.properties.willDelayIntervalSeconds > 0)) return;',
  ),
  mutant(
    'the Will of a session that ends with its connection is not kept',
    'broker',
    'Wills.register',
    'if (journal === null) return;',
    'if (journal === null || session.number === 0) return;',
  ),
  mutant(
    'a Will is off the disk before what it leads to is there',
    'broker',
    'Wills.#publish',
    'this.#journal?.hurry(message);',
    '',
  ),
  mutant(
    'a Will is lost when the disk fails',
    'broker',
    'Wills.#publish',
    'this.#intake.accept(message, Taking.Will);',
    'this.#intake.accept(message);',
  ),
  mutant(
    'Wills of sessions that ended with the broker are not published',
    'broker',
    'Wills.restore',
    'session?.clientId ?? client?.clientId;',
    'session?.clientId;',
  ),
  mutant(
    'Wills do not wait for the grace',
    'broker',
    'Wills.restore',
    'Math.max(fromNowMs, nowMs + willGraceMs)',
    'fromNowMs',
  ),
  mutant(
    'a client that is back within the grace has its Will published',
    'broker',
    'Wills.suspend',
    'session?.pendingWill ?? this.#orphans.get(clientId) ?? null;',
    'session?.pendingWill ?? null;',
  ),
  mutant(
    'Clean Start within the grace publishes the Will',
    'broker',
    'Sessions.open',
    'if (session.pendingWill?.isGrace &&',
    'if (false &&',
  ),
  mutant(
    'a Will that has waited stays on disk',
    'broker',
    'Wills.#publishPending',
    'this.#remove(number); if (session !== null)',
    'if (session !== null)',
  ),
  mutant(
    'a Will stays on disk after DISCONNECT',
    'broker',
    'Wills.forget',
    'this.#remove(session.willNumber); session.willNumber = 0;',
    '',
  ),
]
