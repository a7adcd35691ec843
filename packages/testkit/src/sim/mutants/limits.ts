/** Mutants of limits in bytes and by address, of whose a session is, and of rights to publish that are withdrawn later. */
import { type Mutant, mutant } from './mutant.ts'

export const limitMutants: readonly Mutant[] = [
  // --- bytes
  mutant(
    'a payload may be as large as it likes',
    'broker',
    'handlePublish',
    'if (publish.payloadEnd - publish.payloadStart > limits.payloadBytesMax) {',
    'if (false) {',
  ),
  mutant(
    'the payload of a Will may be as large as it likes',
    'broker',
    'willRefusal',
    'will.payload.length > limits.payloadBytesMax',
    'false',
  ),
  mutant(
    'a queue takes any number of bytes',
    'broker',
    'Backlog.#hasOwnRoomFor',
    '&& this.queue.bytes + bytes <= this.#bytesMax',
    '',
  ),
  mutant(
    'a queue is full at an eighth of its bytes',
    'broker',
    'Backlog.#hasOwnRoomFor',
    'this.queue.bytes + bytes <= this.#bytesMax',
    'this.queue.bytes + bytes <= this.#bytesMax / 8',
  ),
  mutant(
    'any number of bytes is in flight',
    'broker',
    'Inflight.hasRoom',
    'this.bytes >= this.#context.limits.inflightBytesMax',
    'false',
  ),
  mutant(
    'a message that is acknowledged still counts as in flight',
    'broker',
    'Inflight.letGo',
    'this.bytes -= message.sizeBytes;',
    '',
  ),
  mutant(
    'any number of bytes is retained',
    'broker',
    'RetainedMessages.#hasRoom',
    'return bytes + messages * MESSAGE_OVERHEAD_BYTES <= retainedBytesMax;',
    'return true;',
  ),

  // --- addresses
  mutant(
    'any number of connections from one address',
    'broker',
    'AddressCounts.add',
    'if (count >= this.max)',
    'if (false)',
  ),
  mutant(
    'a connection that has ended counts for its address',
    'broker',
    'AddressCounts.remove',
    'this.#counts.set(network, count - 1);',
    ';',
  ),

  // --- whose a session is
  mutant(
    'another user gets a session that is refused to other users',
    'broker',
    'activate',
    "if (isOthers && context.options.sessionOwner === 'refuse') {",
    'if (false) {',
  ),
  mutant(
    'another user gets what waits in a session that is taken over',
    'broker',
    'activate',
    'const cleanStart = connect.cleanStart || isOthers;',
    'const cleanStart = connect.cleanStart;',
  ),
  mutant(
    'the user whose session it is is not kept on disk',
    'broker',
    'Sessions.#store',
    'if (owner !== null)',
    'if (false)',
  ),
  mutant(
    'a client that is not let in owns the session',
    'broker',
    'Sessions.abandon',
    'session.owner = earlierOwner;',
    '',
  ),
  mutant(
    'the Will of a session that ended with the broker is not published when another user comes',
    'broker',
    'Sessions.open',
    'if (this.#isOthersWill(clientId, connection.username))',
    'if (false)',
  ),
  mutant(
    'the Will of a session that another user takes over is dropped',
    'broker',
    'Sessions.open',
    '&& !this.isOthers(connection))',
    ')',
  ),

  // --- rights that are withdrawn
  mutant(
    'a Will is published though its client may not publish it any more',
    'broker',
    'Wills.#publish',
    '(client !== null && !mayStillPublish(this.#context, client, will.topic))',
    'false',
  ),
  mutant(
    'a Will is kept though its client may not publish it',
    'broker',
    'willOf',
    'context.authorizer?.mayPublish?.(connection, will.topic) !== false',
    'true',
  ),
  mutant(
    'what is retained is sent though its publisher may not publish it any more',
    'broker',
    'RetainedFeeds.#mayReceive',
    'return authorizer.mayPublish(source, topic);',
    'return true;',
  ),

  // --- found on the way to 100,000 seeds
  mutant(
    'a client is let in when its login has expired meanwhile',
    'broker',
    'activate',
    'if (isLoginOver(connection)) return;',
    '',
  ),
  mutant(
    'QoS 0 overtakes what waited at QoS 0 before a restart',
    'broker',
    'restoreWaiting',
    'session.keepsQoS0 = true;',
    '',
  ),
]
