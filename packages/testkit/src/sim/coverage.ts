/**
 * Coverage of runs: features, faults and state transitions, each by a name; and the list of those that they should
 * reach, so that a gap shows.
 */
import { isPair, pairTable, possible } from './pairs.ts'

/** Counts of all runs so far. */
export class Coverage {
  readonly counts: Map<string, number> = new Map()
  readonly runs: Map<string, number> = new Map()
  #seen: Set<string> = new Set()

  readonly note = (name: string): void => {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    this.#seen.add(name)
  }

  /** A run is over. */
  runEnded(): void {
    for (const name of this.#seen) this.runs.set(name, (this.runs.get(name) ?? 0) + 1)
    this.#seen = new Set()
  }

  /** Names that should have been reached and were not. */
  get missing(): string[] {
    return expected.filter((name) => !this.counts.has(name))
  }

  /** Pairs of a change and the state of a message then that were not reached. */
  get missingPairs(): string[] {
    return possible.filter((name) => !this.counts.has(name))
  }

  /** Lines of a table of the pairs. */
  pairs(): string[] {
    return pairTable(this.runs)
  }

  /** Lines of a table: name, how often, in how many runs. */
  table(runs: number): string[] {
    const names = [...new Set([...expected, ...this.counts.keys()])].filter((name) => !isPair(name)).sort()
    const lines = ['| what | times | in % of runs |', '|---|---:|---:|']
    for (const name of names) {
      const share = ((100 * (this.runs.get(name) ?? 0)) / runs).toFixed(1)
      lines.push(`| ${name} | ${this.counts.get(name) ?? 0} | ${share} |`)
    }
    return lines
  }
}

/** Names that many seeds together must reach. */
export const expected: readonly string[] = [
  ...['connect.v3', 'connect.v4', 'connect.v5', 'connect.refused', 'takeover'],
  ...['session.new', 'session.resumed', 'session.resumed-in-flight', 'session.clean-start', 'session.expired'],
  ...['assigned', 'assigned.told', 'assigned.resumed', 'assigned.refused', 'assigned.left'],
  ...['auth.connect', 'auth.continue', 'auth.re-authenticate', 'hook.late'],
  ...['publish.qos0', 'publish.qos1', 'publish.qos2', 'publish.dup', 'publish.alias', 'publish.denied'],
  ...['publish.duplicate-of-held', 'puback.refused', 'pubrec.refused'],
  ...['subscribe.qos0', 'subscribe.qos1', 'subscribe.qos2', 'subscribe.shared', 'subscribe.refused'],
  ...['subscribe.no-local', 'subscribe.retain-as-published', 'subscribe.identifier', 'subscribe.replaced'],
  ...['subscribe.retain-handling-0', 'subscribe.retain-handling-1', 'subscribe.retain-handling-2'],
  ...['unsubscribe', 'unsubscribe.none', 'disconnect', 'disconnect.with-will', 'disconnect.expiry'],
  ...[
    'retained.set',
    'retained.replaced',
    'retained.cleared',
    'retained.delivered',
    'retained.expired',
    'retained.inherited',
  ],
  ...['deliver.qos0', 'deliver.qos1', 'deliver.qos2', 'deliver.away-qos0', 'deliver.away-qos1', 'deliver.away-qos2'],
  ...['deliver.overlapping', 'deliver.lower-qos', 'deliver.no-local', 'deliver.shared', 'deliver.shared-alone'],
  ...['shared.redistributed', 'out.alias', 'out.resent', 'out.resent-after-crash', 'out.receive-maximum-reached'],
  ...['out.maximum-packet-size', 'pubrel.again', 'in.PUBACK', 'in.PUBREC', 'in.PUBREC-failed', 'in.PUBCOMP'],
  ...['in.PUBREL', 'in.ack-of-unknown', 'client.resends', 'client.keep-alive'],
  ...['client.repeats-publish', 'client.repeats-publish-late', 'client.repeats-pubrel', 'client.repeats-connect'],
  ...['will', 'will.delay', 'will.published', 'will.published-after-delay', 'will.cancelled', 'will.session-ends'],
  ...['delayed.kept-qos0', 'delayed.kept-qos1', 'delayed.kept-qos2', 'delayed.published', 'delayed.published-later'],
  ...['delayed.restored', 'delayed.lost', 'delayed.again-after-crash', 'delayed.expired', 'delayed.withheld'],
  ...['dropped.delayed-limit', 'delayed.malformed', 'delayed.too-late'],
  ...['rewrite.PUBLISH', 'rewrite.CONNECT', 'rewrite.SUBSCRIBE', 'rewrite.UNSUBSCRIBE', 'rewrite.none'],
  ...['auto.made', 'auto.kept', 'auto.refused', 'auto.denied'],
  ...['sparkplug.birth', 'sparkplug.forged', 'sparkplug.stamped'],
  ...['will.restored', 'crash', 'crash.session-revived', 'crash.retained-lost'],
  ...[
    'close.keep-alive',
    'close.no-connect',
    'close.credentials',
    'restart.compared',
    'violation',
    'violation.of-state',
  ],
  ...['dropped.queue-full', 'dropped.slow-reader', 'dropped.packet-too-large', 'dropped.expired'],
  ...['dropped.session-ended', 'dropped.retained-limit', 'dropped.not-authorized', 'dropped.offline-qos0'],
  ...['dropped.store-failed', 'disconnect.0x81', 'disconnect.0x82', 'disconnect.0x8d', 'disconnect.0x8e'],
  ...['disconnect.0x8b', 'disconnect.0x94'],
  ...['deliver.denied', 'deliver.denied-later', 'retained.denied', 'rights.changed'],
  ...['fault.clock-set-back', 'fault.clock-set-forward', 'clock.goes-on'],
  ...['rate.held', 'rate.listener', 'disconnect.0x96'],
  ...['memory.level-0', 'memory.level-1', 'memory.level-2', 'memory.level-3', 'dropped.memory-full', 'close.memory'],
  ...['publish.changed', 'publish.withheld', 'subscription.not-confirmed', 'subscription.withdrawn'],
  ...['program.subscribes', 'program.subscribed', 'program.received', 'program.again', 'program.retained'],
  ...['program.fails', 'program.closes', 'program.unsubscribed'],
  ...['library.client', 'library.connected', 'library.received'],
  ...['store.client', 'store.connected', 'store.restored', 'store.session-present', 'store.received', 'store.stored'],
  ...[
    'store.delivered',
    'store.undelivered',
    'store.resent-qos2',
    'store.handed-out-again',
    'store.received-duplicate',
  ],
  ...['store.crash', 'store.crash-offline', 'store.crash-batch-durable', 'store.crash-batch-lost', 'store.lost'],
  ...['store.fails', 'store.expired', 'store.slow', 'store.error'],
  ...['fault.cut', 'fault.half-open', 'fault.slow-reader', 'fault.stop-reading', 'fault.second-connection'],
  ...['fault.client-crash', 'fault.crash', 'fault.crash-armed', 'fault.crash-in-recovery', 'fault.restart'],
  ...['fault.crash-batch-lost', 'fault.crash-batch-durable', 'fault.crash-in-batch', 'fault.clock-jump'],
  ...['fault.disk-slow', 'fault.disk-heals', 'fault.disk-ENOSPC', 'fault.disk-EIO', 'fault.disk-EFSYNC'],
  ...['fault.split', 'fault.join', 'fault.cut-in-packet'],
]
