/**
 * Bearer tokens of the API, in a file: made and revoked by `recado token` and by the API, checked by every request.
 *
 * A token is `rcd_ID_SECRET`. The file has the SHA-256 of the secret, never the secret: it has 256 random bits, so that a
 * fast hash is enough. Invariants: the file is replaced whole (written beside, then renamed) and only its owner can read
 * it; a file that cannot be understood lets nobody in; a change by another process is seen within a second.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  closeSync,
  fchownSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { type Role, roles } from './roles.ts'

export { type Role, roles } from './roles.ts'

/** Days after which a new token ends where nothing else is asked for. */
export const TOKEN_DAYS = 90
/** Most days for which a token that ends may be made. */
export const TOKEN_DAYS_MAX = 3_650

/** Milliseconds after which the file is looked at again. */
const LOOK_MS = 1_000
const TOKENS_MAX = 1_000
const NAME_LENGTH_MAX = 100
const SHAPE = /^rcd_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/

/** A token without its secret. */
export interface Token {
  readonly id: string
  /** Name for people, such as what uses it. */
  readonly name: string
  readonly role: Role
  readonly createdAtMs: number
  /** null: it does not expire. */
  readonly expiresAtMs: number | null
  /** User, or tool, that made it. */
  readonly createdBy: string
}

interface StoredToken extends Token {
  /** SHA-256 of the secret, in hexadecimal. */
  readonly hash: string
}

/** Options of a new token. */
export interface NewToken {
  readonly name: string
  readonly role: Role
  readonly expiresAtMs: number | null
  readonly createdBy: string
}

/** Error about the file of tokens: what is wrong, and what to do. */
export class TokenFileError extends Error {}

/** Tokens in a file. */
export class TokenFile {
  readonly path: string
  readonly #nowMs: () => number
  #tokens: ReadonlyMap<string, StoredToken> = new Map()
  #lookedAtMs = Number.NEGATIVE_INFINITY
  /** Modification time, size and inode of what was read last. */
  #seen = ''
  #fault: string | null = null

  /** The file need not exist: then there are no tokens. */
  constructor(path: string, nowMs: () => number = Date.now) {
    this.path = path
    this.#nowMs = nowMs
  }

  /** Reason why the file cannot be used; null when it can. */
  get fault(): string | null {
    this.#look()
    return this.#fault
  }

  /** Returns the token that `text` is; null for none, an expired or a revoked one. */
  find(text: string): Token | null {
    const match = SHAPE.exec(text)
    if (match === null) return null
    this.#look()
    const stored = this.#tokens.get(match[1]!)
    const hash = hashOf(match[2]!)
    if (stored === undefined || !timingSafeEqual(Buffer.from(hash), Buffer.from(stored.hash))) return null
    if (stored.expiresAtMs !== null && stored.expiresAtMs <= this.#nowMs()) return null
    return withoutHash(stored)
  }

  /** Whether `text` has the form of a token of ours. */
  static isOurs(text: string): boolean {
    return text.startsWith('rcd_')
  }

  /** Tokens, those that have expired included, in the order in which they were made. */
  list(): Token[] {
    this.#lookNow()
    return [...this.#tokens.values()].map(withoutHash)
  }

  /** Makes a token; its text is never to be had again. @throws TokenFileError */
  create({ name, role, expiresAtMs, createdBy }: NewToken): { readonly token: Token; readonly text: string } {
    const tokens = this.#forChange()
    if (name === '' || name.length > NAME_LENGTH_MAX || /[\p{Cc}]/u.test(name)) {
      throw new TokenFileError(`the name of a token has 1 to ${NAME_LENGTH_MAX} characters, and no control characters`)
    }
    if (tokens.size >= TOKENS_MAX) {
      throw new TokenFileError(`${this.path} has ${TOKENS_MAX} tokens already: revoke those that nobody uses`)
    }
    const id = randomBytes(6).toString('hex')
    const secret = randomBytes(32).toString('base64url')
    const token = { id, name, role, createdAtMs: this.#nowMs(), expiresAtMs, createdBy }
    tokens.set(id, { ...token, hash: hashOf(secret) })
    this.#write(tokens)
    return { token, text: `rcd_${id}_${secret}` }
  }

  /** Removes a token. Returns it; null when there is none with this id. @throws TokenFileError */
  revoke(id: string): Token | null {
    const tokens = this.#forChange()
    const token = tokens.get(id)
    if (token === undefined) return null
    tokens.delete(id)
    this.#write(tokens)
    return withoutHash(token)
  }

  #forChange(): Map<string, StoredToken> {
    this.#lookNow()
    if (this.#fault !== null) throw new TokenFileError(this.#fault)
    return new Map(this.#tokens)
  }

  #write(tokens: ReadonlyMap<string, StoredToken>): void {
    const beside = `${this.path}.${process.pid}.new`
    try {
      const fd = openSync(beside, 'wx', 0o600)
      try {
        writeFileSync(fd, `${JSON.stringify({ tokens: [...tokens.values()] }, null, 2)}\n`)
        this.#giveToReader(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(beside, this.path)
    } catch (error) {
      rmSync(beside, { force: true })
      throw new TokenFileError(`${this.path} cannot be written: ${(error as Error).message}`)
    }
    this.#lookNow()
  }

  /** Gives a new file, as root, to the user of the one that it replaces, or of the folder, so that the broker can read it. */
  #giveToReader(fd: number): void {
    if (process.geteuid?.() !== 0) return
    const folder = statSync(dirname(this.path))
    const old = lstatSync(this.path, { throwIfNoEntry: false })
    const { uid, gid } = old?.isFile() && old.uid !== 0 ? old : folder
    fchownSync(fd, uid, gid)
  }

  #look(): void {
    if (performance.now() - this.#lookedAtMs >= LOOK_MS) this.#lookNow()
  }

  #lookNow(): void {
    this.#lookedAtMs = performance.now()
    try {
      const { mtimeMs, size, ino } = statSync(this.path)
      const seen = `${mtimeMs} ${size} ${ino}`
      if (seen === this.#seen) return
      this.#tokens = parse(readFileSync(this.path, 'utf8'), this.path)
      this.#seen = seen
      this.#fault = null
    } catch (error) {
      this.#tokens = new Map()
      this.#seen = ''
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      this.#fault = isMissing
        ? null
        : error instanceof TokenFileError
          ? error.message
          : `${this.path} cannot be read: ${(error as Error).message}`
    }
  }
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

function withoutHash({ id, name, role, createdAtMs, expiresAtMs, createdBy }: StoredToken): Token {
  return { id, name, role, createdAtMs, expiresAtMs, createdBy }
}

/** @throws TokenFileError */
function parse(text: string, path: string): Map<string, StoredToken> {
  const broken = (): TokenFileError =>
    new TokenFileError(`${path} is no file of tokens: move it away and make new ones with "recado token create"`)
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    throw broken()
  }
  const tokens = (read as { tokens?: unknown } | null)?.tokens
  if (!Array.isArray(tokens)) throw broken()
  const byId = new Map<string, StoredToken>()
  for (const each of tokens as Partial<StoredToken>[]) {
    const isToken =
      typeof each === 'object' &&
      each !== null &&
      typeof each.id === 'string' &&
      typeof each.name === 'string' &&
      roles.includes(each.role as Role) &&
      typeof each.createdAtMs === 'number' &&
      (each.expiresAtMs === null || typeof each.expiresAtMs === 'number') &&
      typeof each.createdBy === 'string' &&
      typeof each.hash === 'string' &&
      /^[0-9a-f]{64}$/.test(each.hash)
    if (!isToken) throw broken()
    byId.set(each.id!, each as StoredToken)
  }
  return byId
}
