/**
 * The arguments of `recado pub`, `sub` and `rr` (and of mosquitto_pub, mosquitto_sub and mosquitto_rr): shapes and
 * defaults.
 *
 * `mosquitto-options.ts` fills them in, `tool-client.ts` and the tools read them.
 */
import type { CommandProperties } from './mosquitto-properties.ts'

/** Forms of payloads that `--decode` understands; `auto` looks at topic and bytes. */
export const decodings = ['auto', 'json', 'cbor', 'msgpack', 'sparkplug'] as const
export type Decoding = (typeof decodings)[number]

export type Tool = 'pub' | 'sub' | 'rr'

export interface TlsArguments {
  caFile?: string
  caPath?: string
  certFile?: string
  keyFile?: string
  ciphers?: string
  version?: string
  alpn?: string
  insecure?: boolean
  useOsCerts?: boolean
  psk?: string
  pskIdentity?: string
  off?: boolean
  keyForm?: string
  /** File for the secrets of each connection, for Wireshark. */
  keyLogFile?: string
  /** File with the pass phrase of `keyFile`, on its first line. */
  keyPassFile?: string
  /** Pass phrase, read from that file or asked for. */
  passphrase?: string
}

export interface ProxyArguments {
  host: string
  port: number
  username?: string
  password?: string
}

export interface ToolOptions {
  tool: Tool
  host?: string
  port?: number
  unixPath?: string
  bindAddress?: string
  id?: string
  idPrefix?: string
  username?: string
  password?: string
  keepAliveSeconds: number
  cleanSession: boolean
  protocolVersion: 3 | 4 | 5
  /** Session Expiry Interval in seconds; 0xFFFFFFFF for ever. */
  sessionExpirySeconds?: number
  inflightMax: number
  noDelay: boolean
  /** Whether the connection is a WebSocket. */
  webSocket: boolean
  /** Whether `host` is a domain whose SRV records name the server. */
  srv: boolean
  /** Whether Multipath TCP was asked for, which Node does not support. */
  multipath: boolean
  topics: string[]
  responseTopic?: string
  unsubscribe: string[]
  filterOut: string[]
  qos: 0 | 1 | 2
  /** Message to publish. */
  message?: { kind: 'text' | 'file'; value: string } | { kind: 'lines' | 'stdin' | 'null' }
  retain: boolean
  repeat: number
  repeatDelayMs: number
  debug: boolean
  quiet: boolean
  verbose: boolean
  eol: boolean
  pretty: boolean
  /** Whether each topic has a line of its own on the terminal. */
  watch: boolean
  /** Whether the number of messages is printed each second, instead of the messages. */
  messageRate: boolean
  /** Whether the time from the request to its response is printed. */
  latency: boolean
  /** Form from which payloads are decoded; absent when they are printed unchanged. */
  decode?: Decoding
  /** Whether each message is a line of JSON. */
  json: boolean
  format?: string
  /** Number of messages after which to exit; 0 for never. */
  count: number
  timeoutSeconds: number
  exitAfterSubscribe: boolean
  noRetained: boolean
  retainedOnly: boolean
  removeRetained: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  /** Number of messages of 1,000 that are printed. */
  perMille: number
  willTopic?: string
  willPayload?: string
  willQoS: 0 | 1 | 2
  willRetain: boolean
  tls: TlsArguments
  proxy?: ProxyArguments
  properties: CommandProperties
  optionsFile?: string
}

export function defaultOptions(tool: Tool): ToolOptions {
  return {
    tool,
    keepAliveSeconds: 60,
    cleanSession: true,
    protocolVersion: tool === 'rr' ? 5 : 4,
    inflightMax: 20,
    noDelay: false,
    webSocket: false,
    srv: false,
    multipath: false,
    topics: [],
    unsubscribe: [],
    filterOut: [],
    qos: 0,
    retain: false,
    repeat: 1,
    repeatDelayMs: 0,
    debug: false,
    quiet: false,
    verbose: false,
    eol: true,
    pretty: false,
    watch: false,
    messageRate: false,
    latency: false,
    json: false,
    count: tool === 'rr' ? 1 : 0,
    timeoutSeconds: 0,
    exitAfterSubscribe: false,
    noRetained: false,
    retainedOnly: false,
    removeRetained: false,
    retainAsPublished: false,
    retainHandling: 0,
    perMille: 1_000,
    willQoS: 0,
    willRetain: false,
    tls: {},
    properties: { connect: {}, publish: {}, subscribe: {}, unsubscribe: {}, disconnect: {}, will: {} },
  }
}
