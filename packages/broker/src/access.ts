/**
 * Sources of logins and rights that an embedder chooses from, for `createBroker`'s `authenticate` and `authorize`:
 *
 *     const [passwords, acl] = [await passwordFile({ path: 'passwords' }), await aclFile({ path: 'acl' })]
 *     const broker = createBroker({ authenticate: passwords, authorize: acl })
 *
 * Options that do not exist or are of another type are an `OptionError`. After `reload()` of a source call
 * `broker.recheck()`.
 */
import { check, checkOptions, text } from '@recado/protocol'
import {
  aclFileRules,
  dynamicSecurityRules,
  goAuthRules,
  jwtRules,
  passwordFileRules,
  scramOptions,
  webhookRules,
} from './access-rules.ts'
import { AclFile, type AclFileOptions } from './adapters/acl/file.ts'
import {
  DynamicSecurity,
  type DynamicSecurityOptions,
  type Passwords,
} from './adapters/dynamic-security/dynamic-security.ts'
import type { Jwt, JwtOptions } from './adapters/jwt/jwt.ts'
import { PasswordChecks, type PasswordUser } from './adapters/password/checks.ts'
import { PasswordFile, type PasswordFileOptions } from './adapters/password/file.ts'
import { newHashBeside, parseHash } from './adapters/password/hash.ts'
import { Scram, type ScramOptions } from './adapters/scram/server.ts'
import { type GoAuthOptions, GoAuthService } from './adapters/webhook/go-auth.ts'
import { Webhook, type WebhookOptions } from './adapters/webhook/webhook.ts'
import type { AuthenticationSource, EnhancedAuthenticationHook } from './hooks.ts'
import { makeLoginQueue } from './login-queue.ts'
import type { ClientInfo, ConnectDecision, ConnectRequest } from './ports.ts'

export type { AclDecision, AclRule } from './adapters/acl/rules.ts'
export { type DamagedLine, SCRAM_SECRET } from './adapters/password/file.ts'
export type { HashKind } from './adapters/password/hash.ts'
export { hashKinds, newHash as passwordHash } from './adapters/password/hash.ts'
export type { HashWorkersOptions } from './adapters/password/workers.ts'
export type { ScramOptions, ScramVerifier } from './adapters/scram/server.ts'
export { type GoAuthRightsOptions, goAuthRights } from './go-auth-rights.ts'
export { byGrants } from './grants.ts'
export type {
  AclFile,
  AclFileOptions,
  DynamicSecurity,
  DynamicSecurityOptions,
  GoAuthOptions,
  GoAuthService,
  Jwt,
  JwtOptions,
  PasswordFile,
  PasswordFileOptions,
  Webhook,
  WebhookOptions,
}

/**
 * Opens Mosquitto's `acl_file`, for `authorize`. @throws MqttError ERR_MQTT_ACL_FILE when it cannot be read; the
 * message names the line.
 */
export async function aclFile(options: AclFileOptions): Promise<AclFile> {
  checkOptions(options, aclFileRules)
  check('path', options.path, text)
  return AclFile.open(options)
}

/**
 * Opens Mosquitto's `password_file`, for `authenticate`. Hashes are computed on threads; `close()` ends them.
 * `warnings` names damaged lines. @throws MqttError ERR_MQTT_PASSWORD_FILE when it cannot be read.
 */
export async function passwordFile(options: PasswordFileOptions): Promise<PasswordFile> {
  checkOptions(options, passwordFileRules)
  check('path', options.path, text)
  return PasswordFile.open(options, makeLoginQueue)
}

/**
 * Mosquitto's dynamic security, for `authenticate`; its `rights()` are for `authorize`, and `attach(broker)` takes the
 * commands of `mosquitto_ctrl dynsec`.
 * @throws MqttError ERR_MQTT_DYNAMIC_SECURITY when its file cannot be read, understood or made.
 */
export async function dynamicSecurity(options: DynamicSecurityOptions): Promise<DynamicSecurity> {
  checkOptions(options, dynamicSecurityRules)
  check('path', options.path, text)
  const checks = new PasswordChecks(makeLoginQueue)
  const passwords: Passwords = {
    parse(stored) {
      const hash = parseHash(stored)
      return typeof hash === 'string' ? hash : { hash }
    },
    make: (password) => newHashBeside(new TextEncoder().encode(password)),
    // The password comes back in the form that `parse` has made.
    check: (request, user, others) =>
      checks.check(request, user as PasswordUser | undefined, others as readonly PasswordUser[]),
    close: () => checks.close(),
  }
  try {
    return await DynamicSecurity.open(options, passwords)
  } catch (error) {
    await checks.close()
    throw error
  }
}

/**
 * Makes a client of an HTTP service that speaks the language of mosquitto-go-auth, for `authenticate`; `goAuthRights` puts
 * its rights and those of an ACL file together. @throws MqttError ERR_MQTT_WEBHOOK for an address that is not one.
 */
export function goAuth(options: GoAuthOptions): GoAuthService {
  checkOptions(options, goAuthRules)
  return new GoAuthService(options, makeLoginQueue)
}

/**
 * Makes SCRAM-SHA-256 by AUTH packets, for `enhancedAuthentication`: client and broker prove to each other that they
 * know a password without sending it. A password file whose hashes are `$scram-sha-256$` can serve as options:
 * `scram(passwords)`.
 */
export function scram(options: ScramOptions): EnhancedAuthenticationHook {
  check('options', options, scramOptions)
  return new Scram(options)
}

/**
 * Makes logins by JSON Web Tokens: as passwords, for `authenticate`; and by AUTH packets of the method `JWT`, for
 * `enhancedAuthentication`. Their rights need `authorize: byGrants()`. @throws MqttError ERR_MQTT_JWT_KEY.
 */
export async function jwt(options: JwtOptions): Promise<Jwt> {
  checkOptions(options, jwtRules)
  const { Jwt } = await import('./adapters/jwt/jwt.ts')
  return Jwt.open(options, makeLoginQueue)
}

/**
 * Makes logins and rights that an HTTP service decides: for `authenticate` with `loginUrl`, for `authorize` with
 * `rightsUrl`. @throws MqttError ERR_MQTT_WEBHOOK for an address that is not a URL.
 */
export function webhook(options: WebhookOptions): Webhook {
  checkOptions(options, webhookRules)
  return new Webhook(options, makeLoginQueue)
}

/** Combines several methods of authentication by AUTH packets to one hook. */
export function allMethods(...hooks: readonly EnhancedAuthenticationHook[]): EnhancedAuthenticationHook {
  return {
    methods: hooks.flatMap(({ methods }) => methods),
    step: (step) => hooks.find(({ methods }) => methods.includes(step.method))!.step(step),
    isStillValid: (client, credential) => allOf(hooks, (hook) => hook.isStillValid?.(client, credential)),
  }
}

/**
 * Returns `true` where all answer `true` or nothing, else the first other answer as it is: a promise would count as true
 * here, and is reported by the broker.
 */
function allOf<T>(hooks: readonly T[], ask: (hook: T) => boolean | undefined): boolean {
  for (const hook of hooks) {
    const answer = ask(hook) ?? true
    if (answer !== true) return answer
  }
  return true
}

type Answer = boolean | ConnectDecision | null

/**
 * Combines several sources to one: the first that does not answer `null` decides. A refusal is final, so put a source
 * that recognizes its own clients (`jwt` recognizes a token) before one that refuses clients that it does not know.
 */
export function firstOf(...sources: readonly AuthenticationSource[]): AuthenticationSource {
  const ask = (request: ConnectRequest, from: number): Answer | Promise<Answer> => {
    for (let i = from; i < sources.length; i++) {
      const source = sources[i]!
      const answer = source.authenticate(request)
      if (answer instanceof Promise) {
        return answer.then((late) => (late === null ? ask(request, i + 1) : signed(source, late)))
      }
      if (answer !== null) return signed(source, answer)
    }
    return null
  }
  return {
    authenticate: (request) => ask(request, 0),
    isStillValid(client: ClientInfo, credential: unknown) {
      if (credential instanceof Signed) {
        const { source } = credential
        return sources.includes(source) && (source.isStillValid?.(client, credential.credential) ?? true)
      }
      // A credential of another method, such as SCRAM from the same password file, is judged by the source that knows
      // it.
      return credential === undefined || allOf(sources, (source) => source.isStillValid?.(client, credential))
    },
  }
}

/** Credential with the source that issued it. */
class Signed {
  readonly source: AuthenticationSource
  readonly credential: unknown
  constructor(source: AuthenticationSource, credential: unknown) {
    this.source = source
    this.credential = credential
  }
}

function signed(source: AuthenticationSource, answer: boolean | ConnectDecision): boolean | ConnectDecision {
  if (typeof answer === 'boolean') return answer
  return { ...answer, credential: new Signed(source, answer.credential) }
}
