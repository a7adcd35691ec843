/**
 * Options of bridges, below a `connection` line. `schema.ts` joins them with the others.
 */
import { cloudNames } from '../../bridge/clouds/clouds.ts'
import { type Option, type OptionType, option, type Rest, UINT16_MAX } from './option.ts'

const bridge = (name: string, type: OptionType, defaultValue: string, doc: string, rest: Rest = {}): Option =>
  option('bridges', 'bridge')(name, type, defaultValue, doc, rest)

export const bridgeOptions: readonly Option[] = [
  bridge('connection', 'words', '', 'Begins a bridge of this name.', { repeatable: true }),
  bridge('address', 'words', '', 'Hosts and ports of the remote broker.', { aliases: ['addresses'], once: true }),
  bridge('topic', 'words', '', 'Topics to share: PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]].', {
    repeatable: true,
  }),
  bridge('bridge_attempt_unsubscribe', 'boolean', 'true', 'Unsubscribes from topics of direction out.'),
  bridge('bridge_bind_address', 'text', '', 'Local address of the bridge.'),
  bridge('bridge_max_packet_size', 'integer', '0', 'Largest packet to the remote broker.', {
    unit: 'bytes',
    min: 0,
    raise: true,
  }),
  bridge('bridge_max_topic_alias', 'integer', '10', 'Topic Aliases that the remote broker may use.', {
    unit: 'aliases',
    min: 0,
    max: UINT16_MAX,
    since: '2.1',
  }),
  bridge('bridge_receive_maximum', 'integer', '', 'Receive Maximum of the bridge.', {
    unit: 'messages',
    min: 1,
    max: UINT16_MAX,
    since: '2.1',
  }),
  bridge('bridge_session_expiry_interval', 'integer', '', 'Session Expiry Interval of the bridge.', {
    unit: 'seconds',
    min: 0,
    max: 4_294_967_295,
    since: '2.1',
  }),
  bridge('bridge_outgoing_retain', 'boolean', 'true', 'Keeps RETAIN on messages to the remote broker.'),
  bridge('bridge_protocol_version', 'choice', 'mqttv311', 'MQTT version of the bridge.', {
    choices: ['mqttv31', 'mqttv311', 'mqttv50'],
  }),
  bridge('bridge_reload_type', 'choice', 'lazy', 'When a changed bridge takes effect.', {
    choices: ['lazy', 'immediate'],
  }),
  bridge('bridge_tcp_keepalive', 'words', '', 'TCP keepalive: idle, interval, count.', { since: '2.1' }),
  bridge('bridge_tcp_user_timeout', 'integer', '', 'TCP user timeout.', {
    unit: 'milliseconds',
    min: 0,
    since: '2.1',
    instead: 'Node cannot set it: a dead connection is noticed by keepalive_interval.',
  }),
  bridge('bridge_alpn', 'text', '', 'TLS application protocol.'),
  bridge('bridge_cafile', 'text', '', 'Certificate authorities (PEM).'),
  bridge('bridge_capath', 'text', '', 'Folder of certificate authorities.'),
  bridge('bridge_certfile', 'text', '', 'Client certificate (PEM).'),
  bridge('bridge_keyfile', 'text', '', 'Private key (PEM).'),
  bridge('bridge_ciphers', 'text', '', 'Ciphers for TLS 1.2.', { since: '2.1' }),
  bridge('bridge_ciphers_tls1.3', 'text', '', 'Cipher suites for TLS 1.3.', { since: '2.1' }),
  bridge('bridge_identity', 'text', '', 'Identity for pre-shared keys.'),
  bridge('bridge_psk', 'text', '', 'Pre-shared key.', { secret: true }),
  bridge('bridge_insecure', 'boolean', 'false', 'Does not check the remote broker’s name.'),
  bridge(
    'bridge_require_ocsp',
    'boolean',
    'false',
    'Asks for an OCSP answer. `true` is a fault: it is not checked here.',
  ),
  bridge('bridge_tls_use_os_certs', 'boolean', 'false', 'Trusts the system’s certificate authorities.', {
    since: '2.1',
  }),
  bridge('bridge_tls_version', 'text', 'tlsv1.2', 'Version of TLS.'),
  bridge('bridge_queue_qos0', 'boolean', 'false', 'Keeps messages at QoS 0 while the remote broker is away.'),
  bridge(
    'bridge_path',
    'choice',
    'keep',
    'Property of MQTT 5.0 that says over which brokers a message has come, so that none gets it twice: `keep` it, `strip` it from what comes in, `off`: neither write nor look at it.',
    { choices: ['keep', 'strip', 'off'] },
  ),
  bridge('cleansession', 'boolean', 'false', 'Clean session at the remote broker.'),
  bridge('local_cleansession', 'boolean', '', 'Clean session at this broker.'),
  bridge('local_clientid', 'text', '', 'Client Identifier at this broker.'),
  bridge('local_password', 'text', '', 'Password at this broker.', { secret: true }),
  bridge('local_username', 'text', '', 'User name at this broker.'),
  bridge('remote_clientid', 'text', '', 'Client Identifier at the remote broker.', { aliases: ['clientid'] }),
  bridge('remote_password', 'text', '', 'Password at the remote broker.', { aliases: ['password'], secret: true }),
  bridge('remote_username', 'text', '', 'User name at the remote broker.', { aliases: ['username'] }),
  bridge('keepalive_interval', 'integer', '60', 'Keep Alive of the bridge.', {
    unit: 'seconds',
    min: 5,
    max: UINT16_MAX,
    raise: true,
  }),
  bridge('idle_timeout', 'integer', '60', 'Idle time after which a lazy bridge stops.', {
    unit: 'seconds',
    min: 1,
    raise: true,
  }),
  bridge('restart_timeout', 'words', '5 30', 'Wait before reconnecting: constant, or base and cap.'),
  bridge('start_type', 'choice', 'automatic', 'When the bridge connects.', { choices: ['automatic', 'lazy', 'once'] }),
  bridge('threshold', 'integer', '10', 'Messages that start a lazy bridge.', { unit: 'messages', min: 1, raise: true }),
  bridge('round_robin', 'boolean', 'false', 'Takes all addresses for equal.'),
  bridge('try_private', 'boolean', 'true', 'Says that it is a bridge.'),
  bridge('notifications', 'boolean', 'true', 'Publishes the state of the bridge.'),
  bridge('notifications_local_only', 'boolean', 'false', 'Publishes it at this broker only.'),
  bridge('notification_topic', 'text', '', 'Topic of the notifications.'),
  bridge('bridge_preset', 'choice', '', 'Sets what this cloud needs, and refuses what it would refuse.', {
    choices: cloudNames,
  }),
  bridge('bridge_sas_key', 'text', '', 'Key of the device at Azure IoT Hub, which makes and renews its passwords.', {
    secret: true,
  }),
  bridge('bridge_sas_ttl', 'integer', '3600', 'Lifetime of such a password; it is renewed before it expires.', {
    unit: 'seconds',
    min: 30,
    max: 31_536_000,
  }),
  bridge('bridge_rate', 'integer', '0', 'Messages a second to the remote broker, the others wait; 0 for no limit.', {
    unit: 'messages per second',
    min: 0,
    max: 1_000_000,
  }),
  bridge(
    'bridge_batch',
    'words',
    '',
    'Sends many messages as one, a line of JSON each: COUNT SECONDS BYTES [gzip], whichever comes first.',
    { once: true },
  ),
  bridge('bridge_batch_topic', 'text', '', 'Topic of these messages; batch/REMOTE_CLIENTID by default.'),
]
