/** Mutants of what the embedding program does: durable subscriptions, changes of messages, and the manner of answers. */
import { type Mutant, mutant } from './mutant.ts'

export const programMutants: readonly Mutant[] = [
  mutant(
    'a durable subscription resolves before it is on disk',
    'broker',
    'DurableSubscriber.#safe',
    'if (journal !== null)',
    'if (false)',
  ),
  mutant(
    'a message of the program is acknowledged before its handler is done with it',
    'broker',
    'DurableSubscriber.write',
    'this.#waiting.push({ message: message.keep(), packetId });',
    'this.#waiting.push({ message: message.keep(), packetId }); ' +
      'queueMicrotask(() => { if (packetId !== 0) this.#session?.handlePuback(packetId); });',
  ),
  mutant(
    'a handler that fails is given the next message',
    'broker',
    'DurableSubscriber.#work',
    'if (!isDone) continue;',
    '',
  ),
  mutant(
    'messages of the program are never acknowledged',
    'broker',
    'DurableSubscriber.#work',
    'if (packetId !== 0)',
    'if (false)',
  ),
  mutant(
    'the program gets retained messages of its subscription twice',
    'broker',
    'DurableSubscriber.open',
    'session.deliverRetained(walk, entry);',
    'session.deliverRetained(walk, entry); ' +
      'const again = retained.walk(topicFilter); if (again !== null) session.deliverRetained(again, entry);',
  ),
  mutant(
    'the program gets retained messages as often as it subscribes',
    'broker',
    'DurableSubscriber.open',
    "isNew && !topicFilter.startsWith('$share/')",
    "!topicFilter.startsWith('$share/')",
  ),
  mutant(
    'what is retained while a durable subscription waits for the disk comes twice',
    'broker',
    'DurableSubscriber.open',
    'if (walk === null || this.#session === null) return; context.turn.begin(); session.deliverRetained(walk, entry);',
    'const late = isNew ? retained.walk(topicFilter) : null; ' +
      'if (late === null || this.#session === null) return; context.turn.begin(); session.deliverRetained(late, entry);',
  ),
  mutant(
    'a durable subscription keeps its earlier Topic Filter',
    'broker',
    'DurableSubscriber.open',
    'if (entry.topicFilter !== this.topicFilter) session.subscriptions.remove(entry);',
    '',
  ),
  mutant(
    'a durable subscription ends with the process',
    'broker',
    'DurableSubscriber.open',
    'sessions.open(this, false, NEVER_EXPIRES, null)',
    'sessions.open(this, false, 0, null)',
  ),
  mutant('a closed durable subscription is given messages', 'broker', 'DurableSubscriber.#end', 'this.#leave();', ''),
  mutant(
    'an ended durable subscription stays',
    'broker',
    'DurableSubscriber.unsubscribe',
    'this.#core.removeSession(this.clientId);',
    '',
  ),
  mutant(
    'messages of the program lose RETAIN',
    'broker',
    'DurableSubscriber.open',
    'retainAsPublished: true',
    'retainAsPublished: false',
  ),

  // --- changes of messages
  mutant(
    'a message that the program changes is delivered as it was',
    'broker',
    'transformed',
    'return message.changed(answer);',
    'return message;',
  ),
  mutant(
    'a message that the program withholds is delivered',
    'broker',
    'transformed',
    'if (answer === null) return message;',
    "if (answer === null || typeof answer === 'number') return message;",
  ),
  mutant(
    'a withheld message at QoS 2 keeps its Packet Identifier though its publisher is told',
    'broker',
    'transformed',
    'if (qos === 2 && isTold(connection, answer))',
    'if (false)',
  ),
  mutant(
    'a withheld message at QoS 2 gives its Packet Identifier up',
    'broker',
    'transformed',
    'if (qos === 2 && isTold(connection, answer))',
    'if (qos === 2)',
  ),

  // --- the manner of answers
  mutant(
    'Mosquitto tells of no subscribers at QoS 2',
    'broker',
    'Intake.#tellsNobody',
    'qos === 1 && targets.length',
    'targets.length',
  ),
  mutant(
    'Mosquitto tells of no subscribers where one has No Local',
    'broker',
    'Intake.#tellsNobody',
    'targets.length + groups.length === 0',
    'true',
  ),
  mutant(
    'Mosquitto sends Reason Strings',
    'broker',
    'Connection.constructor',
    "this.requestProblemInformation = context.options.answers === 'recado';",
    'this.requestProblemInformation = true;',
  ),

  // --- subscriptions that are asked about again
  mutant(
    'a subscription ends when nobody has time to decide',
    'broker',
    'isUndecided',
    'reasonCode === ReasonCode.QuotaExceeded',
    'false',
  ),
  mutant(
    'a withdrawn subscription stays',
    'broker',
    'SubscriptionReview.#withdraw',
    'this.#session.subscriptions.remove(entry);',
    '',
  ),
  mutant(
    'what has waited for a withdrawn subscription is sent',
    'broker',
    'SubscriptionReview.excludes',
    'return this.#isChanged &&',
    'return false &&',
  ),
  mutant(
    'nobody is asked again who could not decide',
    'broker',
    'SubscriptionReview.#answered',
    'wheel.set(this.#retryTimer, turn.nowMs + RETRY_MS);',
    '',
  ),
]
