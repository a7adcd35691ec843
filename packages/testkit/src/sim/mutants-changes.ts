/**
 * Ways to break the product where something changes: what a client says from one CONNECT to the next, a subscription that is made
 * again, a listener, a restart. The simulation must notice every one (`mutants.ts`).
 */
import { type Mutant, mutant } from './mutants.ts'

const core = (file: string): string => `broker/dist/core/${file}.js`

export const changeMutants: readonly Mutant[] = [
  // --- from one connection to the next
  mutant(
    'the Receive Maximum of the first connection stays',
    core('session/session'),
    'this.sender.receiveMaximum = receiveMaximum;',
    'this.sender.receiveMaximum = this.sender.receiveMaximum === this.#core.limits.inflightMax ? receiveMaximum : this.sender.receiveMaximum;',
  ),
  mutant(
    'the Session Expiry Interval of a later CONNECT is not kept on disk',
    core('session/sessions'),
    'this.#store(session, 0);',
    'if (!sessionPresent) this.#store(session, 0);',
  ),
  mutant(
    'the Session Expiry Interval of a later CONNECT does not count',
    core('session/sessions'),
    'session.expirySeconds = expirySeconds;\n        context.wheel',
    'if (!sessionPresent) session.expirySeconds = expirySeconds;\n        context.wheel',
  ),
  mutant(
    'the Session Expiry Interval of DISCONNECT is over the limit of the listener',
    core('connection/connection'),
    'session.expirySeconds = Math.min(expirySeconds, this.limits.sessionExpirySecondsMax);',
    'session.expirySeconds = expirySeconds;',
  ),
  mutant(
    'rights are those of the user who has logged in first',
    core('session/session'),
    'this.client = { ...clientInfoOf(connection),',
    'this.client ??= { ...clientInfoOf(connection),',
  ),
  mutant('another user gets what the routes remember', core('session/session'), 'before.username === username &&', ''),
  mutant(
    'what is not below the mount point of a listener is sent to its clients',
    core('connection/publish-writer'),
    'if (message.topic.length <= mountPoint.length || !message.topic.startsWith(mountPoint))',
    'if (false)',
  ),
  mutant(
    'an earlier connection has the Topic Aliases',
    core('connection/publish-writer'),
    'this.aliases.aliasFor(message.topic)',
    '((this.#client.session.aliasesOfAll ??= this.aliases).aliasFor(message.topic))',
  ),
  mutant(
    'the Receive Maximum of the broker is that of all its listeners',
    core('session/session'),
    'connection.limits.receiveMaximum : 65_535',
    'this.#core.limits.receiveMaximum : 65_535',
  ),
  mutant(
    'the limit of subscriptions is that of the broker on all its listeners',
    core('connection/handle-subscribe'),
    'subscriptions.size >= limits.subscriptionsMax',
    'subscriptions.size >= connection.core.limits.subscriptionsMax',
  ),
  mutant(
    'Response Information is given to who has not asked for it',
    core('connection/handle-connect'),
    'properties.requestResponseInformation === true && ',
    '',
  ),
  mutant(
    'a session that is wanted no longer does not end with its connection',
    core('session/sessions'),
    'if (session.expirySeconds === 0) {',
    'if (session.expirySeconds === 0 && session.number === 0) {',
  ),

  mutant(
    'what a client has logged in with holds for ever',
    core('connection/connection'),
    'else if (nowMs >= this.expiresAtMs) {',
    'else if (false) {',
  ),

  // --- in a subscription
  mutant(
    'a subscription that is made again is another one on disk',
    core('session/subscriptions'),
    'this.#byFilter.get(entry.topicFilter)?.number ?? this.#journal.numbers.newSubscription()',
    'this.#journal.numbers.newSubscription()',
  ),
  mutant(
    'a subscription that is made again stays as it was in the router',
    core('routing/router'),
    'subscriptions.plain.set(entry.subscriber, entry);',
    'if (!subscriptions.plain.has(entry.subscriber)) subscriptions.plain.set(entry.subscriber, entry);',
  ),
  mutant(
    'a Shared Subscription that is made again stays as it was in its group',
    core('routing/shared-group'),
    'this.#members[at] = entry;',
    ';',
  ),
  mutant(
    'a subscription that is made again stays as it was on disk',
    core('session/subscriptions'),
    'this.#store(entry);\n        }\n        this.#put',
    'if (!this.#byFilter.has(entry.topicFilter)) this.#store(entry);\n        }\n        this.#put',
  ),
  mutant(
    'retained messages go on to a subscription that has ended',
    core('session/retained-feeds'),
    'const isWanted = session.subscriptions.get(subscription.topicFilter) === subscription;',
    'const isWanted = true;',
  ),
  mutant(
    'wildcards are taken where they are not available',
    core('connection/handle-subscribe'),
    'if (!options.wildcardSubscriptions &&',
    'if (false &&',
  ),
  mutant(
    'Shared Subscriptions are taken where they are not available',
    core('connection/handle-subscribe'),
    'if (isShared && !options.sharedSubscriptions)',
    'if (false)',
  ),

  // --- over a restart
  mutant(
    'a session whose time was over before the start is there for a while',
    core('session/recovery'),
    '() => parts.sessions.endExpired()',
    '() => {}',
  ),
  mutant(
    'what is read back from disk has no Subscription Identifiers',
    core('journal/journal'),
    'recipient.retain, recipient.subscriptionIdentifiers, null)',
    'recipient.retain, null, null)',
  ),
  mutant(
    'what is read back from disk comes without its RETAIN',
    core('journal/journal'),
    'recipient.qos, recipient.retain, recipient',
    'recipient.qos, false, recipient',
  ),
  mutant(
    'a subscription comes back with No Local',
    core('session/recovery'),
    'session.subscriptions.restore(record, number);',
    'session.subscriptions.restore({ ...record, noLocal: !record.noLocal }, number);',
  ),
  mutant(
    'a message in flight that was acknowledged comes back before the one with its packet id',
    core('session/recovery'),
    'resumed.sort((a, b) => a.entry.position - b.entry.position);',
    'resumed.sort((a, b) => b.entry.position - a.entry.position);',
  ),
]
