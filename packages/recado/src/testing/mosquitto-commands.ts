/**
 * Command lines of Mosquitto's clients and of mosquitto_passwd that ours are compared with, byte by byte and by exit code: all examples of the manual
 * pages, every option without its value, wrong values, every sequence of `-F` with widths, and what else differed once.
 *
 * `cli/mosquitto-commands.peer.test.ts` runs each with Debian's Mosquitto and with ours in the manner of that version; `tools/docs.mjs` makes
 * docs/tools-compared.md of it. The invariant: a row with `differs` does differ, in the way that stands there.
 */
import { optionGroupsOf } from '../cli/mosquitto-options.ts'
import type { Tool } from '../cli/tool-options.ts'

export interface Outcome {
  readonly code: number
  /** The first line of standard output and of standard error; absent: nothing. */
  readonly out?: string
  readonly err?: string
}

export interface Difference {
  readonly mosquitto: Outcome
  readonly recado: Outcome
  readonly why: string
}

export interface ComparedCommand {
  readonly tool: Tool | 'passwd'
  /** Arguments. `{server}` is -h and -p, `{folder}` a folder with the files of `compareFiles`. */
  readonly argv: readonly string[]
  readonly stdin?: string
  readonly differs?: Difference
}

export interface ComparedGroup {
  readonly title: string
  readonly commands: readonly ComparedCommand[]
}

/** Files in `{folder}` at the start of each command. */
export const compareFiles: Readonly<Record<string, string>> = {
  data: 'from a file\nof two lines\n',
  empty: '',
  passwd: 'ral:$7$101$dnFlZU4zZjhSdmlzN3Rh$U5XS2d8yrhQHbn3h1l3yDzQJ6G4hRu5Vp/BW5zq0A5c=\n',
  plain: 'ann:secret\nbob:other\n',
}

/** Retained messages of the server at the start. */
export const compareRetained: readonly {
  readonly topic: string
  readonly payload: string | Uint8Array
  readonly qos: 0 | 1 | 2
  readonly properties?: object
}[] = [
  { topic: 'sensors/temperature', payload: '32', qos: 1 },
  { topic: 'sensors/machines/alpha/temperature/sda', payload: '41', qos: 0 },
  { topic: 'json', payload: '{"a": [1, 2.50, "x\\u00e9"]}', qos: 1 },
  { topic: 'binary', payload: Uint8Array.of(0, 255, 10, 65, 128), qos: 0 },
  {
    ...{ topic: 'full', payload: 'message', qos: 2 },
    properties: {
      payloadFormatIndicator: 1,
      contentType: 'plain/text',
      responseTopic: 'dev/null',
      correlationData: new TextEncoder().encode('2357'),
      userProperties: [
        ['name1', 'value1'],
        ['name2', 'value 2'],
      ],
    },
  },
]

const pub = (...argv: string[]): ComparedCommand => ({ tool: 'pub', argv })
const sub = (...argv: string[]): ComparedCommand => ({ tool: 'sub', argv })
const rr = (...argv: string[]): ComparedCommand => ({ tool: 'rr', argv })
const passwd = (...argv: string[]): ComparedCommand => ({ tool: 'passwd', argv })
const fed = (stdin: string, command: ComparedCommand): ComparedCommand => ({ ...command, stdin })

const differs = (command: ComparedCommand, why: string, mosquitto: Outcome, recado: Outcome): ComparedCommand => ({
  ...command,
  differs: { mosquitto, recado, why },
})

/** Options that came after 2.0, and our own. */
const NEW = ['--ws', '--mptcp', '--tls-keylog', '--retain-handling', '--message-rate', '-w', '--latency']
const OWN = ['--keypass-file', '--json', '--decode', '--as-mosquitto']
/** Options that Debian's build leaves out. */
const NOT_BUILT = ['-S', '-o']

const manual: ComparedGroup = {
  title: 'The examples of the manual pages',
  commands: [
    pub('{server}', '-t', 'sensors/temperature', '-m', '32', '-q', '1'),
    pub('{server}', '-t', 'sensors/temperature', '-m', '1266193804 32'),
    pub('{server}', '-r', '-t', 'switches/kitchen_lights/status', '-m', 'on'),
    pub('{server}', '-t', 'my/topic', '-f', '{folder}/data'),
    fed('from standard input', pub('{server}', '-t', 'my/topic', '-s')),
    fed('1\n2\n3\n', pub('{server}', '-t', 'sensors/temperature', '-l')),
    pub('{server}', '-t', 'my/topic', '-m', 'x', '-V', 'mqttv5', '-D', 'publish', 'user-property', 'name', 'value'),
    sub('{server}', '-t', 'sensors/temperature', '-q', '1', '-C', '1'),
    sub('{server}', '-t', 'sensors/machines/+/temperature/+', '-C', '1'),
    sub('{server}', '-v', '-t', '$SYS/broker/version', '-C', '1'),
    sub('{server}', '-F', '@Y-@m-@dT@H:@M:@S@z : %t : %x', '-t', 'sensors/#', '-C', '2'),
    sub('{server}', '-F', '%@s.@N : %r : %q : %m : %l', '-q', '2', '-t', '#'),
    sub('{server}', '-F', '@s.@N : %r : %q : %m : %l', '-q', '2', '-t', 'full', '-C', '1'),
    sub('{server}', '-F', '\\e[92m%t \\e[96m%p\\e[0m', '-q', '2', '-t', 'sensors/#', '-C', '2'),
    sub('{server}', '-t', 'sensors/#', '-T', 'sensors/temperature', '-v', '-W', '1'),
    sub('{server}', '-t', 'sensors/#', '-U', 'sensors/+/temperature', '-v', '-C', '2'),
    sub('{server}', '-t', 'sensors/#', '-T', 'sensors/machines/#', '--remove-retained', '-v', '-W', '1'),
    rr('{server}', '-t', 'request/1', '-e', 'response', '-m', 'hi', '-W', '20'),
    rr('{server}', '-V', 'mqttv311', '-t', 'nobody', '-e', 'response', '-m', 'hi', '-W', '1'),
    fed('secret\nsecret\n', passwd('-c', '{folder}/new', 'ral')),
    passwd('-D', '{folder}/passwd', 'ral'),
  ],
}

const missing: ComparedGroup = {
  title: 'Every option without its value',
  commands: (['pub', 'sub', 'rr'] as const).flatMap((tool) => {
    const rows = optionGroupsOf(tool).flatMap(({ options }) => options)
    return rows
      .filter(
        ({ value, names }) =>
          value !== undefined && !names.some((name) => [...NEW, ...OWN, ...NOT_BUILT].includes(name)),
      )
      .flatMap(({ names }) => names.map((name) => ({ tool, argv: [name] })))
  }),
}

const foreign: ComparedGroup = {
  title: 'Options of the other tools',
  commands: (['pub', 'sub', 'rr'] as const).flatMap((tool) => {
    const own = new Set(optionGroupsOf(tool).flatMap(({ options }) => options.flatMap(({ names }) => names)))
    const all = (['pub', 'sub', 'rr'] as const).flatMap((each) => optionGroupsOf(each))
    const names = new Set(all.flatMap(({ options }) => options.flatMap((row) => row.names)))
    return [...names].filter((name) => !own.has(name)).map((name) => ({ tool, argv: [name] }))
  }),
}

/** Wrong values, by tool. */
const wrong: ComparedGroup = {
  title: 'Wrong values and combinations',
  commands: [
    ...(['pub', 'sub', 'rr'] as const).flatMap((tool) =>
      [
        ['-k', '4'],
        ['-k', '-1'],
        ['-k', '65536'],
        ['-k', 'x'],
        ['-M', '0'],
        ['-p', '-1'],
        ['-p', '65536'],
        ['-q', '-1'],
        ['-q', '3'],
        ['-V', '0'],
        ['-x', 'A'],
        ['-x', '-2'],
        ['-x', '4294967296'],
        ['-i', 'a', '-I', 'b'],
        ['-I', 'a', '-i', 'b'],
        ['-L', 'invalid://'],
        ['-L', 'mqtt://localhost'],
        ['--will-qos', '-1'],
        ['--will-qos', '3'],
        ['--will-topic', '+'],
        ['--will-payload', 'x'],
        ['--will-retain'],
        ['--cert', 'x'],
        ['--key', 'x'],
        ['--psk', 'aa'],
        ['--psk', 'aa', '--cafile', 'x'],
        ['--proxy', 'http://x'],
        ['--proxy', 'socks5h://x:0'],
        ['--proxy', 'socks5h://'],
        ['-D'],
        ['-D', 'connect'],
        ['-D', 'connect', 'receive-maximum'],
        ['-D', 'invalid', 'receive-maximum', '1'],
        ['-D', 'connect', 'invalid', '1'],
        ['-D', 'connect', 'will-delay-interval', '1'],
        ['-D', 'connect', 'user-property', 'key'],
        ['-D', 'connect', 'receive-maximum', '-1'],
        ['-D', 'connect', 'receive-maximum', '65536'],
        ['-D', 'connect', 'request-problem-information', '256'],
        ['-D', 'connect', 'session-expiry-interval', '4294967296'],
        ['-D', 'subscribe', 'topic-alias', '1'],
        ['-D', 'auth', 'authentication-method', '1'],
        ['-D', 'puback', 'reason-string', '1'],
        ['-D', 'publish', 'subscription-identifier', '1'],
        ['--unknown'],
        ['word'],
        [''],
      ].map((argv) => ({ tool, argv })),
    ),
    sub(),
    sub('-t', '++'),
    sub('-t', 'a#'),
    sub('-t', 'a', '-T', '++'),
    sub('-t', 'a', '-U', '++'),
    sub('-U', 'a'),
    sub('-t', 'a', '-C', '0'),
    sub('-t', 'a', '-W', '0'),
    sub('-t', 'a', '--random-filter', '0'),
    sub('-t', 'a', '--random-filter', '1001'),
    sub('-t', 'a', '-c'),
    sub('-t', 'a', '-V', '5', '-c'),
    sub('{server}', '-t', 'a', '-R', '--retained-only'),
    pub('-t', 'a/+', '-m', 'x'),
    pub('-t', 'a', '-m', 'x', '-n'),
    pub('-m', 'x', '-f', 'y'),
    pub('-l', '-s'),
    pub('-t', 'a', '-m', 'x', '-c'),
    pub('--repeat', '0', '-t', 'a', '-m', 'x'),
    pub('--repeat-delay', '-1', '-t', 'a', '-m', 'x'),
    pub('{server}', '-t', 'a', '-f', '{folder}/missing'),
    fed('', pub('{server}', '-t', 'a', '-s')),
    pub('{server}', '-t', 'a', '-f', '{folder}/empty'),
    rr('-t', 'a', '-m', 'x'),
    rr('-t', 'a', '-e', 'b'),
    rr('-t', 'a', '-e', 'b/#', '-m', 'x'),
    ...['%', '%0', '%-', '%1', '%.', '%.1', '%Z', '@', '\\', '\\Z', '%--5p', '%0-5p', '%k'].map((format) =>
      sub('-F', format),
    ),
    pub('-h', '127.0.0.1', '-p', '1', '-t', 'a', '-m', 'x'),
    sub('-h', '127.0.0.1', '-p', '1', '-t', 'a'),
    rr('-h', '127.0.0.1', '-p', '1', '-t', 'a', '-e', 'b', '-m', 'x'),
    pub('-h', 'host.invalid', '-t', 'a', '-m', 'x'),
    sub('-h', 'host.invalid', '-t', 'a'),
    pub('--unix', '{folder}/no-socket', '-t', 'a', '-m', 'x'),
    pub('{server}', '--cafile', '{folder}/missing', '-t', 'a', '-m', 'x'),
    pub('{server}', '-P', 'x', '-t', 'a', '-m', 'x'),
  ],
}

const widths = ['', '1', '5', '-5', '05', '20', '-20', '020', '.3', '-.3', '20.3', '-20.3', '5.20']
const letters = [...'%ACDEFlmPpqRrStxX']

const formats: ComparedGroup = {
  title: 'Every sequence of -F with widths',
  commands: [
    ...letters.flatMap((letter) =>
      // Of a payload that is left-aligned without a width see below.
      widths
        .filter((width) => width !== '-.3' || !'pxX'.includes(letter))
        .map((width) =>
          sub(
            '{server}',
            '-V',
            '5',
            '-q',
            '2',
            '-t',
            'full',
            '-C',
            '1',
            '-F',
            `[%${width}${letter}]`,
            '-D',
            'subscribe',
            'subscription-identifier',
            '56',
          ),
        ),
    ),
    ...letters.map((letter) => sub('{server}', '-t', 'binary', '-C', '1', '-F', `[%${letter}|%4${letter}]`)),
    ...['\\\\', '\\0', '\\a', '\\e', '\\n', '\\r', '\\t', '\\v', '@@', 'text', '%I', '%U', '@Y-@m-@d', '@j@a@b'].map(
      (format) => sub('{server}', '-t', 'json', '-C', '1', '-F', `[${format}]`),
    ),
    ...['json', 'binary', 'full', 'sensors/temperature'].flatMap((topic) =>
      ['%j', '%J'].flatMap((format) => [
        sub('{server}', '-V', '5', '-q', '1', '-t', topic, '-C', '1', '-F', format),
        sub('{server}', '-t', topic, '-C', '1', '-F', format, '--pretty'),
      ]),
    ),
    sub('{server}', '-t', 'full', '-C', '1', '-N'),
    sub('{server}', '-t', 'full', '-C', '1', '-v', '-N'),
    sub('{server}', '-t', 'binary', '-C', '1', '-v'),
  ],
}

const passwords: ComparedGroup = {
  title: 'mosquitto_passwd',
  commands: [
    passwd('-c'),
    passwd('-c', '-b', '{folder}/new'),
    passwd('-c', '-b', '{folder}/new', 'ann'),
    passwd('-D'),
    passwd('-U'),
    passwd('-H'),
    passwd('-H', 'nonsense', '{folder}/passwd', 'ann'),
    passwd('-c', '-D', '{folder}/passwd', 'ann'),
    passwd('-c', '-U', '{folder}/passwd'),
    passwd('-D', '-U', '{folder}/passwd'),
    passwd('-D', '-b', '{folder}/passwd', 'ann'),
    passwd('-b', '{folder}/passwd', 'ann', 'secret'),
    passwd('-b', '{folder}/passwd', 'ral', 'secret'),
    passwd('-c', '-b', '{folder}/new', 'ann', 'secret'),
    passwd('-H', 'sha512', '-c', '-b', '{folder}/new', 'ann', 'secret'),
    passwd('-b', '{folder}/missing', 'ann', 'secret'),
    passwd('-c', '-b', '{folder}/no/new', 'ann', 'secret'),
    passwd('-b', '{folder}/passwd', 'a:b', 'secret'),
    passwd('-b', '{folder}/passwd', 'a\tb', 'secret'),
    passwd('-D', '{folder}/passwd', 'nobody'),
    passwd('-U', '{folder}/plain'),
    passwd('-U', '{folder}/missing'),
    fed('one\ntwo\n', passwd('{folder}/passwd', 'ann')),
  ],
}

const neverMeant = 'it was not meant, and servers hang up'

const different: ComparedGroup = {
  title: 'What differs, on purpose',
  commands: [
    differs(
      pub('{server}', '-V', '5', '-q', '1', '-t', 'denied/a', '-m', 'x'),
      'a script must be able to tell',
      { code: 0, err: 'Warning: Publish 1 failed: Not authorized.' },
      { code: 1, err: 'Warning: Publish 1 failed: Not authorized.' },
    ),
    differs(
      pub('{server}', '-t', 'a'),
      'the error is enough',
      {
        code: 1,
        out: 'mosquitto_pub is a simple mqtt client that will publish a message on a single topic and exit.',
        err: 'Error: Both topic and message must be supplied.',
      },
      { code: 1, err: 'Error: Both topic and message must be supplied.' },
    ),
    differs(
      pub('{server}', '-t', '', '-m', 'x'),
      'nothing was published',
      { code: 0, err: "Error: Invalid input. Does your topic contain '+' or '#'?" },
      { code: 1, err: "Error: Invalid publish topic '', does it contain '+' or '#'?" },
    ),
    differs(
      sub('{server}', '-t', '', '-W', '1'),
      'there is no such Topic Filter: Mosquitto connects again and again',
      { code: 27, err: 'Timed out' },
      { code: 1, err: "Error: Invalid subscription topic '', are all '+' and '#' wildcards correct?" },
    ),
    differs(
      sub('{server}', '-t', '$share/g', '-W', '1'),
      'there is no such Topic Filter: Mosquitto connects again and again',
      { code: 27, err: 'Timed out' },
      { code: 1, err: "Error: Invalid subscription topic '$share/g', are all '+' and '#' wildcards correct?" },
    ),
    differs(
      pub('{server}', '-x', '-1', '-t', 'a', '-m', 'x'),
      'a session that never ends and that nobody can come back to',
      { code: 0 },
      { code: 1, err: 'Error: You must provide a client id if you are using an infinite session expiry interval.' },
    ),
    differs(
      pub('{server}', '-t', 'a', '-m', 'x', '-D', 'publish', 'message-expiry-interval', 'abc'),
      'not a number: Mosquitto sends 0',
      { code: 0 },
      { code: 1, err: "Error: Property value 'abc' not a number." },
    ),
    differs(
      pub('{server}', '-t', 'a', '-m', 'x', '-D', 'publish', 'payload-format-indicator', '2'),
      neverMeant,
      { code: 0 },
      { code: 1, err: 'Error: payload-format-indicator must be a whole number from 0 to 1, not 2' },
    ),
    differs(
      pub('{server}', '-t', 'a', '-m', 'x', '-D', 'publish', 'response-topic', 'a/+'),
      neverMeant,
      { code: 0 },
      { code: 1, err: 'Error: response-topic is empty or has a wildcard' },
    ),
    differs(
      rr('{server}', '-t', 'request/f', '-e', 'response', '-f', '{folder}/data', '-W', '1'),
      'what is read is published (as in 2.1)',
      { code: 0, out: 'answer to ""' },
      { code: 0, out: 'answer to "from a file' },
    ),
    differs(
      fed('typed', rr('{server}', '-t', 'request/s', '-e', 'response', '-s', '-W', '1')),
      'what is read is published (as in 2.1)',
      { code: 0, out: 'answer to ""' },
      { code: 0, out: 'answer to "typed"' },
    ),
    differs(
      sub('{server}', '-t', 'full', '-C', '1', '-F', '[%-p]'),
      'no spaces were asked for',
      { code: 0, out: '[message       ]' },
      { code: 0, out: '[message]' },
    ),
    differs(
      sub('{server}', '-t', 'full', '-C', '1', '-F', '[%-x]'),
      'no spaces were asked for',
      { code: 0, out: '[6d657373616765       ]' },
      { code: 0, out: '[6d657373616765]' },
    ),
    differs(
      sub('{server}', '-t', 'full', '-C', '1', '-F', '%d'),
      'new in 2.1',
      { code: 1, err: "Error: Invalid format specifier 'd'." },
      { code: 0, out: '', err: 'Error: requested double printing, but non-double data received on topic full.' },
    ),
    differs(
      pub('{server}', '-t', 'a', '-m', 'x', '--mptcp'),
      'new in 2.2; Node has no Multipath TCP',
      { code: 1, err: "Error: Unknown option '--mptcp'." },
      { code: 0, err: 'Warning: --mptcp: Node has no Multipath TCP, the connection is one of plain TCP.' },
    ),
    differs(
      rr('{server}', '-t', 'request/l', '-e', 'response', '-m', 'x', '--latency', '-R', '-F', 'x'),
      'new in 2.1',
      { code: 1, err: "Error: Unknown option '--latency'." },
      { code: 0, out: 'x' },
    ),
    differs(
      sub('{server}', '-t', 'full', '-C', '1', '--retain-handling', 'always'),
      'new in 2.1',
      { code: 1, err: "Error: Unknown option '--retain-handling'." },
      { code: 0, out: 'message' },
    ),
    differs(
      sub('{server}', '-t', 'full', '-C', '1', '-w'),
      'new in 2.1',
      { code: 1, err: "Error: Unknown option '-w'." },
      { code: 0, out: '\u001b[2J\u001b[1;1HBroker: 127.0.0.1' },
    ),
    differs(
      pub('--ws'),
      'new in 2.1',
      { code: 1, err: "Error: Unknown option '--ws'." },
      { code: 1, err: 'Error: Both topic and message must be supplied.' },
    ),
    differs(
      pub('-S'),
      'not in the build of Debian',
      { code: 1, err: "Error: Unknown option '-S'." },
      { code: 1, err: 'Error: Both topic and message must be supplied.' },
    ),
    differs(
      pub('-o'),
      'not in Debian’s 2.0',
      { code: 1, err: "Error: Unknown option '-o'." },
      { code: 1, err: 'Error: -o argument given but no options file specified.' },
    ),
    differs(
      passwd('-b', '{folder}/passwd', ' ann', 'secret'),
      'nobody could log in by that name',
      { code: 0 },
      { code: 1, err: 'Error: the user name begins or ends with a blank.' },
    ),
    differs(
      passwd('-b', '{folder}/passwd', '', 'secret'),
      'nobody could log in by that name',
      { code: 0 },
      { code: 1, err: 'Error: the user name is empty.' },
    ),
    differs(
      passwd('-b', '{folder}/passwd', 'ann', ''),
      'an empty password',
      { code: 0 },
      { code: 1, err: 'Error: the password is empty.' },
    ),
    differs(
      passwd('-H', 'argon2id', '-b', '{folder}/passwd', 'ann', 'secret'),
      'new in 2.1',
      { code: 1, err: "Error: Unknown hash type 'argon2id'" },
      { code: 0 },
    ),
  ],
}

export const comparedGroups: readonly ComparedGroup[] = [manual, missing, foreign, wrong, formats, passwords, different]
