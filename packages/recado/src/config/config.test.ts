import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CommandLine, type Config, loadConfig } from './config.ts'

const load = (text: string | null, commandLine: Partial<CommandLine> = {}): Config =>
  loadConfig(
    {
      configFile: text === null ? null : 'a.conf',
      dataFolder: null,
      ports: [],
      verbose: false,
      quiet: false,
      ...commandLine,
    },
    { read: () => text ?? '', list: () => [] },
  )
const addresses = (config: Config): string[] =>
  config.listeners.map(({ host, port, path }) => path ?? `${host ?? '*'}:${port}`)

test('without a listener only this machine can connect, anonymously', () => {
  for (const config of [load(null), load(''), load('max_connections 5')]) {
    assert.deepEqual(addresses(config), ['127.0.0.1:1883', '::1:1883', '127.0.0.1:9883'])
    assert.equal(config.localOnly, true)
    assert.ok(config.listeners.every(({ allowAnonymous }) => allowAnonymous))
    assert.deepEqual(
      config.listeners.map(({ optional }) => optional),
      [null, 'address', 'port'],
    )
    assert.deepEqual(
      config.listeners.map(({ transport }) => transport.http?.isApi === true),
      [false, false, true],
    )
  }
  assert.equal(load(null, { asMosquitto: '2.0' }).listeners.length, 2)
  assert.equal(load(null, { asMosquitto: '2.1' }).listeners.length, 3)
  assert.deepEqual(addresses(load(null, { ports: [1884, 1885] })), [
    '127.0.0.1:1884',
    '::1:1884',
    '127.0.0.1:1885',
    '::1:1885',
  ])
})

test('allow_anonymous false holds without a listener too', () => {
  assert.ok(load('allow_anonymous false').listeners.every(({ allowAnonymous }) => !allowAnonymous))
})

test('with a listener, anonymous clients are refused unless allowed', () => {
  assert.deepEqual(addresses(load('listener 1883')), ['*:1883'])
  assert.equal(load('listener 1883').localOnly, false)
  assert.equal(load('listener 1883').listeners[0]?.allowAnonymous, false)
  assert.equal(load('listener 1883\nallow_anonymous true').listeners[0]?.allowAnonymous, true)
  assert.equal(load('port 1883').listeners[0]?.allowAnonymous, false)
})

test('allow_anonymous can differ from listener to listener', () => {
  const own = load('per_listener_settings true\nlistener 1883\nallow_anonymous true\nlistener 1884')
  assert.deepEqual(
    own.listeners.map(({ allowAnonymous }) => allowAnonymous),
    [true, false],
  )
  const named = load('allow_anonymous true\nlistener 1883\nlistener_allow_anonymous false\nlistener 1884')
  assert.deepEqual(
    named.listeners.map(({ allowAnonymous }) => allowAnonymous),
    [false, true],
  )
})

test('port and bind_address make the default listener, beside the others', () => {
  assert.deepEqual(addresses(load('port 1885\nbind_address 10.0.0.1\nlistener 1886')), ['10.0.0.1:1885', '*:1886'])
  assert.deepEqual(addresses(load('bind_address localhost')), ['localhost:1883'])
})

test('a unix socket has a path and no host', () => {
  const [listener] = load('listener 0 /run/a.sock').listeners
  assert.equal(listener?.path, '/run/a.sock')
  assert.equal(listener?.host, null)
  assert.equal(listener?.name, '/run/a.sock')
})

test('-p beside configured listeners is a warning', () => {
  assert.deepEqual(load('listener 1883', { ports: [1884] }).warnings, [
    '-p 1884 has no effect: a.conf configures listeners',
  ])
})

test('the same listener twice is refused', () => {
  assert.throws(() => load('listener 1883\nlistener 1883'), {
    message: 'a.conf:2: this listener stands already at a.conf:1: remove one of them',
  })
})

test('a listener whose protection cannot be had is an error', () => {
  const text = 'listener 8883\ncertfile a.pem\nkeyfile b.pem\ntls_engine x\nlistener 1883'
  assert.throws(() => load(text), /^ConfigError: a\.conf:4: tls_engine: OpenSSL 3 has given up engines.*keyfile/)
  assert.throws(
    () => load('listener 8883\ntls_keyform engine'),
    /^ConfigError: a\.conf:2: tls_keyform: there are no engines/,
  )
})

test('a listener may speak HTTP alone, or have files beside WebSocket', () => {
  const [api, files, mqtt] = load(
    'listener 9883\nprotocol http_api\nlistener 9001\nprotocol websockets\nhttp_dir /srv\nlistener 1883\nhttp_dir /srv',
  ).listeners.map(({ transport }) => transport.http)
  assert.deepEqual(api, { isApi: true, folder: null })
  assert.deepEqual([files?.isApi, files?.folder?.value], [false, '/srv'])
  assert.equal(mqtt, null)
})

test("password and ACL files are the broker's, or with per_listener_settings the listener's", () => {
  const files = (text: string): unknown =>
    load(text).listeners.map(({ access }) => [access.passwordFile, access.aclFile])
  assert.deepEqual(files('listener 1883\nlistener 1884\npassword_file p\nacl_file a'), [
    ['p', 'a'],
    ['p', 'a'],
  ])
  assert.deepEqual(files('per_listener_settings true\nlistener 1883\nacl_file a\nlistener 1884\npassword_file p'), [
    [null, 'a'],
    ['p', null],
  ])
})

test('values arrive typed, with the defaults of the schema', () => {
  const config = load('persistent_client_expiration 1d\nmax_packet_size 1000\npersistence_location /data')
  assert.equal(config.sessionExpirySecondsMax, 86_400)
  assert.equal(config.maxPacketBytes, 1000)
  assert.equal(config.dataFolder, '/data')
  const plain = load(null)
  assert.equal(plain.sessionExpirySecondsMax, 30 * 86_400)
  assert.equal(plain.maxInflightMessages, 1000)
  assert.equal(plain.retainAvailable, true)
  assert.deepEqual(plain.listeners[0]?.protocolVersions, [3, 4, 5])
  assert.deepEqual(load('listener 1\naccept_protocol_versions 4, 5').listeners[0]?.protocolVersions, [4, 5])
})

test('data is kept, in ./data, unless the file says otherwise', () => {
  const kept = (text: string | null, commandLine: Partial<CommandLine> = {}): string[] => {
    const { durability, dataFolder } = load(text, commandLine)
    return [durability, dataFolder]
  }
  assert.deepEqual(kept(null), ['fsync', 'data'])
  assert.deepEqual(kept('listener 1883'), ['fsync', 'data'])
  assert.deepEqual(kept('listener 1884'), ['fsync', 'data-1884'])
  assert.deepEqual(kept(null, { ports: [1885] }), ['fsync', 'data-1885'])
  assert.deepEqual(kept('persistence true\npersistence_location /var/lib/recado/'), ['fsync', '/var/lib/recado/'])
  assert.deepEqual(kept('persistence_location a', { dataFolder: 'b' }), ['fsync', 'b'])
  assert.deepEqual(kept('persistence false'), ['memory', 'data'])
  assert.deepEqual(kept('durability os'), ['os', 'data'])
  assert.deepEqual(kept('durability memory\npersistence false'), ['memory', 'data'])
})

test('persistence and durability must agree', () => {
  assert.throws(() => load('persistence false\ndurability fsync'), {
    message: 'a.conf:2: durability fsync contradicts persistence false at a.conf:1',
  })
  assert.throws(() => load('durability memory\npersistence true'), { message: /contradicts persistence true/ })
})

test('log_type adds up, none and all begin anew, -v is all and -q is none', () => {
  const types = (text: string, commandLine: Partial<CommandLine> = {}): string[] =>
    [...load(text, commandLine).log.types].sort()
  assert.deepEqual(types(''), ['error', 'information', 'notice', 'warning'])
  assert.deepEqual(types('log_type debug\nlog_type error'), ['debug', 'error'])
  assert.deepEqual(types('log_type debug\nlog_type none'), [])
  assert.ok(types('log_type all').includes('debug'))
  assert.ok(types('log_type error', { verbose: true }).includes('subscribe'))
  assert.deepEqual(types('log_type error', { quiet: true }), [])
})

test('log_dest adds up, none takes all away, and one file is allowed', () => {
  assert.deepEqual(load('').log.destinations, [['stderr']])
  assert.deepEqual(load('log_dest stdout\nlog_dest file /a b.log').log.destinations, [['stdout'], ['file', '/a b.log']])
  assert.deepEqual(load('log_dest none').log.destinations, [])
  assert.throws(() => load('log_dest file a\nlog_dest file b'), {
    message: 'a.conf:2: log_dest file may stand once: remove one of the two lines',
  })
  const syslog = load('log_dest syslog\nlog_dest topic\nlog_facility 3\nlog_syslog_format rfc5424\nlog_style json')
  assert.deepEqual(syslog.log.destinations, [['syslog'], ['topic']])
  const { facility, syslogFormat, style, mosquittoVersion } = syslog.log
  assert.deepEqual([facility, syslogFormat, style, mosquittoVersion], [3, 'rfc5424', 'json', '2.1'])
  assert.deepEqual(syslog.warnings, [])
  const old = load('log_style mosquitto-2.0').log
  assert.deepEqual([old.style, old.mosquittoVersion], ['mosquitto', '2.0'])
  assert.deepEqual([load('').log.style, load('').log.facility], ['mosquitto', null])
  assert.throws(() => load('log_dest dlt'), { message: /^a\.conf:1: log_dest dlt: .* use syslog, stderr or a file$/ })
})

test('options above the first listener are each named; one that would have kept somebody out is an error', () => {
  const all =
    'per_listener_settings true\nacl_file a\nmax_connections 5\ncertfile c\nkeyfile k\nprotocol mqtt\nlistener 1883\n'
  assert.throws(() => load(all), {
    message:
      'a.conf:2: acl_file, max_connections (line 3), certfile (line 4), keyfile (line 5) stand above the first listener and guard none: move them below the listener line that they are for, or the listener is open to those whom they were to keep out',
  })
  assert.throws(() => load('require_certificate true\nlistener 1883\n'), {
    message:
      'a.conf:1: require_certificate stands above the first listener and guards none: move it below the listener line that it is for, or the listener is open to those whom it was to keep out',
  })
  const harmless = 'socket_domain ipv4\nmax_connections -1\nauto_id_prefix x\nlistener 1883\n'
  assert.deepEqual(load(`per_listener_settings true\nallow_anonymous true\n${harmless}`).warnings, [
    'a.conf:2: allow_anonymous stands above the first listener and belongs to none',
    'a.conf:3: socket_domain stands above the first listener and belongs to none',
    'a.conf:4: max_connections stands above the first listener and belongs to none',
    'a.conf:5: auto_id_prefix stands above the first listener and belongs to none',
  ])
  assert.equal(load('max_connections 5\nport 1884\nlistener 1883\n').listeners[0]!.maxConnections, 5)
})

test('otlp_endpoint turns the export on, and must be an address', () => {
  assert.equal(load('').httpApi.otlp, null)
  assert.deepEqual(load('otlp_endpoint http://otel:4318\notlp_traces true\notlp_interval 10').httpApi.otlp, {
    ...{ endpoint: 'http://otel:4318', intervalSeconds: 10, hasSpans: true },
  })
  for (const wrong of ['otel:4318', 'ftp://otel', 'http://otel?x=1', 'nonsense']) {
    assert.throws(() => load(`otlp_endpoint ${wrong}`), /otlp_endpoint must be an address such as/)
  }
})
