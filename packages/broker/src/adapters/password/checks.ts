/**
 * Passwords of clients against stored hashes, at the same price whether the user exists or not.
 *
 * `file.ts` and, by way of `access.ts`, `dynamic-security/` ask. Invariants: an unknown user costs a client as much
 * time as a known one; the password itself is never stored.
 *
 * A user who has logged in once with the right password is recognized by a keyed digest (SHA-256, with a random key of
 * this process), so that ten thousand devices that come back at once do not wait for ten thousand hashes. The digest
 * never leaves the process.
 */
import { hash, randomBytes } from 'node:crypto'
import { BUSY, type ConnectDecision, type ConnectRequest, type MakeLoginQueue, REFUSED } from '../../ports.ts'
import type { PasswordHash } from './hash.ts'
import { HashWorkers, type HashWorkersOptions } from './workers.ts'

export interface PasswordUser {
  readonly username: string
  /** Hash as stored text. */
  readonly text: string
  readonly hash: PasswordHash
  /** Digest of the password that was right; null before the first login. */
  known: string | null
}

export class PasswordChecks {
  readonly #workers: HashWorkers
  readonly #key: string = randomBytes(32).toString('base64')

  constructor(makeQueue: MakeLoginQueue, options?: HashWorkersOptions) {
    this.#workers = new HashWorkers(makeQueue, options)
  }

  /**
   * Checks a login. `user` is undefined for a name that is unknown or may not log in; such a login is refused in the
   * time that a hash of `others` takes.
   */
  check(
    { connect, remoteAddress }: ConnectRequest,
    user: PasswordUser | undefined,
    others: readonly PasswordUser[],
  ): ConnectDecision | Promise<ConnectDecision> {
    const { username = '', password } = connect
    // The answer is the same for every user name, so it tells nothing about this one. An empty password counts as none,
    // as in Mosquitto.
    if (password === undefined || password.length === 0) return REFUSED
    const digest = this.#digest(`${username}\0${latin1(password)}`)
    if (user?.known != null && isSameDigest(user.known, digest)) return { credential: user }
    if (this.#workers.isRefusing(remoteAddress)) return BUSY
    // An unknown user is checked against another user's hash, always the same one, and never let in.
    const expected = user?.hash ?? others[Number.parseInt(this.#digest(username).slice(0, 8), 16) % others.length]?.hash
    if (expected === undefined) return REFUSED
    return this.#workers.check(remoteAddress, expected, password).then((result) => {
      if (result === 'busy') return BUSY
      if (result !== 'right' || user === undefined) return REFUSED
      user.known = digest
      return { credential: user }
    })
  }

  /**
   * Returns the digest of a text, in one call and as a string: `createHmac` makes objects with finalizers and buffers,
   * which a flood of logins pays for in garbage collections.
   */
  #digest(text: string): string {
    return hash('sha256', this.#key + text)
  }

  /** Ends the threads. */
  close(): Promise<void> {
    return this.#workers.close()
  }
}

/** Compares in the same time, however many characters are equal. */
function isSameDigest(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
