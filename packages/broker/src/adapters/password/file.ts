/**
 * A password file as a broker's `authenticate`: Mosquitto's file, with all of its kinds of hashes.
 *
 * Invariants: a damaged line is reported with its number and lets no client in, while the other lines hold; `reload`
 * takes the file or, when it cannot be read, nothing of it. `checks.ts` says how passwords are checked.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { MqttError } from '@recado/protocol'
import {
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  type MakeLoginQueue,
  REFUSED,
} from '../../ports.ts'
import { PasswordChecks, type PasswordUser } from './checks.ts'
import { DEFAULT_ITERATIONS, parseHash } from './hash.ts'
import type { HashWorkersOptions } from './workers.ts'

const SECRET_BYTES_MIN = 16
/** Largest length of a made-up salt in bytes; the rest of the 64 bytes chooses its form. */
const SALT_BYTES_MAX = 60

/** Options of `passwordFile`. */
export interface PasswordFileOptions extends HashWorkersOptions {
  /** Path of the file. */
  path: string
}

/**
 * Mark of a line that is a comment to Mosquitto. The value behind it makes the salts of unknown users, which stay the
 * same as those of users do.
 */
export const SCRAM_SECRET = '#scram-secret:'

/** Form of a SCRAM hash, as far as a client is told. */
interface ScramForm {
  readonly iterations: number
  readonly saltBytes: number
}

/** Line of a password file by which nobody can log in. */
export interface DamagedLine {
  /** `name`: it has none. `hash`: the hash cannot be read. `repeated`: the user has a later line, which holds. */
  readonly what: 'name' | 'hash' | 'repeated'
  /** Number of the line, from 1. */
  readonly line: number
  readonly username: string
}

interface Contents {
  /** Secret for the salts of unknown users; null when the file has none. */
  readonly scramSecret: Uint8Array | null
  /** Forms in the file, each once, in a fixed order. */
  readonly scramForms: readonly ScramForm[]
  readonly users: ReadonlyMap<string, PasswordUser>
  readonly list: readonly PasswordUser[]
  readonly warnings: readonly string[]
  readonly damaged: readonly DamagedLine[]
}

/** Parses `name:hash` lines; the last line of a name holds, as in Mosquitto. */
export function parsePasswordFile(text: string, path: string): Contents {
  const users = new Map<string, PasswordUser>()
  const warnings: string[] = []
  const damaged: DamagedLine[] = []
  const lineOf = new Map<string, number>()
  let scramSecret: Uint8Array | null = null
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith(SCRAM_SECRET)) scramSecret = Buffer.from(line.slice(SCRAM_SECRET.length).trim(), 'base64')
    if (line.startsWith('#') || line.trim() === '') continue
    const at = `${path}:${index + 1}`
    const colon = line.indexOf(':')
    if (colon <= 0) {
      if (colon === 0) damaged.push({ what: 'name', line: index + 1, username: '' })
      warnings.push(`${at}: the line does not have the form NAME:HASH, so it is ignored`)
      continue
    }
    const username = line.slice(0, colon).trim()
    const hashText = line.slice(colon + 1).trim()
    const hash = hashText === '' ? 'is missing' : parseHash(hashText)
    if (typeof hash === 'string') {
      warnings.push(`${at}: the password of user ${shownName(username)} ${hash}; this user cannot log in`)
      damaged.push({ what: 'hash', line: index + 1, username })
      users.delete(username)
      continue
    }
    if (users.has(username)) {
      warnings.push(`${at}: user ${shownName(username)} occurs more than once; this line is used`)
      damaged.push({ what: 'repeated', line: lineOf.get(username)!, username })
    }
    lineOf.set(username, index + 1)
    users.set(username, { username, text: hashText, hash, known: null })
  }
  const list = [...users.values()]
  const secret = scramSecret !== null && scramSecret.length >= SECRET_BYTES_MIN ? scramSecret : null
  const scramForms = formsOf(list)
  if (scramForms.length > 0 && secret === null) {
    warnings.push(
      `${path}: there are users for SCRAM but no ${SCRAM_SECRET} line, so a client can find out by a restart which users do not exist; "recado passwd" adds the line with its next change`,
    )
  }
  return { users, list, warnings, damaged, scramSecret: secret, scramForms }
}

function formsOf(list: readonly PasswordUser[]): ScramForm[] {
  const forms = new Map<string, ScramForm>()
  for (const { parameters } of list.map(({ hash }) => hash)) {
    if (parameters.kind !== 'scram-sha-256') continue
    const form = { iterations: parameters.iterations, saltBytes: parameters.salt.length }
    forms.set(`${form.iterations} ${form.saltBytes}`, form)
  }
  return [...forms.keys()].sort().map((key) => forms.get(key)!)
}

/** Returns the name for warnings, shortened: a long one may well be a hash that has slipped before the colon. */
function shownName(username: string): string {
  return JSON.stringify(username.length > 40 ? `${username.slice(0, 40)}…` : username)
}

/** Password file of Mosquitto's format, as `authenticate` takes it. */
export class PasswordFile {
  /** Path of the file. */
  readonly path: string
  readonly #checks: PasswordChecks
  /** Secret for the made-up parameters that unknown users are told, when the file has no secret for it. */
  readonly #key: string = randomBytes(32).toString('base64')
  #contents: Contents

  private constructor(path: string, checks: PasswordChecks, contents: Contents) {
    this.path = path
    this.#checks = checks
    this.#contents = contents
  }

  /** Reads the file. @throws MqttError ERR_MQTT_PASSWORD_FILE */
  static async open({ path, ...options }: PasswordFileOptions, makeQueue: MakeLoginQueue): Promise<PasswordFile> {
    const contents = await read(path)
    return new PasswordFile(path, new PasswordChecks(makeQueue, options), contents)
  }

  /** Warnings about damaged lines and the like, as `path:line: what`. */
  get warnings(): readonly string[] {
    return this.#contents.warnings
  }

  /** Lines by which nobody can log in; each is among the warnings. */
  get damaged(): readonly DamagedLine[] {
    return this.#contents.damaged
  }

  /**
   * Reads the file again; then call `broker.recheck()`, which disconnects users that are gone or have another password.
   * @throws MqttError ERR_MQTT_PASSWORD_FILE; the users then stay as they were.
   */
  async reload(): Promise<void> {
    const next = await read(this.path)
    for (const user of next.list) {
      const before = this.#contents.users.get(user.username)
      if (before?.text === user.text) user.known = before.known
    }
    this.#contents = next
  }

  /** Checks user name and password; returns null when the client gives no user name. */
  authenticate(request: ConnectRequest): ConnectDecision | null | Promise<ConnectDecision> {
    const { username, password } = request.connect
    if (!username) return null
    if (password === undefined || password.length === 0) return REFUSED
    const { users, list } = this.#contents
    return this.#checks.check(request, users.get(username), list)
  }

  /** Whether there is such a user. */
  has(username: string): boolean {
    return this.#contents.users.has(username)
  }

  /** Salt and iterations that an unknown user is told, like a known one. For `scram`. */
  pretence(username: string): { salt: Uint8Array; iterations: number } {
    const { scramSecret, scramForms } = this.#contents
    const hmac = createHmac('sha512', scramSecret ?? this.#key)
    const digest = hmac.update(username).digest()
    const form = scramForms[digest.readUInt32BE(SALT_BYTES_MAX) % Math.max(1, scramForms.length)]
    const { iterations = DEFAULT_ITERATIONS['scram-sha-256'], saltBytes = 16 } = form ?? {}
    return { salt: new Uint8Array(digest.subarray(0, Math.min(saltBytes, SALT_BYTES_MAX))), iterations }
  }

  /** Values for an exchange with a user whose hash is a $scram-sha-256$. For `scram`. */
  verifier(username: string): {
    salt: Uint8Array
    iterations: number
    storedKey: Uint8Array
    serverKey: Uint8Array
    credential: unknown
  } | null {
    const user = this.#contents.users.get(username)
    if (user?.hash.parameters.kind !== 'scram-sha-256') return null
    const { parameters, hash } = user.hash
    const { salt, iterations } = parameters
    return { salt, iterations, storedKey: hash.subarray(0, 32), serverKey: hash.subarray(32), credential: user }
  }

  /** Whether the user exists and has the same password as at the login. */
  isStillValid(_client: ClientInfo, credential: unknown): boolean {
    if (!isUser(credential)) return true
    return this.#contents.users.get(credential.username)?.text === credential.text
  }

  /** Whether the user still exists. */
  isKnown({ username }: ClientInfo): boolean {
    return username === undefined || this.has(username)
  }

  /** Ends the threads. */
  close(): Promise<void> {
    return this.#checks.close()
  }
}

const isUser = (credential: unknown): credential is PasswordUser =>
  typeof credential === 'object' && credential !== null && 'username' in credential && 'text' in credential

async function read(path: string): Promise<Contents> {
  try {
    const contents = parsePasswordFile(await readFile(path, 'utf8'), path)
    const { mode } = await stat(path)
    if ((mode & 0o004) === 0) return contents
    return {
      ...contents,
      warnings: [...contents.warnings, `${path}: every user of this machine can read it: run chmod 600`],
    }
  } catch (error) {
    throw new MqttError('ERR_MQTT_PASSWORD_FILE', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
