/** Mutants of what the broker does with topics: rewrites, its own subscriptions, Sparkplug, malformed delays. */
import { type Mutant, mutant } from './mutant.ts'

export const topicMutants: readonly Mutant[] = [
  // --- rewrites
  mutant(
    'later rules rewrite the result of an earlier one',
    'broker',
    'rewritten',
    'return result;',
    'return rewritten(rules.slice(rules.indexOf(rule) + 1), result, client);',
  ),
  mutant(
    'the topic of a Will is not rewritten',
    'broker',
    'takeWill',
    'connection.context.rewrites?.topicName(will.topic, connection) ?? will.topic;',
    'will.topic;',
  ),
  mutant(
    'UNSUBSCRIBE means the Topic Filter as it was before the rewrite',
    'broker',
    'unsubscribeNext',
    'context.rewrites?.topicFilter(asked, connection) ?? asked;',
    'asked;',
  ),
  mutant(
    'the topic behind a delay is not rewritten',
    'broker',
    'handlePublish',
    'if (context.rewrites !== null) {',
    'if (context.rewrites !== null && delaySeconds === NOT_DELAYED) {',
  ),

  // --- subscriptions of the broker's own
  mutant(
    'a subscription that the broker makes is made anew at each CONNECT',
    'broker',
    'autoSubscribe',
    'if (session.subscriptions.has(mountFilter(settings.mountPoint, topicFilter)))',
    'if (false)',
  ),
  mutant(
    'permission is not asked for a subscription that the broker makes',
    'broker',
    'subscribeNext',
    'if (reasonCode === ALLOW && authorizer !== null) {',
    'if (reasonCode === ALLOW && authorizer !== null && isAsked) {',
  ),
  mutant(
    'what is retained is not sent to a subscription that the broker makes',
    'broker',
    'subscribeNext',
    'connection.session.deliverRetained(retained, entry); return;',
    '; return;',
  ),

  // --- Sparkplug
  mutant(
    'a client publishes a certificate of Sparkplug itself',
    'broker',
    'handlePublish',
    'context.options.sparkplugAware && isCertificate(topic)',
    'false',
  ),
  mutant(
    'a certificate of Sparkplug is not retained',
    'broker',
    'certificateOf',
    'qos, retain: true, properties',
    'qos, retain: false, properties',
  ),
  mutant(
    'a certificate of Sparkplug is not kept on disk',
    'broker',
    'Intake.#retain',
    'this.#retained.set(message, isNews)',
    "this.#retained.set(message, isNews || message.topic.startsWith('$sparkplug/'))",
  ),
  mutant(
    'NDEATH has the time of CONNECT',
    'broker',
    'leftMessage',
    'context.options.sparkplugAware ? stamped(changed, context.turn.nowMs) : changed',
    'changed',
  ),

  // --- malformed delays
  mutant(
    'a malformed delay is none',
    'broker',
    'handlePublish',
    'delaySeconds = delayed?.seconds ?? NO_DELAY;',
    'delaySeconds = delayed?.seconds ?? NOT_DELAYED;',
  ),
  mutant(
    'a delay of a delay is taken',
    'broker',
    'parseDelayed',
    'if (!isTopicName(real) || isDelayed(real))',
    'if (!isTopicName(real))',
  ),
  mutant('any delay is short enough', 'broker', 'DelayedMessages.#refusalOf', 'seconds <= delaySecondsMax &&', ''),
]
