/**
 * The options about who may connect and do what, of one listener. `config.ts` calls it for each; `../access.ts` opens
 * what they name.
 */

import type { DynamicSecurityConfig, GoAuthConfig, JwtConfig, WebhookConfig } from './access-parts.ts'
import { ConfigError, type Setting } from './parse.ts'
import type { PluginAccess } from './plugin.ts'
import { findOption, type Option } from './schema.ts'

export interface AccessConfig {
  /** Password file; null for none. */
  readonly passwordFile: string | null
  readonly aclFile: string | null
  readonly jwt: JwtConfig | null
  readonly webhook: WebhookConfig | null
  readonly dynamicSecurity: DynamicSecurityConfig | null
  readonly goAuth: GoAuthConfig | null
  /** Whether Mosquitto's plugin for Sparkplug is loaded; it is for the whole broker. */
  readonly sparkplugAware: boolean
  /** Notes on sources in the place of plugins, and on those that could not be used: one line each. */
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
  /** Throws a ConfigError about this option, which is given: with its line. */
  readonly fail: (name: string, what: string) => never
}

/**
 * `given`: the value of an option for this listener, its own or the broker's; undefined where there is none. `fail`
 * throws and names the line of the option.
 * @throws ConfigError for options that contradict each other
 */
export function accessFrom(
  given: (name: string) => unknown,
  fail: (name: string, what: string) => never,
  plugins: PluginAccess,
): AccessConfig {
  const text = (name: string): string | null => (given(name) as string | undefined) ?? null
  const value = (name: string): string | number | boolean => {
    const { default: ofSchema, type } = findOption(name) as Option
    const found = given(name) as string | number | boolean | undefined
    return found ?? (type === 'integer' ? Number(ofSchema) : type === 'boolean' ? ofSchema === 'true' : ofSchema)
  }
  const ofPlugins = new Map<string, Setting>()
  const oneOf = (name: string, ofPlugin: Setting | null): string | null => {
    const own = text(name)
    if (own !== null && ofPlugin !== null) fail(name, `stands in ${ofPlugin.name} (line ${ofPlugin.line}) as well`)
    if (ofPlugin !== null) ofPlugins.set(name, ofPlugin)
    return own ?? (ofPlugin?.value as string | undefined) ?? null
  }
  // What stands in a plugin's option is told with that line.
  const failAt = (name: string, what: string): never => {
    const setting = ofPlugins.get(name)
    if (setting === undefined) return fail(name, what)
    throw new ConfigError(setting.file, setting.line, `${setting.name} ${what}`)
  }
  const keys = ['jwt_key_file', 'jwt_secret_file', 'jwt_jwks_url'].filter((name) => text(name) !== null)
  if (keys.length > 1) fail(keys[1]!, `and ${keys[0]} cannot both be given`)
  const webhook = webhookFrom(text, (name) => value(name) as number)
  if (keys.length > 0 && plugins.jwt !== null) fail(keys[0]!, 'and tokens of a plugin cannot both be given')
  // As for Mosquitto, whose own file decides before a plugin is asked.
  const isFileAlone = plugins.goAuth !== null && text('acl_file') !== null
  const aclFile = isFileAlone ? text('acl_file') : oneOf('acl_file', plugins.aclFile)
  if (aclFile !== null && webhook?.rightsUrl != null) fail('webhook_rights_url', 'and acl_file cannot both be given')
  return {
    passwordFile: oneOf('password_file', plugins.passwordFile),
    aclFile,
    jwt:
      keys.length === 0 ? plugins.jwt : jwtFrom(text, value, given('jwt_algorithms') as readonly string[] | undefined),
    webhook,
    dynamicSecurity: plugins.dynamicSecurity,
    goAuth: plugins.goAuth && { ...plugins.goAuth, isFileAlone },
    sparkplugAware: plugins.sparkplugAware,
    notes: plugins.notes,
    warnings: isFileAlone ? [...plugins.warnings, FILE_ALONE] : plugins.warnings,
    fail: failAt,
  }
}

const FILE_ALONE = 'acl_file says who may do what, and the plugin go-auth is not asked about it, as by Mosquitto'

function jwtFrom(
  text: (name: string) => string | null,
  value: (name: string) => unknown,
  algorithms: readonly string[] | undefined,
): JwtConfig {
  return {
    keyFile: text('jwt_key_file'),
    secretFile: text('jwt_secret_file'),
    secret: null,
    jwksUrl: text('jwt_jwks_url'),
    algorithms: algorithms?.flatMap((word) => word.split(',')).filter((word) => word !== '') ?? null,
    issuer: text('jwt_issuer'),
    audience: text('jwt_audience'),
    usernameClaim: value('jwt_username_claim') as string,
    clientIdClaim: text('jwt_clientid_claim'),
    aclClaim: value('jwt_acl_claim') as string,
    aclRequired: value('jwt_require_acl') as boolean,
    expiryRequired: value('jwt_require_expiry') as boolean,
    tokenIn: 'password',
  }
}

function webhookFrom(text: (name: string) => string | null, number: (name: string) => number): WebhookConfig | null {
  const [loginUrl, rightsUrl] = [text('webhook_login_url'), text('webhook_rights_url')]
  if (loginUrl === null && rightsUrl === null) return null
  return {
    loginUrl,
    rightsUrl,
    timeoutMs: number('webhook_timeout'),
    cacheSeconds: number('webhook_cache'),
    concurrency: number('webhook_concurrency'),
    headerFile: text('webhook_header_file'),
  }
}
