/**
 * Rules for the options of `access.ts` and `stores.ts`: a misspelt option of access (`audiance`) would let in clients
 * that should be refused. `option-rules.ts` has the rules for the broker itself.
 */
import { callback, either, flag, isObject, listOf, oneOf, type Rule, type Rules, text, whole } from '@recado/protocol'
import type { AclFileOptions } from './adapters/acl/file.ts'
import type { DynamicSecurityOptions } from './adapters/dynamic-security/dynamic-security.ts'
import type { JwtOptions } from './adapters/jwt/jwt.ts'
import type { LmdbOptions } from './adapters/lmdb-store.ts'
import type { PasswordFileOptions } from './adapters/password/file.ts'
import type { GoAuthOptions } from './adapters/webhook/go-auth.ts'
import type { WebhookOptions } from './adapters/webhook/webhook.ts'

const count = whole(0, Number.MAX_SAFE_INTEGER)
const url: Rule = {
  must: 'a string or a URL',
  holds: (value) => typeof value === 'string' || value instanceof URL,
}
const texts = either(text, listOf(text))

export const aclFileRules: Rules<AclFileOptions> = { path: text }

export const dynamicSecurityRules: Rules<DynamicSecurityOptions> = {
  path: text,
  passwordInitFile: text,
  initPassword: text,
  showsConnections: flag,
  onLog: callback,
}

export const passwordFileRules: Rules<PasswordFileOptions> = {
  path: text,
  threads: count,
  waitingMax: count,
  waitingPerAddressMax: count,
  failuresPerSecondMax: count,
  waitMsMax: count,
}

export const jwtRules: Rules<JwtOptions> = {
  secret: {
    must: 'a string or a Uint8Array',
    holds: (value) => typeof value === 'string' || value instanceof Uint8Array,
  },
  secretFile: text,
  key: text,
  keyFile: text,
  jwksUrl: url,
  jwksCacheMs: count,
  jwksTimeoutMs: count,
  algorithms: listOf(text),
  issuer: texts,
  audience: texts,
  tokenIn: oneOf('password', 'username'),
  usernameClaim: text,
  clientIdClaim: text,
  aclClaim: text,
  aclRequired: flag,
  expiryRequired: flag,
  clockToleranceSeconds: count,
  failuresPerSecondMax: count,
  onError: callback,
}

export const webhookRules: Rules<WebhookOptions> = {
  loginUrl: url,
  rightsUrl: url,
  timeoutMs: count,
  concurrency: count,
  waitingMax: count,
  waitingPerAddressMax: count,
  failuresPerSecondMax: count,
  cacheMs: count,
  cacheMax: count,
  headers: {
    must: 'an object of strings',
    holds: (value) => isObject(value) && Object.values(value).every((each) => typeof each === 'string'),
  },
  onError: callback,
}

const { loginUrl: _login, rightsUrl: _rights, ...ofRequests } = webhookRules
export const goAuthRules: Rules<GoAuthOptions> = {
  ...ofRequests,
  userUrl: url,
  superuserUrl: url,
  aclUrl: url,
  params: oneOf('json', 'form'),
  response: oneOf('status', 'text', 'json'),
}

export const lmdbRules: Rules<LmdbOptions> = {
  path: text,
  durability: oneOf('fsync', 'os'),
  mapSizeBytes: count,
  onQuarantine: callback,
}

/** Rule that allows more properties, as the object may be of a class, such as a password file. */
export const scramOptions: Rule = {
  must: 'an object with verifier',
  holds: (value) => isObject(value) && typeof (value as { verifier?: unknown }).verifier === 'function',
}
