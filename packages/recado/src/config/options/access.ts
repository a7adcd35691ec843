/**
 * Options about logins and rights. `schema.ts` joins them with the others, `access.ts` makes a configuration from them.
 */
import { type Option, option } from './option.ts'

const access = option('access', 'security')

export const accessOptions: readonly Option[] = [
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
    { since: '2.1', belowListener: true },
  ),
  access(
    'password_file',
    'text',
    '',
    'User names and password hashes ($6$, $7$, $argon2id$, and our own $scram-sha-256$), as mosquitto_passwd and `recado passwd` write them. Damaged lines are warned about and let nobody in. Read again on SIGHUP: clients whose line is gone or has changed are disconnected.',
    { lastHolds: true },
  ),
  access(
    'acl_file',
    'text',
    '',
    'Who may publish and receive what (see docs/access.md). Checked when something is published and for everybody who would receive it; what no line allows is denied. Every subscription is granted, as in Mosquitto. Read again on SIGHUP.',
    { lastHolds: true },
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
    { lastHolds: true },
  ),
  access(
    'allow_zero_length_clientid',
    'boolean',
    'true',
    'Lets clients in without a Client Identifier; they are given one.',
  ),
  access('auto_id_prefix', 'text', 'auto-', 'What an assigned Client Identifier begins with.', { bytesMax: 50 }),
  access(
    'listener_auto_id_prefix',
    'text',
    '',
    '`auto_id_prefix` for the listener above it, without `per_listener_settings`.',
    { since: '2.1', belowListener: true, bytesMax: 50 },
  ),
  option('access', 'global')(
    'clientid_prefixes',
    'text',
    '',
    'Lets only clients in whose Client Identifier begins with this.',
    { lastHolds: true },
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
]
