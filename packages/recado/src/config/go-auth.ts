/**
 * The plugin mosquitto-go-auth in a configuration, as options of ours: its back-ends `files`, `http` and `jwt`.
 *
 * `plugins.ts` calls it. Invariants: what would let in more than the plugin ends the start; what is not taken and
 * changes nothing about who gets in is named in a warning; a back-end that asks a database ends the start with what to
 * use instead.
 */
import type { GoAuthServiceConfig, JwtConfig } from './access-parts.ts'
import { ConfigError, type Setting } from './parse.ts'
import { note, type Plugin, type PluginAccess, warnAbout } from './plugin.ts'

const SERVICE = 'let a service that knows them answer at webhook_login_url and webhook_rights_url'
const databases: Readonly<Record<string, string>> = {
  postgres: SERVICE,
  mysql: SERVICE,
  sqlite: SERVICE,
  mongo: SERVICE,
  redis: SERVICE,
  ldap: SERVICE,
  grpc: 'let the service answer HTTP at webhook_login_url and webhook_rights_url',
  js: 'embed the broker (npm: @recado/broker) with hooks in JavaScript',
  plugin: 'embed the broker (npm: @recado/broker) with hooks in JavaScript',
}
const TIMEOUT_SECONDS = '5'
const CACHE_SECONDS = '30'

/** Options that change nothing about who gets in: how it logs, how it caches, how it makes hashes. */
const HARMLESS =
  /^(?:log_|cache|auth_cache|auth_jitter|acl_jitter|hasher|(?:files|jwt)_hasher|retry|http_user_agent|http_verify_peer)/

class Reader {
  readonly plugin: Plugin
  readonly taken: string[] = []
  constructor(plugin: Plugin) {
    this.plugin = plugin
  }

  setting(name: string): Setting | null {
    this.taken.push(name)
    return this.plugin.options.get(name) ?? null
  }

  text(name: string): string | null {
    return (this.setting(name)?.value as string | undefined) ?? null
  }

  isTrue(name: string): boolean {
    return this.text(name)?.trim() === 'true'
  }

  /** Ends the start, with the line of the option, or of the plugin where that is not given. */
  fail(name: string, what: string): never {
    const { setting } = this.plugin
    const { file, line } = this.plugin.options.get(name) ?? setting
    throw new ConfigError(file, line, `${this.plugin.options.get(name)?.name ?? setting.name} ${what}`)
  }

  must(name: string, backend: string): string {
    return this.text(name) ?? this.fail(name, `${this.plugin.path}: the back-end ${backend} needs auth_opt_${name}`)
  }

  oneOf<T extends string>(name: string, words: readonly [T, ...T[]]): T {
    const text = this.text(name)?.trim() ?? words[0]
    const word = words.find((each) => each === text)
    return word ?? this.fail(name, `must be one of ${words.join(', ')}, not "${text}"`)
  }

  seconds(name: string, otherwise: string): number {
    const text = this.text(name)?.trim() ?? otherwise
    return /^\d{1,6}$/.test(text) ? Number(text) : this.fail(name, `must be a number of seconds, not "${text}"`)
  }
}

/** Reads the options. @throws ConfigError */
export function goAuthPlugin(plugin: Plugin, access: PluginAccess): void {
  const reader = new Reader(plugin)
  const backends = reader
    .must('backends', 'list')
    .split(',')
    .map((name) => name.trim())
  for (const backend of backends) {
    const what = Object.hasOwn(databases, backend) ? databases[backend] : undefined
    if (what !== undefined) reader.fail('backends', `${backend} is not there: ${what}`)
    if (!['files', 'http', 'jwt'].includes(backend)) reader.fail('backends', `has no back-end "${backend}"`)
  }
  if (access.goAuth !== null) reader.fail('backends', 'stands in two plugins, of which one can be')
  const checks = (backend: string): ReadonlySet<string> => {
    const text = reader.text(`${backend}_register`)
    return new Set(text === null ? ['user', 'superuser', 'acl'] : text.split(',').map((word) => word.trim()))
  }
  if (backends.includes('files')) takeFiles(reader, access, checks('files'))
  if (backends.includes('jwt')) takeTokens(reader, access)
  access.goAuth = {
    service: backends.includes('http') ? serviceFrom(reader, access, checks('http')) : null,
    denySpecialCharacters: plugin.deniesSpecialCharacters,
    isFileAlone: false,
  }
  if (reader.text('hasher_salt_encoding') === 'utf-8')
    reader.fail('hasher_salt_encoding', 'utf-8 is not there: hashes have their salt in base64')
  if (reader.isTrue('check_prefix'))
    access.warnings.push(
      `${plugin.setting.file}:${plugin.setting.line}: auth_opt_check_prefix has no effect: all back-ends are asked about every user`,
    )
  reader.text('prefixes')
  const harmless = [...plugin.options.keys()].filter((name) => HARMLESS.test(name))
  warnAbout(access, plugin, [...reader.taken, ...harmless])
}

function takeFiles(reader: Reader, access: PluginAccess, checks: ReadonlySet<string>): void {
  const passwords = reader.setting('files_password_path') ?? reader.setting('password_path')
  const rules = reader.setting('files_acl_path') ?? reader.setting('acl_path')
  reader.taken.push('password_path', 'acl_path')
  if (checks.has('user') && passwords !== null) {
    access.passwordFile = passwords
    note(access, reader.plugin, `is taken for password_file ${String(passwords.value)}`)
  }
  if (checks.has('acl') && rules !== null) {
    access.aclFile = rules
    note(access, reader.plugin, `is taken for acl_file ${String(rules.value)}`)
  }
}

function takeTokens(reader: Reader, access: PluginAccess): void {
  const mode = reader.text('jwt_mode')?.trim() ?? 'none'
  if (mode === 'remote') reader.fail('jwt_mode', 'remote is not there: let the service answer at webhook_login_url')
  if (mode !== 'files')
    reader.fail(
      'jwt_mode',
      `"${mode}" is not there, only "files": of ours are jwt_secret_file, jwt_key_file and jwt_jwks_url`,
    )
  const rules = reader.setting('jwt_acl_path') ?? reader.fail('jwt_mode', 'files needs auth_opt_jwt_acl_path')
  if (access.aclFile !== null && access.aclFile.value !== rules.value)
    reader.fail('jwt_acl_path', 'and the ACL file of the back-end files are two: put them together in one')
  access.aclFile = rules
  for (const name of ['jwt_skip_user_expiration', 'jwt_skip_acl_expiration'])
    if (reader.isTrue(name)) reader.fail(name, 'is not there: a token that has expired lets nobody in')
  reader.text('jwt_parse_token')
  const field = reader.text('jwt_userfield')?.trim()
  access.jwt = {
    keyFile: null,
    secretFile: null,
    jwksUrl: null,
    secret: reader.must('jwt_secret', 'jwt'),
    algorithms: null,
    issuer: null,
    audience: null,
    usernameClaim: field === 'Username' ? 'username' : 'sub',
    clientIdClaim: null,
    aclClaim: 'acl',
    aclRequired: false,
    expiryRequired: false,
    tokenIn: 'username',
  } satisfies JwtConfig
  note(access, reader.plugin, `is taken for tokens in the user name, with acl_file ${String(rules.value)}`)
}

function serviceFrom(reader: Reader, access: PluginAccess, checks: ReadonlySet<string>): GoAuthServiceConfig {
  const scheme = reader.isTrue('http_with_tls') ? 'https' : 'http'
  const host = reader.must('http_host', 'http').trim()
  const port = reader.text('http_port')?.trim()
  const origin = `${scheme}://${host}${port === undefined ? '' : `:${port}`}`
  const urlOf = (path: string): string => {
    const url = `${origin}${path.trim()}`
    return URL.canParse(url) ? url : reader.fail('http_host', `makes no address: ${url}`)
  }
  const method = reader.text('http_method')?.trim() ?? 'POST'
  if (method !== 'POST') reader.fail('http_method', `${method} is not there: questions are sent by POST`)
  const user = urlOf(reader.must('http_getuser_uri', 'http'))
  const acl = urlOf(reader.must('http_aclcheck_uri', 'http'))
  const superuser = reader.text('http_superuser_uri')
  const hasSuperusers = !reader.isTrue('disable_superuser') && checks.has('superuser') && superuser !== null
  const cache = reader.seconds('acl_cache_seconds', CACHE_SECONDS)
  if (scheme === 'https' && !reader.isTrue('http_verify_peer')) {
    const { file, line } = reader.plugin.setting
    access.warnings.push(
      `${file}:${line}: the certificate of ${host} is checked, though auth_opt_http_verify_peer does not ask for it: NODE_EXTRA_CA_CERTS names an authority of your own`,
    )
  }
  note(
    access,
    reader.plugin,
    `is taken for the service at ${origin}; it is asked when a client subscribes, not about each message (acc 1)`,
  )
  return {
    userUrl: checks.has('user') ? user : null,
    superuserUrl: hasSuperusers ? urlOf(superuser) : null,
    aclUrl: checks.has('acl') ? acl : null,
    params: reader.oneOf('http_params_mode', ['json', 'form']),
    response: reader.oneOf('http_response_mode', ['status', 'text', 'json']),
    timeoutMs: reader.seconds('http_timeout', TIMEOUT_SECONDS) * 1_000,
    cacheSeconds: reader.isTrue('cache') ? cache : 0,
  }
}
