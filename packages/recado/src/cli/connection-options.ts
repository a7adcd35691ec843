/**
 * Options of `recado pub`, `sub` and `rr` about the connection: the server, the client's identity, the Will, TLS, and
 * others. `tree` and `doctor` have those of the first groups too.
 *
 * Read by `mosquitto-options.ts`.
 */
import { isTopicName } from '@recado/protocol'
import { mosquittoVersions } from './manner.ts'
import {
  atoi,
  cannot,
  flag,
  qosOf,
  type ToolOption,
  type ToolOptionGroup,
  text,
  tlsFlag,
  tlsText,
} from './option-spec.ts'
import { addTopic, parsePort, parseProxy, parseUrl } from './server-arguments.ts'
import type { ToolOptions } from './tool-options.ts'

const noEngine = 'OpenSSL engines cannot be used from here'

function keepAlive(options: ToolOptions, value: string): string | void {
  options.keepAliveSeconds = atoi(value)
  if (options.keepAliveSeconds < 5 || options.keepAliveSeconds > 65_535) {
    return 'Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n'
  }
}

const versions: Record<string, 3 | 4 | 5> = { mqttv31: 3, 31: 3, mqttv311: 4, 311: 4, mqttv5: 5, 5: 5 }

function protocolVersion(options: ToolOptions, value: string): string | void {
  const version = Object.hasOwn(versions, value) ? versions[value] : undefined
  if (version === undefined) return 'Error: Invalid protocol version argument given.\n'
  options.protocolVersion = version
}

const onlyOneId = 'Error: -i and -I argument cannot be used together.\n'

function sessionExpiry(options: ToolOptions, value: string): string | void {
  const seconds = value === '∞' ? -1 : Number(value.trim() === '' ? Number.NaN : value)
  if (!Number.isInteger(seconds)) return 'Error: session-expiry-interval not a number.\n'
  if (seconds > 0xffff_ffff || seconds < -1) return 'Error: session-expiry-interval out of range.\n'
  options.sessionExpirySeconds = seconds === -1 ? 0xffff_ffff : seconds
  options.protocolVersion = 5
}

function keyForm(options: ToolOptions, value: string): string | void {
  // Any other one is refused when it is known that there is a key.
  if (value === 'engine') return `Error: --keyform engine is not supported: ${noEngine}.\n`
  options.tls.keyForm = value
}

export const connection: ToolOptionGroup = {
  title: 'Connection',
  options: [
    {
      ...text(['-h', '--host'], 'HOST', 'server to connect to (default: localhost)', 'host', 'host'),
      completes: 'host',
    },
    {
      names: ['-p', '--port'],
      value: 'PORT',
      help: 'port of the server (default: 1883, with TLS 8883)',
      what: 'port',
      apply: parsePort,
    },
    {
      ...text(['--unix'], 'PATH', 'connect to a unix-domain socket instead', 'socket path', 'unixPath'),
      completes: 'file',
    },
    {
      names: ['-L', '--url'],
      value: 'URL',
      help: 'server, user and topic in one URL: mqtt(s)://[user[:password]@]host[:port]/topic, or ws(s)://...',
      what: 'URL',
      apply: (options, value, manner) => parseUrl(options, value, manner, addTopic),
    },
    flag(['--ws'], 'connect by WebSocket', 'webSocket', true),
    flag(['-S'], 'HOST is a domain whose SRV records (_mqtt._tcp) name the server', 'srv', true),
    {
      names: ['--proxy'],
      value: 'URL',
      help: 'connect through a SOCKS5 proxy: socks5h://[user[:password]@]host[:port]',
      what: 'proxy url',
      apply: parseProxy,
    },
    text(['-A'], 'ADDRESS', 'local address to connect from', 'address', 'bindAddress'),
    {
      names: ['-k', '--keepalive'],
      value: 'SECONDS',
      help: 'longest silence on the connection, 5 to 65535 (default: 60)',
      what: 'keepalive',
      apply: keepAlive,
    },
    flag(['--nodelay'], 'send small packets at once (TCP_NODELAY)', 'noDelay', true),
    flag(['--mptcp'], 'Multipath TCP: Node has none, so this warns and uses plain TCP', 'multipath', true),
    {
      names: ['-V', '--protocol-version'],
      value: 'VERSION',
      help: 'mqttv5, mqttv311 or mqttv31, or 5, 311, 31 (default: 311)',
      helpOf: { rr: 'mqttv5, mqttv311 or mqttv31, or 5, 311, 31 (default: 5)' },
      missing: 'Error: --protocol-version argument given but no version specified.\n',
      completes: ['mqttv5', 'mqttv311', 'mqttv31', '5', '311', '31'],
      apply: protocolVersion,
    },
  ],
}

export const identity: ToolOptionGroup = {
  title: 'Identity of the client',
  options: [
    {
      names: ['-i', '--id'],
      value: 'ID',
      help: 'Client Identifier (default: the server makes one)',
      what: 'id',
      apply: (options, value) => {
        if (options.idPrefix !== undefined) return onlyOneId
        options.id = value
        return undefined
      },
    },
    {
      names: ['-I', '--id-prefix'],
      value: 'PREFIX',
      help: 'Client Identifier made of this and the process id',
      what: 'id prefix',
      apply: (options, value) => {
        if (options.id !== undefined) return onlyOneId
        options.idPrefix = value
        return undefined
      },
    },
    text(['-u', '--username'], 'NAME', 'user name', 'username', 'username'),
    {
      ...text(
        ['-P', '--pw'],
        'PASSWORD',
        'password; RECADO_PASSWORD is safer: others can read command lines',
        'password',
        'password',
      ),
      isBytes: true,
    },
    flag(['-c', '--disable-clean-session'], 'resume the session and keep it; needs -i', 'cleanSession', false),
    {
      names: ['-x'],
      value: 'SECONDS',
      help: 'how long the server keeps the session after the end, -1 for ever (implies -V 5)',
      what: 'session expiry interval',
      apply: sessionExpiry,
    },
  ],
}

export const will: ToolOptionGroup = {
  title: 'Will, which the server publishes when the connection breaks',
  options: [
    {
      names: ['--will-topic'],
      value: 'TOPIC',
      help: 'where',
      what: 'will topic',
      apply: (options, value) => {
        if (!isTopicName(value)) return `Error: Invalid will topic '${value}', does it contain '+' or '#'?`
        options.willTopic = value
        return undefined
      },
    },
    {
      ...text(['--will-payload'], 'TEXT', 'payload of the Will (default: empty)', 'will payload', 'willPayload'),
      isBytes: true,
    },
    {
      names: ['--will-qos'],
      value: 'QOS',
      help: '0, 1 or 2 (default: 0)',
      what: 'will QoS',
      completes: ['0', '1', '2'],
      apply: (options, value) => {
        const qos = qosOf(value)
        if (qos === null) return `Error: Invalid will QoS ${atoi(value)}.\n`
        options.willQoS = qos
        return undefined
      },
    },
    flag(['--will-retain'], 'let the server keep it for later subscribers', 'willRetain', true),
  ],
}

export const tls: ToolOptionGroup = {
  title: 'TLS',
  options: [
    tlsText(
      ['--cafile'],
      'FILE',
      'trusted certificate authorities (PEM); turns TLS on, as does --capath',
      'file',
      'caFile',
    ),
    tlsText(['--capath'], 'FOLDER', 'folder of PEM files with trusted authorities', 'directory', 'caPath'),
    tlsFlag(['--tls-use-os-certs'], 'trust the authorities of the operating system; turns TLS on', 'useOsCerts'),
    tlsText(['--cert'], 'FILE', 'certificate of this client (PEM)', 'file', 'certFile'),
    tlsText(['--key'], 'FILE', 'private key of the certificate (PEM)', 'file', 'keyFile'),
    {
      names: ['--keyform'],
      value: 'FORM',
      help: 'pem, the only form of a key that there is here',
      what: 'keyform',
      completes: ['pem'],
      apply: keyForm,
    },
    tlsText(['--keypass-file'], 'FILE', 'pass phrase of an encrypted key, on the first line', 'file', 'keyPassFile'),
    tlsFlag(['--insecure'], 'do not compare the certificate with the host name: only for tests', 'insecure'),
    {
      ...tlsText(
        ['--tls-version'],
        'VERSION',
        'tlsv1.3, tlsv1.2 or tlsv1.1 (default: the best that both sides have)',
        'version',
        'version',
      ),
      completes: ['tlsv1.3', 'tlsv1.2', 'tlsv1.1'],
    },
    tlsText(['--tls-alpn'], 'PROTOCOL', 'name of the protocol, for a proxy (ALPN)', 'protocol', 'alpn'),
    tlsText(['--ciphers'], 'LIST', 'TLS ciphers, in the form of OpenSSL', 'ciphers', 'ciphers'),
    tlsText(['--psk'], 'HEX', 'pre-shared key instead of certificates', 'key', 'psk'),
    tlsText(['--psk-identity'], 'ID', 'whose key it is', 'identity', 'pskIdentity'),
    tlsText(
      ['--tls-keylog'],
      'FILE',
      'write the secrets of the connection there, for Wireshark: only for tests',
      'file',
      'keyLogFile',
    ),
    tlsFlag(['--no-tls'], 'no TLS, even on port 8883', 'off'),
    cannot('--tls-engine', noEngine, 'ENGINE', 'engine_id'),
    {
      ...cannot('--tls-engine-kpass-sha1', noEngine, 'HASH', 'kpass sha1'),
      // Without an engine it is a mistake of its own, and an engine has been refused before.
      apply: () => 'Error: when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.',
    },
  ],
}

export const asMosquitto: ToolOption = {
  names: ['--as-mosquitto'],
  value: 'VERSION',
  help: 'as the first argument: words and exit codes of Mosquitto 2.0 or 2.1',
  completes: mosquittoVersions,
  apply: () => 'Error: --as-mosquitto must be the first argument.\n',
}

export const other: ToolOptionGroup = {
  title: 'Other',
  options: [
    {
      names: ['-D', '--property'],
      value: 'COMMAND NAME VALUE',
      help:
        'a property of MQTT 5 (implies -V 5), for example\n-D connect user-property key value; commands are connect, publish, subscribe,\n' +
        'unsubscribe, disconnect and will',
      repeats: true,
      completes: ['connect', 'publish', 'subscribe', 'unsubscribe', 'disconnect', 'will'],
      // Parsed by `mosquitto-options.ts`: it takes three or four arguments.
      apply: () => undefined,
    },
    {
      names: ['-M'],
      value: 'COUNT',
      help: 'QoS 1 and 2 messages on their way at once (default: 20)',
      missing: 'Error: -M argument given but max_inflight not specified.\n',
      apply: (options, value) => {
        options.inflightMax = Math.min(atoi(value), 65_535)
        if (options.inflightMax < 1) return 'Error: Maximum inflight messages must be greater than 0.\n'
        return undefined
      },
    },
    {
      names: ['-o'],
      value: 'FILE',
      help: 'read options from FILE first, one a line (default: mosquitto_sub or the like in\n$XDG_CONFIG_HOME or ~/.config)',
      helpOf: {
        pub: 'read options from FILE first, one a line (default: mosquitto_pub in\n$XDG_CONFIG_HOME or ~/.config)',
        sub: 'read options from FILE first, one a line (default: mosquitto_sub in\n$XDG_CONFIG_HOME or ~/.config)',
        rr: 'read options from FILE first, one a line (default: mosquitto_rr in\n$XDG_CONFIG_HOME or ~/.config)',
      },
      completes: 'file',
      // Read before all others.
      apply: () => undefined,
    },
    flag(['-d', '--debug'], 'print every packet', 'debug', true),
    flag(['--quiet'], 'print no errors', 'quiet', true),
    asMosquitto,
    { names: ['--help'], help: 'show this help', apply: () => undefined },
    { names: ['--version'], help: 'the version', apply: () => undefined },
  ],
}
