/**
 * Options of `recado pub`, `sub` and `rr` about messages: the message to publish, subscriptions, output, and the end.
 *
 * Read by `mosquitto-options.ts`.
 */
import { isTopicFilter, isTopicName } from '@recado/protocol'
import { atof, atoi, flag, qosOf, reading, type ToolOption, type ToolOptionGroup, writing } from './option-spec.ts'
import { parseFormat } from './output-format.ts'
import { addTopic } from './server-arguments.ts'
import { decodings, type Tool, type ToolOptions } from './tool-options.ts'

const pub: readonly Tool[] = ['pub']
const sub: readonly Tool[] = ['sub']
const rr: readonly Tool[] = ['rr']

type Message = NonNullable<ToolOptions['message']>

const message = (names: readonly string[], help: string, make: (value: string) => Message): ToolOption => ({
  ...{ names, help, tools: writing },
  apply: (options, given) => {
    if (options.message !== undefined) return 'Error: Only one type of message can be sent at once.\n'
    options.message = make(given)
    return undefined
  },
})

const topic: ToolOption = {
  names: ['-t', '--topic'],
  value: 'TOPIC',
  help: 'Topic Name to publish to',
  helpOf: {
    rr: 'where to publish the request',
    sub: 'Topic Filter to subscribe to, with + and #; may be repeated',
  },
  what: 'topic',
  apply: addTopic,
}

const qos: ToolOption = {
  names: ['-q', '--qos'],
  value: 'QOS',
  help: '0, 1 or 2 (default: 0)',
  helpOf: { sub: 'highest QoS to receive (default: 0)' },
  what: 'QoS',
  completes: ['0', '1', '2'],
  apply: (options, value) => {
    const given = qosOf(value)
    if (given === null) return `Error: Invalid QoS given: ${atoi(value)}`
    options.qos = given
    return undefined
  },
}

const responseTopic: ToolOption = {
  names: ['-e'],
  value: 'RESPONSE_TOPIC',
  help: 'where to wait for the response: the first message there is taken for it',
  what: 'response topic',
  tools: rr,
  apply: (options, value) => {
    if (!isTopicName(value)) return `Error: Invalid response topic '${value}', does it contain '+' or '#'?`
    options.responseTopic = value
    return undefined
  },
}

const retainHandling: ToolOption = {
  names: ['--retain-handling'],
  value: 'WHEN',
  help: 'retained messages: always, new (subscriptions only) or never (MQTT 5)',
  what: 'option',
  tools: reading,
  completes: ['always', 'new', 'never'],
  apply: (options, value) => {
    const handling = ['always', 'new', 'never'].indexOf(value)
    if (handling < 0) return `Error: Unknown value '${value}' for --retain-handling.\n`
    options.retainHandling = handling as 0 | 1 | 2
    return undefined
  },
}

const noRetained: ToolOption = {
  names: ['-R'],
  help: 'do not print retained messages',
  helpOf: { rr: 'take no retained message for the response' },
  tools: reading,
  apply: (options) => {
    options.noRetained = true
    options.retainHandling = 2
  },
}

const timeout: ToolOption = {
  names: ['-W'],
  value: 'SECONDS',
  help: 'exit after so long, with code 27',
  helpOf: { rr: 'give up after so long, with code 27' },
  what: 'timeout',
  tools: reading,
  apply: (options, value) => {
    options.timeoutSeconds = atoi(value)
    if (options.timeoutSeconds < 1) return `Error: Invalid timeout "${options.timeoutSeconds}".\n`
    return undefined
  },
}

const filters = (
  names: readonly string[],
  help: string,
  what: string,
  called: string,
  list: (options: ToolOptions) => string[],
): ToolOption => ({
  ...{ names, value: 'FILTER', help, what, tools: sub, repeats: true },
  apply: (options, value) => {
    if (!isTopicFilter(value)) {
      return `Error: Invalid ${called} topic '${value}', are all '+' and '#' wildcards correct?`
    }
    list(options).push(value)
    return undefined
  },
})

export const messages: ToolOptionGroup = {
  title: 'Message',
  options: [
    topic,
    responseTopic,
    {
      ...message(['-m', '--message'], 'payload of the message', (value) => ({ kind: 'text', value })),
      ...{ value: 'TEXT', what: 'message', isBytes: true },
    },
    {
      ...message(['-f', '--file'], 'publish the content of a file', (value) => ({ kind: 'file', value })),
      ...{ value: 'FILE', what: 'file', isBytes: true, completes: 'file' },
    },
    message(['-s', '--stdin-file'], 'publish all of standard input as one message', () => ({ kind: 'stdin' })),
    {
      ...message(['-l', '--stdin-line'], 'publish each line of standard input as a message', () => ({ kind: 'lines' })),
      tools: pub,
    },
    {
      ...message(['-n', '--null-message'], 'an empty message', () => ({ kind: 'null' })),
      helpOf: { pub: 'publish an empty message; with -r it deletes the retained message' },
    },
    qos,
    { ...flag(['-r', '--retain'], 'let the server keep it for later subscribers', 'retain', true), tools: pub },
    {
      names: ['--repeat'],
      value: 'COUNT',
      help: 'number of times to publish the message',
      what: 'count',
      tools: pub,
      apply: (options, value) => {
        options.repeat = atoi(value)
        if (options.repeat < 1) return 'Error: --repeat argument must be >0.\n'
        return undefined
      },
    },
    {
      names: ['--repeat-delay'],
      value: 'SECONDS',
      help: 'pause between two repetitions (default: 0)',
      what: 'time',
      tools: pub,
      apply: (options, value) => {
        options.repeatDelayMs = atof(value) * 1000
        if (options.repeatDelayMs < 0) return 'Error: --repeat-delay argument must be >=0.0.\n'
        return undefined
      },
    },
    { ...timeout, tools: rr },
  ],
}

export const subscription: ToolOptionGroup = {
  title: 'Subscription',
  options: [
    { ...topic, value: 'FILTER', tools: sub, repeats: true },
    { ...qos, tools: sub },
    filters(
      ['-T', '--filter-out'],
      'do not print messages whose topic matches; may be repeated',
      'topic filter',
      'filter',
      ({ filterOut }) => filterOut,
    ),
    filters(
      ['-U', '--unsubscribe'],
      'unsubscribe in a kept session; may be repeated',
      'unsubscribe topic',
      'unsubscribe',
      ({ unsubscribe }) => unsubscribe,
    ),
    {
      ...flag(
        ['--retain-as-published'],
        'keep the retained flag as the publisher set it (MQTT 5)',
        'retainAsPublished',
        true,
      ),
      tools: reading,
    },
    retainHandling,
    noRetained,
    {
      ...flag(['--retained-only'], 'print only retained messages, end at the first other one', 'retainedOnly', true),
      tools: sub,
    },
    {
      ...flag(['--remove-retained'], 'delete the retained messages that are received', 'removeRetained', true),
      tools: sub,
    },
  ],
}

export const output: ToolOptionGroup = {
  title: 'Output',
  options: [
    { ...flag(['-v', '--verbose'], 'print the topic before the payload', 'verbose', true), tools: reading },
    { ...flag(['-N'], 'no line feed after each message', 'eol', false), tools: reading },
    {
      names: ['-F'],
      value: 'FORMAT',
      help: 'print each message in this form, see below',
      helpOf: { rr: 'print it in this form, see recado sub --help' },
      what: 'format',
      tools: reading,
      apply: (options, value, { mosquitto }) => {
        const parsed = parseFormat(value, mosquitto)
        if (typeof parsed === 'string') return parsed
        options.format = value
        return undefined
      },
    },
    { ...flag(['--pretty'], 'JSON over several lines', 'pretty', true), tools: reading },
    {
      ...flag(['--json'], 'each message as a line of JSON, the payload too where it is JSON', 'json', true),
      tools: reading,
    },
    {
      names: ['--decode'],
      value: 'FORM',
      help: 'print payloads as JSON: auto (by topic and bytes), json, cbor, msgpack or sparkplug',
      what: 'form',
      tools: reading,
      completes: decodings,
      apply: (options, value) => {
        const decoding = decodings.find((each) => each === value)
        if (decoding === undefined) return `Error: --decode ${value}: there is ${decodings.join(', ')}.\n`
        options.decode = decoding
        return undefined
      },
    },
    {
      names: ['--random-filter'],
      value: 'PERCENT',
      help: 'print only so many of the messages, by chance',
      what: 'chance',
      tools: sub,
      apply: (options, value) => {
        options.perMille = Math.trunc(10 * atof(value))
        if (options.perMille > 1_000 || options.perMille < 1) {
          return 'Error: --random-filter chance must be between 0.1-100.0\n'
        }
        return undefined
      },
    },
    {
      ...flag(
        ['--message-rate'],
        'print how many messages come each second, and not the messages',
        'messageRate',
        true,
      ),
      tools: sub,
    },
    { ...flag(['-w', '--watch'], 'a line of the terminal for each topic, written anew', 'watch', true), tools: sub },
    {
      names: ['--latency'],
      help: 'print how long the response took (implies --nodelay)',
      tools: rr,
      apply: (options) => {
        options.latency = true
        options.noDelay = true
      },
    },
  ],
}

export const end: ToolOptionGroup = {
  title: 'The end',
  options: [
    {
      names: ['-C'],
      value: 'COUNT',
      help: 'exit after so many messages',
      what: 'count',
      tools: sub,
      apply: (options, value) => {
        options.count = atoi(value)
        if (options.count < 1) return `Error: Invalid message count "${options.count}".\n`
        return undefined
      },
    },
    { ...timeout, tools: sub },
    { ...flag(['-E'], 'exit when the subscriptions are there', 'exitAfterSubscribe', true), tools: sub },
  ],
}
