/**
 * Password hashes in the forms of mosquitto-go-auth, which Home Assistant's Mosquitto and ChirpStack use:
 * `PBKDF2$sha512$iterations$salt$hash`, `$pbkdf2-sha512$i=iterations,l=bytes$salt$hash` and bcrypt's `$2b$rounds$…`. Its
 * `$argon2id$` is Mosquitto's.
 *
 * `hash.ts` asks first whether a text is of one of these forms. Invariant: a hash that parses can be computed within
 * the limits.
 */

/** Input of such a hash, except the password. */
export type ForeignParameters =
  | {
      readonly kind: 'pbkdf2'
      readonly form: 'PBKDF2' | 'pbkdf2-sha512'
      readonly digest: 'sha256' | 'sha512'
      readonly salt: Uint8Array
      readonly iterations: number
      readonly hashBytes: number
    }
  | { readonly kind: 'bcrypt'; readonly version: string; readonly salt: Uint8Array; readonly rounds: number }

export interface ForeignHash {
  readonly parameters: ForeignParameters
  readonly hash: Uint8Array
}

/** Binary logarithm of the most rounds: some seconds. */
const ROUNDS_MAX = 15
const ROUNDS_MIN = 4
const BCRYPT_HASH_BYTES = 23
/** Longest password of bcrypt in bytes; it overlooks what follows. */
const BCRYPT_PASSWORD_BYTES = 72
const HASH_BYTES_MIN = 16
const HASH_BYTES_MAX = 64

export const isForeign = (parameters: { readonly kind: string }): parameters is ForeignParameters =>
  parameters.kind === 'pbkdf2' || parameters.kind === 'bcrypt'

/** Parses a text of these forms; null for any other, a string that describes the fault for a damaged one. */
export function parseForeign(text: string, iterationsMax: number): ForeignHash | string | null {
  const fields = text.split('$')
  if (fields[0] === 'PBKDF2') {
    const [, digest, iterations, salt, hash, ...more] = fields
    if (digest !== 'sha256' && digest !== 'sha512')
      return 'is a PBKDF2$ hash that is made with neither sha256 nor sha512'
    return pbkdf2('PBKDF2', digest, { iterations, salt, hash, more }, iterationsMax)
  }
  if (fields[0] !== '') return null
  if (fields[1] === 'pbkdf2-sha512') {
    const [, , costs = '', salt, hash, ...more] = fields
    const iterations = /^i=(\d{1,10}),l=\d{1,3}$/.exec(costs)?.[1]
    return pbkdf2('pbkdf2-sha512', 'sha512', { iterations, salt, hash, more }, iterationsMax)
  }
  return /^2[aby]$/.test(fields[1] ?? '') ? bcrypt(fields) : null
}

interface Fields {
  readonly iterations: string | undefined
  readonly salt: string | undefined
  readonly hash: string | undefined
  readonly more: readonly string[]
}

function pbkdf2(
  form: 'PBKDF2' | 'pbkdf2-sha512',
  digest: 'sha256' | 'sha512',
  { iterations: iterationsText = '', salt: saltText, hash: hashText, more }: Fields,
  iterationsMax: number,
): ForeignHash | string {
  const iterations = /^\d{1,10}$/.test(iterationsText) ? Number(iterationsText) : 0
  if (iterations < 1 || iterations > iterationsMax)
    return `has a number of iterations that is not from 1 to ${iterationsMax}`
  const [salt, hash] = [base64(saltText), base64(hashText)]
  const isWhole = hash !== null && hash.length >= HASH_BYTES_MIN && hash.length <= HASH_BYTES_MAX
  if (salt === null || !isWhole || more.length > 0) return `is a damaged ${form}$ hash`
  return { parameters: { kind: 'pbkdf2', form, digest, salt, iterations, hashBytes: hash.length }, hash }
}

function base64(text: string | undefined): Uint8Array | null {
  if (text === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null
  return new Uint8Array(Buffer.from(text, 'base64'))
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BCRYPT_ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const translated = (text: string, from: string, to: string): string =>
  [...text].map((character) => to[from.indexOf(character)]).join('')

function bcrypt([, version = '', roundsText = '', text = '', ...more]: readonly string[]): ForeignHash | string {
  const rounds = /^\d\d$/.test(roundsText) ? Number(roundsText) : 0
  if (rounds < ROUNDS_MIN || rounds > ROUNDS_MAX)
    return `has a bcrypt cost that is not from ${ROUNDS_MIN} to ${ROUNDS_MAX}`
  if (!/^[./A-Za-z0-9]{53}$/.test(text) || more.length > 0) return 'is a damaged hash of bcrypt'
  const bytes = (part: string): Uint8Array =>
    new Uint8Array(Buffer.from(translated(part, BCRYPT_ALPHABET, ALPHABET), 'base64'))
  const salt = bytes(text.slice(0, 22))
  return { parameters: { kind: 'bcrypt', version, salt, rounds }, hash: bytes(text.slice(22)) }
}

/** Computes a hash of bcrypt, in WebAssembly. */
export async function bcryptHash(
  { salt, rounds }: ForeignParameters & { kind: 'bcrypt' },
  password: Uint8Array,
): Promise<Uint8Array> {
  const { bcrypt: compute } = await import('hash-wasm')
  const known = password.subarray(0, BCRYPT_PASSWORD_BYTES)
  const hash = await compute({ password: known, salt, costFactor: rounds, outputType: 'binary' })
  return hash.subarray(0, BCRYPT_HASH_BYTES)
}

/** Returns the text of a hash, as it stands in a file. */
export function formatForeign(parameters: ForeignParameters, hash: Uint8Array): string {
  const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  if (parameters.kind === 'bcrypt') {
    const { version, rounds, salt } = parameters
    const text = (bytes: Uint8Array): string => translated(encode(bytes).replaceAll('=', ''), ALPHABET, BCRYPT_ALPHABET)
    return `$${version}$${String(rounds).padStart(2, '0')}$${text(salt)}${text(hash)}`
  }
  const { form, digest, iterations, hashBytes, salt } = parameters
  if (form === 'PBKDF2') return `PBKDF2$${digest}$${iterations}$${encode(salt)}$${encode(hash)}`
  const bare = (bytes: Uint8Array): string => encode(bytes).replaceAll('=', '')
  return `$pbkdf2-sha512$i=${iterations},l=${hashBytes}$${bare(salt)}$${bare(hash)}`
}
