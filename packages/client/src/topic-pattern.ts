/**
 * Topic Filters with names for their wildcards: `sensors/:id/temperature` is the Topic Filter `sensors/+/temperature`
 * and a parameter `id`; `logs/#path` is `logs/#` and a parameter `path`. `parsePattern` parses one, `TopicParams` is
 * the type of its parameters, made from the literal type of the string.
 *
 * `:name` names one level, `#name` (last) all that follow, with their slashes: '' when there are none. A level `:`
 * alone is an ordinary level; so is every level with `literal`. The Share Name of a Shared Subscription has no
 * parameters. Unnamed `+` and `#` match as ever and give no parameter.
 *
 * Invariant: types and `parsePattern` agree about which levels are parameters.
 *
 * Source: MQTT 5.0 section 4.7 (syntax of filters), 4.8.2 ($share); the names are ours.
 */
import { check, OptionError, parseShare, text, topicMatches } from '@recado/protocol'
import { topicFilter as checkedFilter, type TopicCharacters } from './arguments.ts'

type WithoutShare<Filter extends string> = Filter extends `$share/${string}/${infer Rest}` ? Rest : Filter
type LevelName<Level extends string> = Level extends `:${infer Name}` ? Name : never
type LastName<Level extends string> = Level extends `#${infer Name}` ? Name : LevelName<Level>
type Names<Filter extends string, Found extends string = never> = Filter extends `${infer Level}/${infer Rest}`
  ? Names<Rest, Found | LevelName<Level>>
  : Found | LastName<Filter>

/** Parameters of one Topic Filter, each a string. A filter of type `string` has unknown parameters: any name. */
export type TopicParams<Filter extends string> = Filter extends unknown
  ? string extends Filter
    ? Readonly<Record<string, string>>
    : Readonly<Record<Exclude<Names<WithoutShare<Filter>>, ''>, string>>
  : never

/** Parameters of a `subscribe` call: with several Topic Filters, those of the one that matched. */
export type ParamsOf<Filters extends string | readonly string[]> = Filters extends readonly string[]
  ? TopicParams<Filters[number]>
  : Filters extends string
    ? TopicParams<Filters>
    : never

interface Parameter {
  readonly name: string
  /** Index of the level in the Topic Name. */
  readonly level: number
  /** Whether the parameter includes all the levels that follow. */
  readonly isRest: boolean
}

export class TopicPattern {
  /** Topic Filter that is sent to the server. */
  readonly topicFilter: string
  readonly #matched: string
  readonly #parameters: readonly Parameter[]

  constructor(topicFilter: string, parameters: readonly Parameter[]) {
    this.topicFilter = topicFilter
    this.#matched = parseShare(topicFilter)?.topicFilter ?? topicFilter
    this.#parameters = parameters
  }

  get hasParameters(): boolean {
    return this.#parameters.length > 0
  }

  matches(topic: string): boolean {
    return topicMatches(this.#matched, topic)
  }

  /** Returns the parameters of a Topic Name that matches. */
  paramsOf(topic: string): Readonly<Record<string, string>> {
    const levels = topic.split('/')
    const params: Record<string, string> = {}
    for (const { name, level, isRest } of this.#parameters) {
      params[name] = isRest ? levels.slice(level).join('/') : (levels[level] ?? '')
    }
    return params
  }
}

/** Parses a pattern. Throws `MqttError` ERR_MQTT_TOPIC_FILTER, or `OptionError` for a name that stands twice. */
export function parsePattern(pattern: string, literal: boolean, characters?: TopicCharacters): TopicPattern {
  check('a Topic Filter', pattern, text)
  if (literal || !/[:#][^/]/.test(pattern)) return new TopicPattern(checkedFilter(pattern, characters), [])
  const levels = pattern.split('/')
  const first = pattern.startsWith('$share/') ? 2 : 0
  const parameters: Parameter[] = []
  for (let i = first; i < levels.length; i++) {
    const level = levels[i]!
    const isRest = level.startsWith('#') && i === levels.length - 1
    if (level.length < 2 || !(isRest || level.startsWith(':'))) continue
    const name = level.slice(1)
    if (parameters.some((other) => other.name === name)) {
      throw new OptionError(`${JSON.stringify(pattern)} has two parameters ${name}; give each its own name`)
    }
    parameters.push({ name, level: i - first, isRest })
    levels[i] = isRest ? '#' : '+'
  }
  return new TopicPattern(checkedFilter(levels.join('/'), characters), parameters)
}
