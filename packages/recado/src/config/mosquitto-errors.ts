/**
 * Words of Mosquitto 2.0 and 2.1 for a fault in a configuration, for `--as-mosquitto` and a start by the name `mosquitto`.
 *
 * `serve.ts` prints them before our own line, which says what to do: scripts and tools that look for Mosquitto's line find it. Invariant:
 * a fault that Mosquitto has no words for has none here.
 */
import type { MosquittoVersion } from './log.ts'
import type { ConfigError, FaultKind, OptionFault } from './parse.ts'

type Sentence = (fault: OptionFault) => string

const PLUGINS = 'plugin/global_plugin/plugin_load'

/** Lines of 2.1, after `Error: `. */
const sentences: Readonly<Record<Exclude<FaultKind, 'tls'>, Sentence>> = {
  unknown: ({ name }) =>
    /^(?:plugin|auth)_opt_$/.test(name)
      ? `Invalid '${name}' config option.`
      : `Unknown configuration variable '${name}'.`,
  empty: ({ name }) => `Empty '${nameOf(name)}' value in configuration.`,
  invalid: ({ name, value }) => `Invalid '${name}' value (${value}).`,
  duplicate: ({ name }) => `Duplicate '${name}' value in configuration.`,
  'not-a-number': ({ name }) => `'${nameOf(name)}' value not a number.`,
  'out-of-range': outOfRange,
  'too-long': ({ name }) =>
    name === 'auto_id_prefix' ? 'auto_id_prefix length must be <= 50.' : `'${name}' length must be <= 50.`,
  duration: ({ name }) => `Invalid '${name}' duration in configuration.`,
  'needs-listener': ({ name }) => `The '${name}' option requires a listener to be defined first.`,
  'needs-bridge': ({ name }) => `The '${name}' option requires a bridge to be defined first.`,
  'needs-plugin': ({ name }) => `The '${name}' option requires ${PLUGINS} to be defined first.`,
  'too-late': ({ name }) => `${name} must be set before any other security settings.`,
  'no-socket-path': () => 'A listener with port 0 must provide a Unix socket path.',
  'has-wildcard': ({ name, value }) => `Invalid '${name}' value (${value}). Does it contain a wildcard character?`,
  'no-closing-quote': ({ name, value }) => `Missing closing quote in ${name} value (${value}).`,
  'no-address': () => 'Invalid bridge configuration: no remote addresses defined.',
  'no-topic': () => 'Invalid bridge configuration: no topics defined.',
  'no-identity': () => 'Invalid bridge configuration: missing bridge_identity.',
  'no-psk': () => 'Invalid bridge configuration: missing bridge_psk.',
}

/** Lines of 2.0 that are others, beside the quotes around names, which 2.0 does not have. */
const oldSentences: Partial<Record<FaultKind, Sentence>> = {
  unknown: ({ name }) =>
    name === 'auth_opt_' ? 'Invalid auth_opt_ config option.' : `Unknown configuration variable "${name}".`,
  'needs-listener': ({ name }) =>
    name === 'mount_point'
      ? 'You must use create a listener before using the mount_point option in the configuration file.'
      : `You must define a listener before using the ${name} option.`,
  'needs-bridge': () => 'Invalid bridge configuration.',
  'needs-plugin': () => 'An auth_opt_ option exists in the config file without an auth_plugin.',
}

/** Name in a message: the value of `listener` is a port, and options of plugins have names of their own. */
const nameOf = (name: string): string =>
  name === 'listener' ? 'listener port' : name.replace(/^(?:plugin|auth)_opt_(?=.)/, '')

function outOfRange({ name, value }: OptionFault): string {
  switch (name) {
    case 'max_qos':
    case 'maximum_qos':
      return "'max_qos' must be between 0 and 2 inclusive."
    case 'max_inflight_messages':
      return "'max_inflight_messages' must be <= 65535."
    case 'max_packet_size':
      return "'max_packet_size' must be >= 20."
    case 'max_topic_alias':
    case 'max_topic_alias_broker':
      return `Invalid '${name}' value in configuration.`
    case 'websockets_headers_size':
      return 'Packet buffer size must be between 0 and 65535 inclusive.'
    case 'enable_proxy_protocol':
      return 'enable_proxy_protocol must be 1 or 2.'
    case 'listener':
    case 'port':
      return `Invalid 'port' value (${value}).`
    default:
      return `Invalid '${name}' value (${value}).`
  }
}

/** Lines of Mosquitto's log about a fault, without the time; empty where Mosquitto has no words for it. */
export function mosquittoLines({ fault, file, line }: ConfigError, version: MosquittoVersion): string[] {
  if (fault === null || fault.kind === 'tls') return []
  const newer = sentences[fault.kind](fault)
  const older = oldSentences[fault.kind]?.(fault) ?? newer.replaceAll("'", '')
  const said = `Error: ${version === '2.0' ? older : newer}`
  return isOfTheWhole(fault) ? [said] : [said, `Error found at ${file}:${line}.`]
}

/** Whether Mosquitto finds it when it has read the file to the end, and names no line. */
const isOfTheWhole = ({ kind }: OptionFault): boolean =>
  kind === 'no-address' || kind === 'no-topic' || kind === 'no-identity' || kind === 'no-psk'
