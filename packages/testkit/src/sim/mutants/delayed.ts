/** Mutants of delayed messages: what is on the disk when, and who may publish. */
import { type Mutant, mutant } from './mutant.ts'

export const delayedMutants: readonly Mutant[] = [
  mutant(
    'a delayed message is off the disk before what it leads to is there',
    'broker',
    'DelayedMessages.#publish',
    'this.#journal?.hurry(left);',
    '',
  ),
  mutant(
    'a delayed message is lost when the disk fails',
    'broker',
    'DelayedMessages.#publish',
    'this.#intake.accept(left, Taking.Will);',
    'this.#intake.accept(left);',
  ),
  mutant(
    'a delayed message is acknowledged before it is on the disk',
    'broker',
    'acceptDelayed',
    'journal === null || qos === 0',
    'true',
  ),
  mutant(
    'the packet id of a QoS 2 publisher is not kept with what is delayed',
    'broker',
    'acceptDelayed',
    'journal.receivedNow(session.receivedIds, packetId);',
    ';',
  ),
  mutant(
    'a delayed message that was published stays on disk',
    'broker',
    'DelayedMessages.#forget',
    'this.#journal?.change(Table.Delayed, delayed.number, 0, 0, null);',
    '',
  ),
  mutant(
    'a delayed message is published though its client may not publish it any more',
    'broker',
    'DelayedMessages.#publish',
    '(client !== null && !mayStillPublish(context, client, topic))',
    'false',
  ),
  mutant(
    'the expiry of a delayed message begins when it comes',
    'broker',
    'acceptDelayed',
    'delayed.dueAtMs(delaySeconds)',
    'connection.context.turn.nowMs',
  ),
]
