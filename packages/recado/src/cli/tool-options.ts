/**
 * What the arguments of `recado pub`, `sub` and `rr` (and of mosquitto_pub, mosquitto_sub and mosquitto_rr) say: shapes and defaults.
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
  keyForm?: 'pem'
  /** A file for the secrets of each connection, for Wireshark. */
  keyLogFile?: string
  /** The pass phrase of `keyFile`, on its first line. */
  keyPassFile?: string
  /** Read from there, or asked for. */
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
  /** 0xFFFFFFFF: for ever. */
  sessionExpirySeconds?: number
  inflightMax: number
  noDelay: boolean
  /** The connection is a WebSocket. */
  webSocket: boolean
  /** `host` is a domain whose SRV records name the server. */
  srv: boolean
  /** Multipath TCP was asked for, which Node cannot. */
  multipath: boolean
  topics: string[]
  responseTopic?: string
  unsubscribe: string[]
  filterOut: string[]
  qos: 0 | 1 | 2
  /** What to publish. */
  message?: { kind: 'text' | 'file'; value: string } | { kind: 'lines' | 'stdin' | 'null' }
  retain: boolean
  repeat: number
  repeatDelayMs: number
  debug: boolean
  quiet: boolean
  verbose: boolean
  eol: boolean
  pretty: boolean
  /** Each topic has a line of its own on the terminal. */
  watch: boolean
  /** Each second the number of messages is printed, and not they. */
  messageRate: boolean
  /** The time from the request to its response is printed. */
  latency: boolean
  /** What payloads are decoded from; absent: they are printed as they come. */
  decode?: Decoding
  /** Each message is a line of JSON. */
  json: boolean
  format?: string
  /** Exit after so many messages; 0: never. */
  count: number
  timeoutSeconds: number
  exitAfterSubscribe: boolean
  noRetained: boolean
  retainedOnly: boolean
  removeRetained: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  /** Of 1,000 messages, how many are printed. */
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
