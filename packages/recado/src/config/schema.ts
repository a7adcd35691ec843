/**
 * Every option of mosquitto.conf(5), of Mosquitto 2.0 and 2.1: name, type, default, unit, limits, what it does here.
 *
 * One table, `optionTable`, drives the parser (`parse.ts`), the configuration that the program starts from
 * (`config.ts`) and docs/configuration.md (tools/docs.mjs). The invariants: an option that is in Mosquitto is in the
 * table; one that has no effect here says why (`instead`), and is warned about by name where it is used; one whose
 * absence would open what the operator meant to close (`guards`) keeps it closed.
 *
 * Descriptions are our own words. Where a default differs from Mosquitto's, `doc` says so.
 */

/** Where an option stands: for the broker, for the listener above it, for the bridge or plugin above it. */
export type Scope = 'global' | 'listener' | 'security' | 'bridge' | 'plugin'

export type OptionType =
  | 'boolean'
  | 'integer'
  /** The rest of the line. */
  | 'text'
  | 'choice'
  /** `14d`: a whole number and one of s h d w m y. Its value is seconds. */
  | 'duration'
  /** Words between blanks; kept as they are. */
  | 'words'
  /** PORT [ADDRESS or unix socket path] */
  | 'listener'
  /** stdout, stderr, file PATH, ... */
  | 'destination'

export interface Option {
  readonly name: string
  readonly group: Group
  readonly scope: Scope
  readonly type: OptionType
  /** As it would stand in a file; '' when there is none. */
  readonly default: string
  readonly unit?: string
  /** Bounds of an integer. Below `min` is an error unless `raise`, which takes `min` as Mosquitto does. */
  readonly min?: number
  readonly max?: number
  readonly raise?: boolean
  readonly choices?: readonly string[]
  /** May stand more than once and adds up. Otherwise text is an error the second time, and of the rest the last holds. */
  readonly repeatable?: boolean
  /** What else it is called. */
  readonly aliases?: readonly string[]
  /** Since this version of Mosquitto. */
  readonly since?: string
  readonly doc: string
  /** Absent: supported. Otherwise it is accepted without effect, and this says why, or what to do instead. */
  readonly instead?: string
  /**
   * Has no effect yet, and ignoring it would let in what it keeps out. `listener`: that listener is not opened.
   * `topics`: nobody may publish or subscribe. `users`: nobody may connect with a user name.
   */
  readonly guards?: 'listener' | 'topics' | 'users'
}

export const groups = {
  listeners: 'Listeners',
  access: 'Who may connect',
  limits: 'Limits',
  messages: 'Messages and sessions',
  persistence: 'Persistence',
  logging: 'Logging',
  general: 'General',
  tls: 'TLS',
  websockets: 'WebSockets and HTTP',
  plugins: 'Plugins',
  bridges: 'Bridges',
} as const
export type Group = keyof typeof groups

type Rest = Omit<Partial<Option>, 'name' | 'group' | 'scope' | 'type' | 'default' | 'doc'>

const NO_BRIDGE = 'Bridges are not there yet; the connection is not made.'
const NO_PLUGIN = "Mosquitto's plugins are C libraries and cannot be loaded. Use the hooks of @recado/broker."
const NO_STORE_FILE = 'The store is crash-safe at all times: there is no snapshot to schedule.'

const option =
  (group: Group, scope: Scope) =>
  (name: string, type: OptionType, defaultValue: string, doc: string, rest: Rest = {}): Option => ({
    name,
    group,
    scope,
    type,
    default: defaultValue,
    doc,
    ...rest,
  })

const listener = option('listeners', 'listener')
const globalListener = option('listeners', 'global')
const access = option('access', 'security')
const limits = option('limits', 'global')
const listenerLimits = option('limits', 'listener')
const messages = option('messages', 'global')
const persistence = option('persistence', 'global')
const logging = option('logging', 'global')
const general = option('general', 'global')
const plugins = option('plugins', 'plugin')
const tls = option('tls', 'listener')
const bridge = (name: string, type: OptionType, defaultValue: string, doc: string, rest: Rest = {}): Option =>
  option('bridges', 'bridge')(name, type, defaultValue, doc, { instead: NO_BRIDGE, ...rest })

const UINT16_MAX = 65_535
const INT_MAX = 2_147_483_647

export const optionTable: readonly Option[] = [
  globalListener(
    'listener',
    'listener',
    '',
    'Opens a listener: `listener 1883`, `listener 1883 127.0.0.1`, or `listener 0 /run/recado.sock` for a unix socket. Without an address it listens on all of them. The listener options below it are its own. Without any listener the broker is for this machine only: 127.0.0.1 and [::1], port 1883.',
    { repeatable: true },
  ),
  globalListener('port', 'integer', '1883', 'Port of the default listener. Better: `listener PORT`.', {
    min: 1,
    max: UINT16_MAX,
  }),
  globalListener(
    'bind_address',
    'text',
    '',
    'Address or host name of the default listener. Better: `listener PORT ADDRESS`.',
  ),
  listener(
    'bind_interface',
    'text',
    '',
    'Listens on the addresses of this network interface only, those that it has at the start.',
  ),
  listener(
    'socket_domain',
    'choice',
    '',
    'Listens with this version of IP only; an address of IPv6 takes IPv6 only, so that `listener P 0.0.0.0` and `listener P ::` are two. Default: both.',
    {
      choices: ['ipv4', 'ipv6'],
    },
  ),
  listener(
    'unix_socket_mode',
    'text',
    '0770',
    'Our own, not in Mosquitto, which makes them like that: mode of the file of a unix socket. Who may write to it may connect.',
  ),
  listener(
    'unix_socket_owner',
    'text',
    '',
    'Our own: who the file of a unix socket belongs to. Default: whoever starts the broker, root before `user`.',
  ),
  listener('unix_socket_group', 'text', '', 'Our own: the group that the file of a unix socket belongs to.'),
  listener('protocol', 'choice', 'mqtt', 'What is spoken on this listener.', {
    choices: ['mqtt', 'websockets', 'http_api'],
  }),
  listener(
    'mount_point',
    'text',
    '',
    'Puts this in front of all topics of the clients of this listener, who do not see it: `site-1/`. ACL files see whole topics. Without a / at its end nobody can subscribe to a filter that begins with a wildcard.',
  ),
  listener(
    'accept_protocol_versions',
    'words',
    '3 4 5',
    'The MQTT versions that this listener takes: 3 (3.1), 4 (3.1.1), 5 (5.0), with blanks or commas between them.',
    { since: '2.1', choices: ['3', '4', '5'] },
  ),
  listener(
    'use_username_as_clientid',
    'boolean',
    'false',
    'Takes the user name for the Client Identifier; a client without one is refused.',
  ),
  listener(
    'enable_proxy_protocol',
    'integer',
    '',
    'Expects the PROXY protocol, version 1 or 2, before TLS and MQTT, from every connection. Whoever can reach the port can claim any address: let only the proxy.',
    {
      min: 1,
      max: 2,
      since: '2.1',
    },
  ),
  listener(
    'proxy_protocol_v2_require_tls',
    'boolean',
    'false',
    'Refuses clients whose proxy says that they came without TLS.',
    {
      since: '2.1',
    },
  ),
  globalListener(
    'set_tcp_nodelay',
    'boolean',
    'true',
    'Turns Nagle’s algorithm off. It costs little here, because what a turn of the event loop has to say goes out in one write. false in Mosquitto.',
  ),
  general(
    'per_listener_settings',
    'boolean',
    'false',
    'Makes `allow_anonymous`, `allow_zero_length_clientid`, `auto_id_prefix`, `password_file`, `acl_file`, `psk_file` and those that begin with `jwt_` or `webhook_` options of the listener above them. Must stand before the first of these.',
  ),

  access(
    'allow_anonymous',
    'boolean',
    'false',
    'Lets clients in that give no user name. Defaults to true only when no listener is configured (then only this machine can connect).',
  ),
  access(
    'listener_allow_anonymous',
    'boolean',
    '',
    '`allow_anonymous` for the listener above it, without `per_listener_settings`.',
    { since: '2.1' },
  ),
  access(
    'password_file',
    'text',
    '',
    'User names and password hashes ($6$, $7$, $argon2id$, and our own $scram-sha-256$), as mosquitto_passwd and `recado passwd` write them. Damaged lines are warned about and let nobody in. Read again on SIGHUP: clients whose line is gone or has changed are disconnected.',
  ),
  access(
    'acl_file',
    'text',
    '',
    'Who may publish and receive what (see docs/access.md). Checked when something is published and for everybody who would receive it; what no line allows is denied. Every subscription is granted, as in Mosquitto. Read again on SIGHUP.',
  ),
  access(
    'jwt_key_file',
    'text',
    '',
    'Our own, not in Mosquitto: takes JSON Web Tokens as passwords, signed with this key: a public key or certificate (PEM), or a JWKS (JSON). Read again on SIGHUP. Of `jwt_key_file`, `jwt_secret_file` and `jwt_jwks_url` one may be given. See docs/access.md.',
  ),
  access(
    'jwt_secret_file',
    'text',
    '',
    'Our own: the same with a secret of at least 32 bytes (HS256, HS384, HS512). Read again on SIGHUP.',
  ),
  access(
    'jwt_jwks_url',
    'text',
    '',
    'Our own: the same with the JWKS behind this URL, https or on this machine. Kept for 10 minutes; a key that is not in it is asked for at most every 30 seconds. No answer refuses, with 0x88.',
  ),
  access(
    'jwt_algorithms',
    'words',
    '',
    'Our own: signature algorithms that are taken, such as `ES256 EdDSA`. Default: all that the kind of key allows.',
  ),
  access('jwt_issuer', 'text', '', 'Our own: what `iss` of a token must be. Default: anything.'),
  access('jwt_audience', 'text', '', 'Our own: what `aud` of a token must have. Default: anything.'),
  access('jwt_username_claim', 'text', 'sub', 'Our own: the claim that is the user name.'),
  access(
    'jwt_clientid_claim',
    'text',
    '',
    'Our own: a claim that the Client Identifier must be equal to. Default: none.',
  ),
  access(
    'jwt_acl_claim',
    'text',
    'acl',
    'Our own: the claim with the rights, `{"publish": [filter, …], "subscribe": [filter, …]}`. For tokens without it `acl_file` holds.',
  ),
  access('jwt_require_acl', 'boolean', 'false', 'Our own: refuses tokens without that claim.'),
  access('jwt_require_expiry', 'boolean', 'true', 'Our own: refuses tokens without `exp`.'),
  access(
    'webhook_login_url',
    'text',
    '',
    'Our own, not in Mosquitto: an HTTP service that is asked about logins with a user name or password. With `password_file`, about users that are not in it. See docs/access.md.',
  ),
  access(
    'webhook_rights_url',
    'text',
    '',
    'Our own: an HTTP service that is asked about topics that are published to and subscriptions. Not together with `acl_file`.',
  ),
  access(
    'webhook_timeout',
    'integer',
    '5000',
    'Our own: how long an answer may take. Without one the client is refused.',
    {
      unit: 'milliseconds',
      min: 1,
      max: 3_600_000,
    },
  ),
  access('webhook_cache', 'integer', '30', 'Our own: how long an answer holds. 0: every question is asked.', {
    unit: 'seconds',
    min: 0,
    max: 86_400,
  }),
  access('webhook_concurrency', 'integer', '64', 'Our own: requests under way at a time; 1,000 more wait.', {
    unit: 'requests',
    min: 1,
    max: 10_000,
  }),
  access(
    'webhook_header_file',
    'text',
    '',
    'Our own: a file with lines `name: value` that are sent with every request, such as `authorization: Bearer …`. Read again on SIGHUP, which also forgets all answers.',
  ),
  access(
    'psk_file',
    'text',
    '',
    'Identities and pre-shared keys of listeners with `psk_hint`, a line each: `IDENTITY:KEY`, the key in hex digits. Read again on SIGHUP.',
  ),
  access(
    'allow_zero_length_clientid',
    'boolean',
    'true',
    'Lets clients in without a Client Identifier; they are given one.',
  ),
  access('auto_id_prefix', 'text', 'auto-', 'What an assigned Client Identifier begins with.'),
  access(
    'listener_auto_id_prefix',
    'text',
    '',
    '`auto_id_prefix` for the listener above it, without `per_listener_settings`.',
    { since: '2.1' },
  ),
  option('access', 'global')(
    'clientid_prefixes',
    'text',
    '',
    'Lets only clients in whose Client Identifier begins with this.',
  ),
  option('access', 'global')(
    'check_retain_source',
    'boolean',
    'true',
    'Checks again, when a retained message is sent, whether its publisher may still publish it.',
  ),
  option('access', 'global')(
    'allow_control_characters',
    'boolean',
    'false',
    'Takes topics, filters and properties with control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters (U+FFFE and their like). Otherwise who sends them is disconnected with 0x81, as by Mosquitto, and messages of an older store that have them are dropped: libmosquitto calls such a message malformed and comes back for it for ever. In Client Identifiers and user names they are refused in any case.',
  ),

  listenerLimits(
    'max_connections',
    'integer',
    '-1',
    'Open connections of the listener; more are closed at once. -1 and 0: no limit but that of all listeners.',
    { unit: 'connections', min: -1, raise: true },
  ),
  limits(
    'global_max_connections',
    'integer',
    '-1',
    'Open connections of all listeners together; a CONNECT over it is refused with 0x89. -1: 100,000.',
    {
      unit: 'connections',
      min: -1,
      raise: true,
      since: '2.1',
    },
  ),
  limits('global_max_clients', 'integer', '-1', 'Sessions, connected or not. -1: 1,000,000.', {
    unit: 'sessions',
    min: -1,
    raise: true,
    since: '2.1',
  }),
  limits(
    'max_packet_size',
    'integer',
    '16777216',
    'Largest packet that a client may send. A larger one ends the connection with 0x95; MQTT 5.0 clients are told the limit. Every connection may hold so much of a packet that is not all here. 2,000,000 in Mosquitto 2.1; none in 2.0, for which say 268435460.',
    { unit: 'bytes', min: 20, max: INT_MAX },
  ),
  limits(
    'message_size_limit',
    'integer',
    '0',
    'Largest payload. 0: no limit. A larger message goes to nobody: it is acknowledged and counted (`payload-over-limit`), and MQTT 5.0 publishers are told 0x97; a client with a larger Will is refused. The message is read nevertheless, up to `max_packet_size`.',
    { unit: 'bytes', min: 0, max: 268_435_455 },
  ),
  limits(
    'max_connect_size',
    'integer',
    '65536',
    'Our own, not in Mosquitto: largest CONNECT, and largest packet of whoever has not logged in yet, since strangers can send nothing else (0x95). For Wills of more than some 65,000 bytes raise it to 200000. 0: `max_packet_size`.',
    { unit: 'bytes', min: 0, max: 268_435_460 },
  ),
  limits(
    'max_property_size',
    'integer',
    '65536',
    'Our own, not in Mosquitto: properties of one packet; more end the connection with 0x95. A User Property of five bytes takes twenty times as much memory while it is read. 0: `max_packet_size`.',
    { unit: 'bytes', min: 0, max: 268_435_455 },
  ),
  limits(
    'max_control_size',
    'integer',
    '524288',
    'Our own, not in Mosquitto: largest packet that is not a PUBLISH: the filters of one SUBSCRIBE. 0x95. 0: `max_packet_size`.',
    { unit: 'bytes', min: 0, max: 268_435_460 },
  ),
  limits(
    'max_packet_filters',
    'integer',
    '10000',
    'Our own, not in Mosquitto: Topic Filters of one SUBSCRIBE or UNSUBSCRIBE; more end the connection with 0x97 before anything is done of the packet. A client that has more sends several packets. 0: no limit but `max_control_size`.',
    { unit: 'Topic Filters', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_clientid_size',
    'integer',
    '4096',
    'Our own, not in Mosquitto: length of a Client Identifier (0x85), and of a User Name (0x86): the broker keeps them as long as the session. 0: 65,535.',
    { unit: 'bytes', min: 0, max: UINT16_MAX },
  ),
  limits(
    'max_filter_size',
    'integer',
    '4096',
    'Our own, not in Mosquitto: length of a Topic Filter, which is kept as long as the subscription; SUBACK says 0x8F. 0: 65,535.',
    { unit: 'bytes', min: 0, max: UINT16_MAX },
  ),
  limits(
    'max_topic_levels',
    'integer',
    '201',
    'Our own, not in Mosquitto, which has the same limit built in: levels of a Topic Name (0x90) or Topic Filter (0x8F). Each costs a step at every match. 0: no limit.',
    { unit: 'levels', min: 0, max: 65_536 },
  ),
  limits(
    'max_inflight_messages',
    'integer',
    '1000',
    'QoS 1 and 2 messages that may be unacknowledged in each direction (`inflightMax`, and the Receive Maximum that MQTT 5.0 clients are told). 0: 65,535, which is as many as MQTT has Packet Identifiers. 20 in Mosquitto.',
    { unit: 'messages', min: 0, max: UINT16_MAX, raise: true },
  ),
  limits(
    'max_inflight_bytes',
    'integer',
    '4194304',
    'Bytes of the QoS 1 and 2 messages in flight to one client that may have to be sent again, properties and topics included; one message always goes. They are in memory, others may wait on disk. 0: no limit, which is the default in Mosquitto.',
    { unit: 'bytes', min: 0, raise: true },
  ),
  limits(
    'max_queued_messages',
    'integer',
    '100000',
    'QoS 1 and 2 messages that wait for one session (`queueMessagesMax`). 0: no limit, then only `max_queued_bytes` holds. 1,000 in Mosquitto.',
    { unit: 'messages', min: 0, raise: true },
  ),
  limits(
    'max_queued_bytes',
    'integer',
    '67108864',
    'Bytes of topics, payloads and properties that wait for one session (`queueBytesMax`). 0: no limit. No limit in Mosquitto.',
    { unit: 'bytes', min: 0, raise: true },
  ),
  limits(
    'max_anonymous_queued_messages',
    'integer',
    '10000',
    'Our own, not in Mosquitto: `max_queued_messages` for clients without a User Name, which anybody can be as many times as they like. Where `max_queued_messages` is given this is the same unless it is given too. 0: no other limit.',
    { unit: 'messages', min: 0 },
  ),
  limits(
    'max_anonymous_queued_bytes',
    'integer',
    '16777216',
    'Our own, not in Mosquitto: the same for `max_queued_bytes`.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_stored_bytes',
    'integer',
    '1073741824',
    'Our own, not in Mosquitto: messages that wait on disk, of all sessions together, one that waits for many once. From half of it on no session may have more than what is still free, so that one that has little always finds room; what finds none counts as `queues-full`, and 5.0 publishers are told 0x97. So the disk cannot be filled by sessions that nobody comes back to. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_memory_queued_bytes',
    'integer',
    '134217728',
    'Our own, not in Mosquitto: messages in memory that wait or are in flight, of all sessions together, with 400 bytes for each. From half of it on durable sessions keep theirs on disk and have 64 KB in flight; for others (`persistence false`) the rule of `max_stored_bytes` holds. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_retained_messages',
    'integer',
    '1000000',
    'Our own, not in Mosquitto: retained messages; one more is delivered but not retained (`retained-limit`, 0x97). 0: no limit.',
    { unit: 'messages', min: 0 },
  ),
  limits(
    'max_retained_bytes',
    'integer',
    '268435456',
    'Our own, not in Mosquitto: topics, payloads and properties of all retained messages, with 512 bytes for each, since all of them are in memory. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_will_bytes',
    'integer',
    '67108864',
    'Our own, not in Mosquitto: Wills of all clients. From half of it on only small ones are taken (at most a 1,024th of what is free); a CONNECT with a larger one is refused with 0x97. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_alias_bytes',
    'integer',
    '33554432',
    'Our own, not in Mosquitto: topics behind the Topic Aliases of all clients, two bytes for each character and 100 for each alias, which are kept as long as the connection. From half of it on nobody may have more than what is still free, but for 2,048 bytes; whoever would is disconnected with 0x97. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_session_bytes',
    'integer',
    '268435456',
    'Our own, not in Mosquitto: sessions with their Client Identifiers and Topic Filters, 2,048 bytes for each session and 400 for each subscription. From three quarters on no session is kept beyond its connection (0x97), and no session may have more filters than what is still free. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_unfinished_bytes',
    'integer',
    '67108864',
    'Our own, not in Mosquitto: packets that have begun and are not all here, of all connections together. Over it the connection that has had one for longest is closed. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_output_bytes',
    'integer',
    '67108864',
    'Our own, not in Mosquitto: what waits for all slow readers together. Each may have 1 MiB; from half of it on no more than what is still free, but for 16 KiB and one message. 0: no limit.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  messages(
    'session_owner',
    'choice',
    '',
    'Our own, not in Mosquitto: what becomes of a CONNECT whose user is not the one who made the session with this Client Identifier. `refuse`: it is refused with 0x87 (5 before MQTT 5.0). `takeover`: the other user gets the Client Identifier and a new session; the old one ends. `off`: sessions belong to nobody, and who comes with the Client Identifier has the session and what waits in it, as in Mosquitto. Default: `refuse` where a listener requires logins (`allow_anonymous false`), `off` where none does.',
    { choices: ['refuse', 'takeover', 'off'] },
  ),
  messages(
    'will_grace_period',
    'integer',
    '0',
    'Our own, not in Mosquitto: after a start no Will is published before this is over: time for the clients that were lost with the broker to come back. A longer Will Delay Interval counts; the end of a session ends it.',
    { unit: 'seconds', min: 0, max: 86_400 },
  ),
  limits(
    'queue_overflow',
    'choice',
    'reject',
    'Our own, not in Mosquitto: what happens to a QoS 1 or 2 message when the queue of a session that matches is full. `reject`: nobody gets it and an MQTT 5.0 publisher is told 0x97 Quota exceeded; for publishers that cannot be told it is `drop-newest`. `drop-oldest`, `drop-newest`: as they say. Mosquitto drops the newest.',
    { choices: ['reject', 'drop-oldest', 'drop-newest'] },
  ),
  limits(
    'max_keepalive',
    'integer',
    '65535',
    'Longest Keep Alive. MQTT 5.0 clients that ask for more, or for none, are told to use this one; others are refused. 0 or 65535: no limit.',
    { unit: 'seconds', min: 0, max: UINT16_MAX },
  ),
  listenerLimits('max_qos', 'integer', '2', 'Highest QoS that a client may publish with, and that it is granted.', {
    unit: 'QoS',
    min: 0,
    max: 2,
    aliases: ['maximum_qos'],
  }),
  listenerLimits('max_topic_alias', 'integer', '10', 'Topic Aliases that an MQTT 5.0 client may use.', {
    unit: 'aliases',
    min: 0,
    max: UINT16_MAX,
  }),
  listenerLimits(
    'max_topic_alias_broker',
    'integer',
    '10',
    'Topic Aliases that the broker uses towards a client that allows as many.',
    { unit: 'aliases', min: 0, max: UINT16_MAX, since: '2.1' },
  ),
  limits(
    'memory_limit',
    'integer',
    '',
    'Most memory that the broker may use, as V8 counts it. Default: half of the memory of the machine, or of the container, and no more than V8 takes, so that a broker that is pressed refuses instead of being ended by the system. Other limits of what is in memory are by default no more than a part of it. From 80 % of it no new sessions, subscriptions and retained topics are taken (0x97); from 90 % also nothing more is queued or retained (0x97) and new connections are refused (0x89); at 100 % those with most bytes waiting are closed. What was acknowledged stays. 0: no limit, the default in Mosquitto; else at least 67108864 holds.',
    { unit: 'bytes', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  limits(
    'max_subscriptions',
    'integer',
    '10000',
    'Our own, not in Mosquitto: subscriptions of one session; more get 0x97.',
    {
      unit: 'subscriptions',
      min: 1,
    },
  ),
  limits(
    'max_connections_per_address',
    'integer',
    '0',
    'Our own, not in Mosquitto: open connections from one IPv4 address or one /64 of IPv6; more are closed at once. 0: no limit. Behind a proxy that does not speak the PROXY protocol all clients have its address.',
    { unit: 'connections', min: 0 },
  ),
  limits(
    'max_pending_connections',
    'integer',
    '10000',
    'Our own, not in Mosquitto: connections that have not sent their CONNECT; over it the oldest is closed.',
    { unit: 'connections', min: 1 },
  ),
  listenerLimits(
    'connect_timeout',
    'integer',
    '10',
    'Our own, not in Mosquitto: from the accepted connection to its CONNECT, TLS and WebSocket included.',
    { unit: 'seconds', min: 1, max: 3_600 },
  ),
  listenerLimits(
    'tcp_keepalive',
    'integer',
    '600',
    'Our own, not in Mosquitto: the system asks a peer that has been silent for so long whether it is still there; who does not answer is disconnected, also without a Keep Alive. 0: not.',
    { unit: 'seconds', min: 0, max: 32_767 },
  ),
  listenerLimits(
    'max_message_rate',
    'integer',
    '0',
    'Our own, not in Mosquitto: PUBLISH, PINGREQ and AUTH, and each Topic Filter of SUBSCRIBE and UNSUBSCRIBE, of one client, with bursts of one second. Over it the client is not read for a while: nothing is lost. 0: no limit.',
    { unit: 'messages per second', min: 0 },
  ),
  listenerLimits(
    'max_byte_rate',
    'integer',
    '0',
    'Our own, not in Mosquitto: bytes from one client, like `max_message_rate`. 0: no limit.',
    { unit: 'bytes per second', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  listenerLimits(
    'rate_limit_grace',
    'integer',
    '60',
    'Our own, not in Mosquitto: a client that its rates have held back for so long without a rest of a second is disconnected with 0x96.',
    { unit: 'seconds', min: 0 },
  ),
  listenerLimits(
    'listener_message_rate',
    'integer',
    '0',
    'Our own, not in Mosquitto: like `max_message_rate`, of all clients of the listener together; they take turns. 0: no limit.',
    { unit: 'messages per second', min: 0 },
  ),
  listenerLimits(
    'listener_byte_rate',
    'integer',
    '0',
    'Our own, not in Mosquitto: like `max_byte_rate`, of all clients of the listener together. 0: no limit.',
    { unit: 'bytes per second', min: 0, max: Number.MAX_SAFE_INTEGER },
  ),
  listenerLimits(
    'listener_connection_rate',
    'integer',
    '0',
    'Our own, not in Mosquitto: new connections. Over it they are not read at first; those that would wait for more than half of `connect_timeout` are closed. 0: no limit.',
    { unit: 'connections per second', min: 0 },
  ),

  messages(
    'retain_available',
    'boolean',
    'true',
    'Keeps retained messages. If false, a PUBLISH with RETAIN ends the connection with 0x9A.',
  ),
  messages(
    'retain_expiry_interval',
    'integer',
    '0',
    'How often Mosquitto looks for retained messages whose own expiry is over.',
    {
      unit: 'minutes',
      min: 1,
      since: '2.1',
      instead: 'Nothing is needed here: what has expired is sent to nobody, and removed.',
    },
  ),
  messages('queue_qos0_messages', 'boolean', 'false', 'Also queues QoS 0 messages for sessions whose client is away.'),
  messages(
    'upgrade_outgoing_qos',
    'boolean',
    'false',
    'Sends messages with the QoS of the subscription even if they were published with less.',
    { instead: 'A message is never sent with a higher QoS than it was published with [MQTT-3.8.4-8].' },
  ),
  messages(
    'persistent_client_expiration',
    'duration',
    '30d',
    'Ends the session of a client that stays away longer than this: a whole number and one of s h d w m y (m is 30 days). Limits the Session Expiry Interval of MQTT 5.0 as well. Without it sessions of clients that never come back gather for ever; `200y` is never, which is the default in Mosquitto.',
  ),
  messages(
    'allow_duplicate_messages',
    'boolean',
    'false',
    'Delivers a message once for each overlapping subscription.',
    { instead: 'A client receives a message once, as MQTT 5.0 section 3.3.4 recommends.' },
  ),
  messages('sys_interval', 'integer', '10', 'Seconds between updates of the $SYS topics. 0: no $SYS topics.', {
    unit: 'seconds',
    min: 0,
    max: UINT16_MAX,
    instead: '$SYS topics are not there yet.',
  }),
  messages('enable_control_api', 'boolean', 'false', 'The $CONTROL topics.', {
    since: '2.1',
    instead: '$CONTROL topics are not there yet.',
  }),
  messages('retry_interval', 'integer', '', 'Unused in Mosquitto since 1.5.', {
    instead: 'MQTT resends only on reconnect.',
  }),

  persistence(
    'persistence',
    'boolean',
    'true',
    'Keeps sessions, their messages and retained messages in the data folder. false: in memory only, as `durability memory`. false in Mosquitto.',
    { aliases: ['retained_persistence'] },
  ),
  persistence(
    'persistence_location',
    'text',
    'data',
    'The data folder, one for each broker; made (mode 0700) when it is missing. Without it and with a first listener on another port than 1883, `data-PORT`. A relative path starts at the folder that the broker is started in. `--data` on the command line comes first. The current folder in Mosquitto.',
  ),
  persistence(
    'durability',
    'choice',
    'fsync',
    'Our own, not in Mosquitto: when a message counts as safe, so that its publisher is acknowledged. `fsync`: it is on the disk and survives a power cut. `os`: the operating system has it, and it survives the end of the broker. `memory`: nothing is kept. See docs/durability.md.',
    { choices: ['fsync', 'os', 'memory'] },
  ),
  persistence('persistence_file', 'text', 'mosquitto.db', 'File name of Mosquitto’s snapshot.', {
    instead: 'The store is a folder, `persistence_location`.',
  }),
  persistence('autosave_interval', 'integer', '1800', 'Seconds between snapshots.', {
    unit: 'seconds',
    min: 0,
    raise: true,
    instead: NO_STORE_FILE,
  }),
  persistence('autosave_on_changes', 'boolean', 'false', 'Takes `autosave_interval` for a number of changes.', {
    instead: NO_STORE_FILE,
  }),

  logging(
    'log_dest',
    'destination',
    'stderr',
    '`stdout`, `stderr`, `file PATH` (once; reopened on SIGHUP) or `none`. `syslog`, `topic` and `dlt` are accepted without effect.',
    { repeatable: true },
  ),
  logging(
    'log_type',
    'choice',
    'error warning notice information',
    'What is logged, a line for each. `-v` on the command line is `all`.',
    {
      choices: [
        'error',
        'warning',
        'notice',
        'information',
        'debug',
        'subscribe',
        'unsubscribe',
        'websockets',
        'internal',
        'none',
        'all',
      ],
      repeatable: true,
    },
  ),
  logging(
    'log_format',
    'choice',
    'text',
    'Our own, not in Mosquitto: `json` writes an object per line, with `time`, `level`, `event` and the event’s fields.',
    { choices: ['text', 'json'] },
  ),
  logging('log_timestamp', 'boolean', 'true', 'Begins each line with the time.'),
  logging(
    'log_timestamp_format',
    'text',
    '',
    'Form of the time as in strftime(3), for example `%Y-%m-%dT%H:%M:%S`. Default: seconds since 1970.',
  ),
  logging('log_facility', 'integer', '', 'Facility local0 to local7 of syslog.', {
    min: 0,
    max: 7,
    instead: 'There is no syslog destination: log to stderr and let the service manager keep it.',
  }),
  logging('connection_messages', 'boolean', 'true', 'Logs when clients connect and disconnect.'),

  general('pid_file', 'text', '', 'Writes the process number to this file, and removes it at the end.'),
  general(
    'include_dir',
    'text',
    '',
    'Reads all files of this folder that end in `.conf`, in the order of their names. In the main file only.',
    { repeatable: true },
  ),
  general(
    'user',
    'text',
    '',
    'User to become when started by root, with his groups: ports, keys, password and ACL files are opened as root, the data folder as this user. What SIGHUP reads again he must be able to read. `mosquitto` in Mosquitto; here nobody unless it is given, with a warning (`user root` asks for none).',
  ),

  tls(
    'certfile',
    'text',
    '',
    'Certificate of this server and those between it and the authority (PEM). With `keyfile` it makes the listener a TLS listener. Read again on SIGHUP, as all files of this section; open connections stay.',
  ),
  tls('keyfile', 'text', '', 'Private key of the certificate (PEM, not encrypted).'),
  tls(
    'cafile',
    'text',
    '',
    'Authorities that sign client certificates (PEM). An intermediate in it is sent with the certificate that it has signed, also without `require_certificate`.',
  ),
  tls(
    'capath',
    'text',
    '',
    'Folder of such authorities: all files in it that have certificates (PEM), whatever their names.',
  ),
  tls(
    'crlfile',
    'text',
    '',
    'Revoked client certificates (PEM): the list of the authority that has issued a client’s certificate, which must be there and valid. Lists of the authorities above it hold where they are given. No effect without `require_certificate`.',
  ),
  tls(
    'ciphers',
    'text',
    '',
    'Ciphers for TLS 1.2, in the words of OpenSSL. Default: those of Node; with pre-shared keys those that use them.',
  ),
  tls(
    'ciphers_tls1.3',
    'text',
    '',
    'Cipher suites for TLS 1.3, with colons between them; one that does not exist is an error. Default: `TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256`.',
  ),
  tls('dhparamfile', 'text', '', 'Parameters for DHE (PEM). Default: those of OpenSSL.'),
  tls(
    'tls_version',
    'text',
    'tlsv1.2',
    'Lowest version of TLS: `tlsv1.2` or `tlsv1.3`. `tlsv1.1` is taken for `tlsv1.2`, with a warning.',
  ),
  tls(
    'tls_alpn_strict',
    'boolean',
    'false',
    'Our own, not in Mosquitto: refuses clients that name other protocols only (ALPN, RFC 7301) than `mqtt`, or `http/1.1` for WebSocket. Without it they get in, as in Mosquitto: `x-amzn-mqtt-ca`, say.',
  ),
  tls('tls_engine', 'text', '', 'Engine of OpenSSL.', {
    instead:
      'Node has no engines any more: keep the key in a file that only the broker can read. The listener is not opened.',
    guards: 'listener',
  }),
  tls('tls_engine_kpass_sha1', 'text', '', 'SHA-1 of the engine’s password.', { instead: 'It belongs to tls_engine.' }),
  tls('tls_keyform', 'choice', 'pem', 'Kind of the private key.', {
    choices: ['pem', 'engine'],
    instead: 'Only PEM files can be read. The listener is not opened.',
    guards: 'listener',
  }),
  tls(
    'require_certificate',
    'boolean',
    'false',
    'Refuses clients without a valid certificate of an authority in `cafile` or `capath`.',
  ),
  tls(
    'use_identity_as_username',
    'boolean',
    'false',
    'Takes the common name of the client certificate, or the identity of the pre-shared key, for the user name; no password is needed.',
  ),
  tls(
    'use_subject_as_username',
    'boolean',
    'false',
    'Takes the whole subject of the client certificate for the user name, as in `CN=ada,O=Example`.',
  ),
  tls('disable_client_cert_date_checks', 'boolean', 'false', 'Takes client certificates before and after their time.', {
    since: '2.1',
    instead: 'Node cannot check a certificate and leave out its dates: certificates that have expired stay refused.',
  }),
  tls(
    'psk_hint',
    'text',
    '',
    'Turns on pre-shared keys, those of `psk_file`, and is sent to clients as a hint. Beside `certfile` it has no effect.',
  ),

  option('websockets', 'listener')('http_dir', 'text', '', 'Serves the files of this folder by HTTP.', {
    instead: 'The broker serves no files: a web server does it better.',
  }),
  option('websockets', 'listener')(
    'websockets_proxy',
    'text',
    '',
    'Our own, not in Mosquitto: address of a proxy in front of this WebSocket listener that is believed when it says whose connection it is: `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`, or `unix` for all that comes through a unix socket. Logs, limits for each address and webhooks then see the client: the right-most address that is no proxy.',
    { repeatable: true },
  ),
  option('websockets', 'listener')(
    'websockets_proxy_header',
    'choice',
    'x-forwarded-for',
    'Our own: the header that these proxies write. Only this one is looked at, for a proxy passes on what it does not write itself.',
    { choices: ['x-forwarded-for', 'x-real-ip', 'forwarded'] },
  ),
  option('websockets', 'listener')(
    'websockets_origin',
    'text',
    '',
    'Takes only WebSockets from pages of this origin, as in `https://example.com`; others, and clients that are no pages, are refused.',
    {
      repeatable: true,
      since: '2.1',
    },
  ),
  option('websockets', 'global')('websockets_log_level', 'integer', '0', 'Log level of libwebsockets.', {
    instead: 'There is no libwebsockets here.',
  }),
  option('websockets', 'global')(
    'websockets_headers_size',
    'integer',
    '8192',
    'Longest HTTP request that asks for a WebSocket. 0: the default.',
    {
      unit: 'bytes',
      min: 0,
      max: UINT16_MAX,
      aliases: ['packet_buffer_size'],
    },
  ),

  plugins('plugin', 'text', '', 'Loads a plugin.', {
    repeatable: true,
    aliases: ['auth_plugin', 'global_plugin', 'plugin_load', 'plugin_use'],
    instead: `${NO_PLUGIN} Every PUBLISH and SUBSCRIBE is refused.`,
    guards: 'topics',
  }),
  plugins(
    'auth_plugin_deny_special_chars',
    'boolean',
    'true',
    'Refuses user names and Client Identifiers with + or #.',
    { repeatable: true, instead: NO_PLUGIN },
  ),
  plugins('plugin_opt_*', 'text', '', 'Option for the plugin above it.', {
    repeatable: true,
    aliases: ['auth_opt_*'],
    instead: NO_PLUGIN,
  }),

  bridge('connection', 'text', '', 'Begins a bridge of this name.', { repeatable: true }),
  bridge('address', 'words', '', 'Hosts and ports of the remote broker.', { aliases: ['addresses'] }),
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
  bridge('bridge_tcp_user_timeout', 'integer', '', 'TCP user timeout.', { unit: 'milliseconds', min: 0, since: '2.1' }),
  bridge('bridge_alpn', 'text', '', 'TLS application protocol.'),
  bridge('bridge_cafile', 'text', '', 'Certificate authorities (PEM).'),
  bridge('bridge_capath', 'text', '', 'Folder of certificate authorities.'),
  bridge('bridge_certfile', 'text', '', 'Client certificate (PEM).'),
  bridge('bridge_keyfile', 'text', '', 'Private key (PEM).'),
  bridge('bridge_ciphers', 'text', '', 'Ciphers for TLS 1.2.', { since: '2.1' }),
  bridge('bridge_ciphers_tls1.3', 'text', '', 'Cipher suites for TLS 1.3.', { since: '2.1' }),
  bridge('bridge_identity', 'text', '', 'Identity for pre-shared keys.'),
  bridge('bridge_psk', 'text', '', 'Pre-shared key.'),
  bridge('bridge_insecure', 'boolean', 'false', 'Does not check the remote broker’s name.'),
  bridge('bridge_require_ocsp', 'boolean', 'false', 'Asks for an OCSP answer.'),
  bridge('bridge_tls_use_os_certs', 'boolean', 'false', 'Trusts the system’s certificate authorities.', {
    since: '2.1',
  }),
  bridge('bridge_tls_version', 'text', 'tlsv1.2', 'Version of TLS.'),
  bridge('cleansession', 'boolean', 'false', 'Clean session at the remote broker.'),
  bridge('local_cleansession', 'boolean', '', 'Clean session at this broker.'),
  bridge('local_clientid', 'text', '', 'Client Identifier at this broker.'),
  bridge('local_password', 'text', '', 'Password at this broker.'),
  bridge('local_username', 'text', '', 'User name at this broker.'),
  bridge('remote_clientid', 'text', '', 'Client Identifier at the remote broker.', { aliases: ['clientid'] }),
  bridge('remote_password', 'text', '', 'Password at the remote broker.', { aliases: ['password'] }),
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
]

const byName = new Map<string, Option>()
for (const entry of optionTable) for (const name of [entry.name, ...(entry.aliases ?? [])]) byName.set(name, entry)

/** The option of that name or alias; names that end in `*` stand for all that begin so. */
export function findOption(name: string): Option | undefined {
  const exact = byName.get(name)
  if (exact !== undefined || name.endsWith('*')) return exact
  for (const prefix of ['plugin_opt_', 'auth_opt_']) {
    if (name.startsWith(prefix) && name.length > prefix.length) return byName.get(`${prefix}*`)
  }
  return undefined
}

/** Every name and alias, for suggestions. */
export const optionNames: readonly string[] = [...byName.keys()]
