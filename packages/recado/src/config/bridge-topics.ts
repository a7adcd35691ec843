/**
 * The `topic` lines of a bridge: the direction and the names of topics.
 *
 * `bridges.ts` calls `topicsFrom`. Invariants: prefix and pattern together are a Topic Filter that can be subscribed
 * to; a line that repeats an earlier one is left out, with a warning, as in Mosquitto.
 */
import { isTopicFilter } from '@recado/protocol'
import type { FaultKind, Setting } from './parse.ts'

/** Callback for a fault in a section, with the setting whose line it is. */
export type Fault = (setting: Setting, what: string, kind?: FaultKind) => void

export interface BridgeTopic {
  /** Pattern; '' maps one topic to one, by the prefixes alone. */
  readonly pattern: string
  readonly direction: 'out' | 'in' | 'both'
  readonly qos: 0 | 1 | 2
  /** Local prefix; '' for none. */
  readonly localPrefix: string
  readonly remotePrefix: string
  /** Topic Filter of the local subscription, for `out` and `both`. */
  readonly localFilter: string
  /** Topic Filter of the remote subscription, for `in` and `both`. */
  readonly remoteFilter: string
  readonly file: string
  readonly line: number
}

export function topicsFrom(
  settings: readonly Setting[],
  head: Setting,
  fault: Fault,
  warnings: string[],
): BridgeTopic[] {
  if (settings.length === 0)
    fault(
      head,
      'has no topic: say topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]] below it',
      'no-topic',
    )
  const topics: BridgeTopic[] = []
  for (const setting of settings) {
    const topic = topicFrom(setting, fault)
    const before = topics.find((each) => saysTheSame(each, topic))
    if (before === undefined) topics.push(topic)
    else
      warnings.push(
        `${setting.file}:${setting.line}: topic stands already at ${before.file}:${before.line}; that one holds`,
      )
  }
  return topics
}

/** Whether two lines mean the same. A missing prefix equals each. */
const saysTheSame = (a: BridgeTopic, b: BridgeTopic): boolean =>
  a.pattern === b.pattern &&
  a.direction === b.direction &&
  a.qos === b.qos &&
  (a.localPrefix === b.localPrefix || a.localPrefix === '' || b.localPrefix === '') &&
  (a.remotePrefix === b.remotePrefix || a.remotePrefix === '' || b.remotePrefix === '')

function topicFrom(setting: Setting, fault: Fault): BridgeTopic {
  const { file, line } = setting
  const [pattern = '', directionWord = 'out', qosWord = '0', ...rest] = setting.value as readonly string[]
  const [localPrefix, remotePrefix] = [rest[0] ?? '', rest[1] ?? ''].map((word) => (word === '""' ? '' : word)) as [
    string,
    string,
  ]
  const direction = directionWord.toLowerCase()
  if (direction !== 'out' && direction !== 'in' && direction !== 'both') {
    fault(setting, `has the direction "${directionWord}", and knows out, in and both`)
  }
  if (!/^[012]$/.test(qosWord)) fault(setting, `has the QoS "${qosWord}", and knows 0, 1 and 2`)
  for (const [which, prefix] of [
    ['local', localPrefix],
    ['remote', remotePrefix],
  ] as const) {
    if (/[+#]/.test(prefix)) fault(setting, `has the ${which} prefix ${prefix}: a prefix may not have + or #`)
    else if (pattern === '' && prefix === '') fault(setting, `"" needs a ${which} prefix: the name of the topic there`)
    else if (!isTopicFilter(prefix + pattern)) {
      fault(setting, `${which === 'local' ? 'here' : 'there'} is "${prefix}${pattern}", which is no Topic Filter`)
    }
  }
  return {
    ...{ pattern, localPrefix, remotePrefix, file, line },
    direction: direction as BridgeTopic['direction'],
    qos: Number(qosWord) as BridgeTopic['qos'],
    localFilter: localPrefix + pattern,
    remoteFilter: remotePrefix + pattern,
  }
}
