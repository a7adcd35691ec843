/**
 * Password hashes in the forms that Mosquitto writes into its files: `$6$salt$hash`, `$7$iterations$salt$hash`,
 * `$argon2id$v=19$m=,t=,p=$salt$hash`; and one of our own, `$scram-sha-256$iterations$salt$storedKey$serverKey` (RFC
 * 5802), for clients that prove their password by AUTH packets. `foreign-hash.ts` has the forms of mosquitto-go-auth,
 * which are read and not written.
 *
 * `file.ts` parses them, `worker.ts` computes them. Invariants: a hash that parses can be computed within the limits
 * below; two are compared in constant time.
 */
import { createHash, createHmac, pbkdf2 as deriveBeside, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { MqttError } from '@recado/protocol'
import { bcryptHash, type ForeignParameters, formatForeign, isForeign, parseForeign } from './foreign-hash.ts'

/** Input of a hash, except the password. */
export type HashParameters =
  | { readonly kind: 'sha512'; readonly salt: Uint8Array }
  | { readonly kind: 'sha512-pbkdf2' | 'scram-sha-256'; readonly salt: Uint8Array; readonly iterations: number }
  | {
      readonly kind: 'argon2id'
      readonly salt: Uint8Array
      readonly memoryKiB: number
      readonly passes: number
      readonly lanes: number
      readonly hashBytes: number
    }
  | ForeignParameters
/** Kind of a password hash that can be written to a password file. */
export type HashKind = Exclude<HashParameters['kind'], ForeignParameters['kind']>

export interface PasswordHash {
  readonly parameters: HashParameters
  readonly hash: Uint8Array
}

/** Most work that a login may cost, whatever the file says: about ten seconds, and 1 GiB. */
export const ITERATIONS_MAX = 10_000_000
const MEMORY_KIB_MAX = 1_048_576
const PASSES_MAX = 100
const LANES_MAX = 64
/** Work of a round of bcrypt, in iterations of PBKDF2. */
const BCRYPT_COST = 100
const SHA512_BYTES = 64
const SHA256_BYTES = 32

/** Default iterations of `recado passwd`, those of Mosquitto 2.1. */
export const DEFAULT_ITERATIONS: Readonly<Record<'sha512-pbkdf2' | 'scram-sha-256', number>> = {
  'sha512-pbkdf2': 1_000,
  // The least that RFC 7677 allows; the client does the work.
  'scram-sha-256': 4_096,
}
/** Length of salts in bytes. Mosquitto 2.0 accepts only 12 for the first two. */
const SALT_BYTES = { sha512: 12, 'sha512-pbkdf2': 12, argon2id: 16, 'scram-sha-256': 16 } as const
const ARGON2ID = { memoryKiB: 47_104, passes: 1, lanes: 1, hashBytes: 64 } as const

/** Parses the text of a password file behind `name:`. Returns a string that describes the fault when there is one. */
export function parseHash(text: string): PasswordHash | string {
  const [before, kind, ...fields] = text.split('$')
  const foreign = parseForeign(text, ITERATIONS_MAX)
  if (foreign !== null) return foreign
  if (before !== '' || kind === undefined) return 'is not a hash; "recado passwd -U" turns plain passwords into hashes'
  switch (kind) {
    case '6':
      return sha512(fields)
    case '7':
      return pbkdf2(fields)
    case 'argon2id':
      return argon2id(fields)
    case 'scram-sha-256':
      return scram(fields)
    default:
      return 'is a hash of an unknown kind; known are $6$, $7$, $argon2id$, $scram-sha-256$, $2b$ (bcrypt) and PBKDF2$'
  }
}

function sha512([saltText, hashText, ...more]: string[]): PasswordHash | string {
  const salt = base64(saltText)
  const hash = base64(hashText)
  if (salt === null || hash?.length !== SHA512_BYTES || more.length > 0) return 'is a damaged $6$ hash'
  return { parameters: { kind: 'sha512', salt }, hash }
}

function pbkdf2([iterationsText, saltText, hashText, ...more]: string[]): PasswordHash | string {
  const iterations = whole(iterationsText, ITERATIONS_MAX)
  const salt = base64(saltText)
  const hash = base64(hashText)
  if (iterations === null) return `has a number of iterations that is not from 1 to ${ITERATIONS_MAX}`
  if (salt === null || hash?.length !== SHA512_BYTES || more.length > 0) return 'is a damaged $7$ hash'
  return { parameters: { kind: 'sha512-pbkdf2', salt, iterations }, hash }
}

function argon2id([version, costs, saltText, hashText, ...more]: string[]): PasswordHash | string {
  const parts = /^m=(\d+),t=(\d+),p=(\d+)$/.exec(costs ?? '')
  if (version !== 'v=19' || parts === null) return 'is a damaged $argon2id$ hash, or not of version 19'
  const memoryKiB = whole(parts[1], MEMORY_KIB_MAX)
  const passes = whole(parts[2], PASSES_MAX)
  const lanes = whole(parts[3], LANES_MAX)
  if (memoryKiB === null || passes === null || lanes === null || memoryKiB < 8 * lanes) {
    return `has a cost above m=${MEMORY_KIB_MAX},t=${PASSES_MAX},p=${LANES_MAX}, or below the minimum of argon2`
  }
  const salt = base64(saltText)
  const hash = base64(hashText)
  if (salt === null || salt.length < 8 || hash === null || hash.length < 16 || more.length > 0) {
    return 'is a damaged $argon2id$ hash'
  }
  return { parameters: { kind: 'argon2id', salt, memoryKiB, passes, lanes, hashBytes: hash.length }, hash }
}

function scram([iterationsText, saltText, storedText, serverText, ...more]: string[]): PasswordHash | string {
  const iterations = whole(iterationsText, ITERATIONS_MAX)
  const [salt, stored, server] = [base64(saltText), base64(storedText), base64(serverText)]
  if (iterations === null) return `has a number of iterations that is not from 1 to ${ITERATIONS_MAX}`
  const isWhole = stored?.length === SHA256_BYTES && server?.length === SHA256_BYTES
  if (salt === null || !isWhole || more.length > 0) return 'is a damaged $scram-sha-256$ hash'
  return { parameters: { kind: 'scram-sha-256', salt, iterations }, hash: new Uint8Array([...stored, ...server]) }
}

function whole(text: string | undefined, max: number): number | null {
  const value = /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0
  return value >= 1 && value <= max ? value : null
}

function base64(text: string | undefined): Uint8Array | null {
  if (text === undefined || text === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null
  return new Uint8Array(Buffer.from(text, 'base64'))
}

/** Formats a hash as text of a file. argon2's own form has no padding. */
export function formatHash({ parameters, hash }: PasswordHash): string {
  if (isForeign(parameters)) return formatForeign(parameters, hash)
  const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const salt = encode(parameters.salt)
  switch (parameters.kind) {
    case 'sha512':
      return `$6$${salt}$${encode(hash)}`
    case 'sha512-pbkdf2':
      return `$7$${parameters.iterations}$${salt}$${encode(hash)}`
    case 'scram-sha-256': {
      const [stored, server] = [hash.subarray(0, SHA256_BYTES), hash.subarray(SHA256_BYTES)]
      return `$scram-sha-256$${parameters.iterations}$${salt}$${encode(stored)}$${encode(server)}`
    }
    case 'argon2id': {
      const { memoryKiB, passes, lanes } = parameters
      const bare = (text: string): string => text.replaceAll('=', '')
      return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${lanes}$${bare(salt)}$${bare(encode(hash))}`
    }
  }
}

/**
 * Returns the work of a hash, in iterations of PBKDF2 (about a microsecond): for sharing work among threads, not for
 * people.
 */
export function costOf(parameters: HashParameters): number {
  switch (parameters.kind) {
    case 'sha512':
      return 3
    case 'sha512-pbkdf2':
    case 'scram-sha-256':
      return parameters.iterations
    case 'argon2id':
      return parameters.memoryKiB * parameters.passes
    case 'pbkdf2':
      return parameters.iterations
    case 'bcrypt':
      return BCRYPT_COST * 2 ** parameters.rounds
  }
}

/** Computes the hash of a password; argon2id in WebAssembly, which blocks this thread meanwhile. */
export async function computeHash(parameters: HashParameters, password: Uint8Array): Promise<Uint8Array> {
  switch (parameters.kind) {
    case 'sha512':
      return createHash('sha512').update(password).update(parameters.salt).digest()
    case 'sha512-pbkdf2':
      return pbkdf2Sync(password, parameters.salt, parameters.iterations, SHA512_BYTES, 'sha512')
    case 'pbkdf2': {
      const { salt, iterations, hashBytes, digest } = parameters
      return pbkdf2Sync(password, salt, iterations, hashBytes, digest)
    }
    case 'bcrypt':
      return bcryptHash(parameters, password)
    case 'scram-sha-256': {
      const text = new TextDecoder().decode(password).normalize('NFKC')
      const salted = pbkdf2Sync(text, parameters.salt, parameters.iterations, SHA256_BYTES, 'sha256')
      const clientKey = createHmac('sha256', salted).update('Client Key').digest()
      const storedKey = createHash('sha256').update(clientKey).digest()
      return new Uint8Array([...storedKey, ...createHmac('sha256', salted).update('Server Key').digest()])
    }
    case 'argon2id': {
      const { salt, memoryKiB, passes, lanes, hashBytes } = parameters
      // Loaded for the first such hash: half a megabyte of WebAssembly.
      const { argon2id: compute } = await import('hash-wasm')
      return compute({
        password,
        salt,
        memorySize: memoryKiB,
        iterations: passes,
        parallelism: lanes,
        hashLength: hashBytes,
        outputType: 'binary',
      })
    }
  }
}

/** Returns true when this is the password, in constant time for a given hash. */
export async function isPassword({ parameters, hash }: PasswordHash, password: Uint8Array): Promise<boolean> {
  return timingSafeEqual(await computeHash(parameters, password), hash) && !isPadded(parameters, password)
}

/**
 * Returns true for a password that ends in U+0000. HMAC, on which PBKDF2 and SCRAM are built, pads its key with zeros:
 * `p` and `p` with U+0000 behind it have one hash. No real password of these kinds ends so, because the programs that
 * make hashes take passwords from command lines and terminals.
 */
function isPadded({ kind }: HashParameters, password: Uint8Array): boolean {
  return (kind === 'sha512-pbkdf2' || kind === 'scram-sha-256' || kind === 'pbkdf2') && password.at(-1) === 0
}

function mustHold(parameters: HashParameters, password: Uint8Array): void {
  if (!isPadded(parameters, password)) return
  const text = `the password ends in U+0000, which ${parameters.kind} ignores: choose another one`
  throw new MqttError('ERR_MQTT_PASSWORD', text)
}

/**
 * Makes a new hash with a new salt. `iterations` is for sha512-pbkdf2 and scram-sha-256. The password is not empty.
 * @throws MqttError ERR_MQTT_PASSWORD for one that ends in U+0000, which these two kinds could not tell from one
 * without.
 */
export async function newHash(kind: HashKind, password: Uint8Array, iterations?: number): Promise<string> {
  const salt = new Uint8Array(randomBytes(SALT_BYTES[kind]))
  let parameters: HashParameters
  if (kind === 'sha512') parameters = { kind, salt }
  else if (kind === 'argon2id') parameters = { kind, salt, ...ARGON2ID }
  else parameters = { kind, salt, iterations: iterations ?? DEFAULT_ITERATIONS[kind] }
  mustHold(parameters, password)
  return formatHash({ parameters, hash: await computeHash(parameters, password) })
}

/** Kinds of hashes that `passwordHash` makes. */
export const hashKinds: readonly HashKind[] = ['sha512', 'sha512-pbkdf2', 'argon2id', 'scram-sha-256']

/**
 * Computes the same hash as `newHash` of sha512-pbkdf2 on another thread, so that the caller's thread stays free.
 * @throws MqttError ERR_MQTT_PASSWORD
 */
export async function newHashBeside(password: Uint8Array): Promise<string> {
  const kind = 'sha512-pbkdf2'
  const iterations = DEFAULT_ITERATIONS[kind]
  const parameters: HashParameters = { kind, salt: new Uint8Array(randomBytes(SALT_BYTES[kind])), iterations }
  mustHold(parameters, password)
  const hash = await promisify(deriveBeside)(password, parameters.salt, iterations, SHA512_BYTES, 'sha512')
  return formatHash({ parameters, hash })
}
