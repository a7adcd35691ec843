/**
 * The parsers of files: mosquitto.conf, password files, ACL files. An administrator writes them, and makes mistakes; a
 * file from somewhere else may contain anything. `targets.ts` lists them.
 *
 * Invariants: every error has a code and a line number, and is never one of JavaScript's own; an accepted configuration
 * gives limits that the broker accepts; an ACL gives the same answer twice, and denies where a deny stands; no name
 * (`__proto__`) is special.
 */
import { resolveLimits } from '@recado/broker'
import { AclRules, parseHash, parsePasswordFile } from '@recado/broker/testing'
import { isTopicName, MqttError } from '@recado/protocol'
import { mutateLines, seedsOf, textOf } from './mutate-lines.ts'
import { Finding, type FuzzTarget } from './target.ts'

/**
 * Part of the program that is used. Not imported by its types: its tests use this package, and references may not be
 * circular.
 */
interface Program {
  loadConfig(commandLine: object, files: object): { warnings: string[]; listeners: { name: string }[] }
  brokerOptionsFrom(config: object): { limits?: object }
  ConfigError: new (...args: never[]) => Error
  optionTable: readonly { name: string; default: string; choices?: readonly string[] }[]
}
const program = (await import('recado' as string)) as Program

const COMMAND_LINE = { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false }

function configSeeds(): Uint8Array[] {
  const every = program.optionTable.map(
    ({ name, default: value, choices }) => `${name} ${value || choices?.[0] || 'x'}`,
  )
  return seedsOf(
    'listener 1883\nallow_anonymous true\n',
    'per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\nmax_connections 10\nlistener 0 /tmp/a.sock\n',
    'port 1884\nbind_address ::1\nmax_qos 1\nmemory_limit 100000000\nmax_message_rate 10\n',
    'connection b\naddress 10.0.0.1:1883 10.0.0.2\ntopic a/# both 1 l/ r/\nlistener 1\n',
    'log_dest file /tmp/x\nlog_type all\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\npersistence false\ninclude_dir /etc/x\n',
    'plugin /x.so\nplugin_opt_a b\npersistent_client_expiration 14d\nqueue_overflow drop-oldest\n',
    ...every.map((line) => `${line}\nlistener 1883\n${line}\n`),
  )
}

function runConfig(input: Uint8Array): void {
  const files = {
    read: (path: string) => (path === 'a.conf' ? textOf(input) : 'allow_anonymous true\nlistener 1\n'),
    list: () => ['b.conf', 'c.txt'],
  }
  let config: ReturnType<Program['loadConfig']>
  try {
    config = program.loadConfig(COMMAND_LINE, files)
  } catch (error) {
    if (!(error instanceof program.ConfigError)) throw error
    if (!/^[^\n]+:\d+: |^[^\n]*no listener/.test(error.message))
      throw new Finding(`an error without file and line: ${error.message}`)
    return
  }
  if (config.listeners.length === 0) throw new Finding('a configuration without listener is taken')
  resolveLimits(program.brokerOptionsFrom(config).limits)
}

const configTarget: FuzzTarget = {
  name: 'config',
  doc: 'mosquitto.conf',
  isText: true,
  seeds: configSeeds,
  mutate: mutateLines,
  run: runConfig,
  covers: ['parse', 'config', 'broker-options', 'limit-options', 'tls-options'].map(
    (file) => `/recado/dist/config/${file}.js`,
  ),
  inputBytesMax: 5_000,
  inputMsMax: 5_000,
}

const HASH_6 = `$6$${Buffer.alloc(12, 1).toString('base64')}$${Buffer.alloc(64, 2).toString('base64')}`
const HASH_7 = `$7$101$${Buffer.alloc(12, 1).toString('base64')}$${Buffer.alloc(64, 2).toString('base64')}`

function runPasswords(input: Uint8Array): void {
  const text = textOf(input)
  const { users, list, warnings } = parsePasswordFile(text, 'p')
  if (users.size !== list.length) throw new Finding('users and list differ')
  for (const warning of warnings) {
    if (!/^p:\d+: /.test(warning)) throw new Finding(`a warning without a line: ${warning}`)
    // A mistake in a line must not put its hash into the log
    if (/[A-Za-z0-9+/]{60}/.test(warning)) throw new Finding('a warning shows a hash')
  }
  for (const line of text.split('\n')) parseHash(line)
}

const passwordsTarget: FuzzTarget = {
  name: 'passwords',
  doc: 'password files',
  isText: true,
  seeds: () =>
    seedsOf(
      `ada:${HASH_6}\nbob:${HASH_7}\n# nobody\n`,
      'ada:$argon2id$v=19$m=12288,t=3,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n',
      'plain:text\n:\n\n',
      `__proto__:${HASH_6}\nconstructor:${HASH_7}\n`,
      `ada:${HASH_6}\nada:${HASH_7}\n`,
      'ada:$scram-sha-256$4096$AAAAAAAAAAAAAAAAAAAAAA==$AAAA$AAAA\n',
    ),
  mutate: mutateLines,
  run: runPasswords,
  covers: ['file', 'hash'].map((file) => `/broker/dist/adapters/password/${file}.js`),
  inputBytesMax: 5_000,
  inputMsMax: 5_000,
}

const CLIENTS = [
  ['c1', 'ada'],
  ['c/+', undefined],
  ['#', '__proto__'],
  ['', 'a/b'],
] as const
const READ = 1
const WRITE = 2
const TOPICS = ['a', 'a/b', 'a/b/c', 'c1/x', 'ada/c1', '$SYS/x', '/', 'deny/this', '+', '#']

function runAcl(input: Uint8Array): void {
  let rules: AclRules
  try {
    rules = AclRules.parse(textOf(input), 'acl')
  } catch (error) {
    if (!(error instanceof MqttError)) throw error
    if (!/^acl:\d+: [^\n]*$/.test(error.message))
      throw new Finding(`an error without a line, or of several: ${error.message}`)
    return
  }
  for (const [clientId, username] of CLIENTS) {
    const client = rules.of(clientId, username)
    for (const topic of TOPICS) {
      if (!isTopicName(topic)) continue
      for (const access of [READ, WRITE]) {
        const isAllowed = client.may(topic, access)
        const { isAllowed: explained, rule } = client.explain(topic, access)
        if (isAllowed !== explained)
          throw new Finding(`may says ${isAllowed} and explain says ${explained} of ${topic}`)
        if (isAllowed !== rules.of(clientId, username).may(topic, access)) throw new Finding(`two answers for ${topic}`)
        if (isAllowed && rule === null) throw new Finding(`${topic} is allowed by no line`)
        if (isAllowed && access === WRITE && topic.startsWith('$SYS')) throw new Finding(`${topic} may be written`)
      }
    }
    for (const filter of ['#', 'a/#', '+/b', 'deny/+'])
      for (const access of ['read', 'write'] as const) client.overlapping(filter, access)
  }
}

const aclTarget: FuzzTarget = {
  name: 'acl',
  doc: 'ACL files, and what they decide',
  isText: true,
  seeds: () =>
    seedsOf(
      'topic read a/#\nuser ada\ntopic write a/b\ntopic deny a/b/c\npattern readwrite %u/%c\n',
      'topic readwrite #\ntopic deny deny/#\nuser bob\ntopic $SYS/#\n',
      'pattern read %c/+/x\npattern write %u\npattern deny %c/secret/#\n# a comment\n\n',
      'user __proto__\ntopic a\nuser constructor\ntopic b\n',
    ),
  mutate: mutateLines,
  run: runAcl,
  covers: ['/broker/dist/adapters/acl/rules.js'],
  inputBytesMax: 5_000,
  inputMsMax: 5_000,
}

export const textTargets: readonly FuzzTarget[] = [configTarget, passwordsTarget, aclTarget]
