/**
 * The keys that JSON Web Tokens are checked with: a secret, a public key or certificate, a JWKS in a file or behind a
 * URL.
 *
 * `jwt.ts` asks for a key for each token. Invariants: a token never chooses between a secret and a public key, because
 * the accepted algorithms belong to the kind of key; keys from a URL come by HTTPS, or from this machine, and are
 * requested again at most every 30 s.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { MqttError } from '@recado/protocol'
import { createLocalJWKSet, createRemoteJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

export interface KeyOptions {
  /** Secret for HS256, HS384, HS512. At least 32 bytes. */
  secret?: string | Uint8Array
  /** File with the secret; a line end at its end does not count. */
  secretFile?: string
  /** PEM of a public key or certificate, or the JSON of a JWKS. */
  key?: string
  /** File with such a key. */
  keyFile?: string
  /** URL of a JWKS: `https`, or `http` on this machine. */
  jwksUrl?: string | URL
  /**
   * Time in milliseconds for which keys from a URL are used. Default 10 minutes. For a key that is not among them the
   * URL is asked at once.
   */
  jwksCacheMs?: number
  /** Longest time in milliseconds that the URL may take. Default 5,000. */
  jwksTimeoutMs?: number
  /** Accepted signature algorithms. Default: all that the kind of key allows. */
  algorithms?: readonly string[]
}

export interface Keys {
  readonly find: JWTVerifyGetKey
  readonly algorithms: string[]
}

const SECRET_BYTES_MIN = 32
/** Pause in milliseconds between two requests for a key that was not among those of the URL. */
const COOLDOWN_MS = 30_000

const HMAC = ['HS256', 'HS384', 'HS512']
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const EC = ['ES256', 'ES384', 'ES512']
const ED = ['EdDSA', 'Ed25519']
const PUBLIC = [...RSA, ...EC, ...ED]

const refuse = (what: string, cause?: unknown): MqttError =>
  new MqttError('ERR_MQTT_JWT_KEY', what, cause === undefined ? undefined : { cause })

/** Opens the keys of the options. @throws MqttError ERR_MQTT_JWT_KEY */
export async function openKeys(options: KeyOptions): Promise<Keys> {
  const given = (['secret', 'secretFile', 'key', 'keyFile', 'jwksUrl'] as const).filter(
    (name) => options[name] !== undefined,
  )
  if (given.length !== 1)
    throw refuse(`JWT: ${given.length} keys are given: give exactly one of secret, secretFile, key, keyFile, jwksUrl`)
  if (options.jwksUrl !== undefined) return remote(options.jwksUrl, options)
  if (options.secret !== undefined) return secret(bytesOf(options.secret), 'the secret', options)
  if (options.secretFile !== undefined) {
    const text = await read(options.secretFile)
    return secret(text.subarray(0, text.length - trailingLineEnd(text)), options.secretFile, options)
  }
  const path = options.keyFile
  const text = path === undefined ? options.key! : (await read(path)).toString('utf8')
  return text.trimStart().startsWith('{')
    ? keySet(text, path ?? 'the JWKS', options)
    : publicKey(text, path ?? 'the key', options)
}

const bytesOf = (secret: string | Uint8Array): Uint8Array =>
  typeof secret === 'string' ? new TextEncoder().encode(secret) : secret

const trailingLineEnd = (bytes: Uint8Array): number => (bytes.at(-1) !== 10 ? 0 : bytes.at(-2) === 13 ? 2 : 1)

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw refuse(`${path} cannot be read: ${(error as Error).message}`, error)
  }
}

function secret(bytes: Uint8Array, what: string, options: KeyOptions): Keys {
  if (bytes.length < SECRET_BYTES_MIN) {
    throw refuse(
      `${what} has ${bytes.length} bytes; give at least ${SECRET_BYTES_MIN}: a shorter one can be guessed from one token`,
    )
  }
  return { find: async () => bytes, algorithms: allowed(options, HMAC, what) }
}

function publicKey(pem: string, what: string, options: KeyOptions): Keys {
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch (error) {
    throw refuse(`${what} is neither a public key or certificate (PEM) nor a JWKS: ${(error as Error).message}`, error)
  }
  const kind = key.asymmetricKeyType
  const algorithms = kind === 'rsa' ? RSA : kind === 'ec' ? EC : kind === 'ed25519' ? ED : null
  if (algorithms === null) throw refuse(`${what} is a key of type ${kind}; RSA, EC and Ed25519 are supported`)
  return { find: async () => key, algorithms: allowed(options, algorithms, what) }
}

function keySet(json: string, what: string, options: KeyOptions): Keys {
  try {
    return { find: createLocalJWKSet(JSON.parse(json) as JSONWebKeySet), algorithms: allowed(options, PUBLIC, what) }
  } catch (error) {
    if (error instanceof MqttError) throw error
    throw refuse(`${what} is not a JWKS: ${(error as Error).message}`, error)
  }
}

function remote(address: string | URL, options: KeyOptions): Keys {
  let url: URL
  try {
    url = new URL(address)
  } catch (error) {
    throw refuse(`"${address}" is not a URL`, error)
  }
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isHere)) {
    throw refuse(`${url.href}: keys are fetched only by https, or by http from this machine`)
  }
  const find = createRemoteJWKSet(url, {
    cacheMaxAge: options.jwksCacheMs ?? 600_000,
    cooldownDuration: COOLDOWN_MS,
    timeoutDuration: options.jwksTimeoutMs ?? 5_000,
  })
  return { find, algorithms: allowed(options, PUBLIC, url.href) }
}

function allowed({ algorithms }: KeyOptions, possible: readonly string[], what: string): string[] {
  for (const name of algorithms ?? []) {
    if (!possible.includes(name))
      throw refuse(`JWT algorithm "${name}" does not fit ${what}; use one of ${possible.join(', ')}`)
  }
  return [...(algorithms ?? possible)]
}
