/**
 * Passwords of clients against stored ones, at the same price whether there is such a user or not.
 *
 * `file.ts` and `dynamic-security/` (by `access.ts`) ask. The invariants: a user that is not there costs a client as much time as one that is; the password itself is kept nowhere.
 *
 * Who has logged in once with the right password is recognized by a keyed digest (SHA-256, the key is this process's and random), so
 * that ten thousand devices that come back at once do not wait for ten thousand hashes. It never leaves the process.
 */
import { hash, randomBytes } from 'node:crypto'
import { BUSY, type ConnectDecision, type ConnectRequest, type MakeLoginQueue, REFUSED } from '../../ports.ts'
import type { PasswordHash } from './hash.ts'
import { HashWorkers, type HashWorkersOptions } from './workers.ts'

export interface PasswordUser {
  readonly username: string
  /** As it is stored. */
  readonly text: string
  readonly hash: PasswordHash
  /** Digest of the password that was right. */
  known: string | null
}

export class PasswordChecks {
  readonly #workers: HashWorkers
  readonly #key: string = randomBytes(32).toString('base64')

  constructor(makeQueue: MakeLoginQueue, options?: HashWorkersOptions) {
    this.#workers = new HashWorkers(makeQueue, options)
  }

  /** `user`: undefined when there is none of that name, or he may not log in; then it is refused in the time that one of `others` takes. */
  check(
    { connect, remoteAddress }: ConnectRequest,
    user: PasswordUser | undefined,
    others: readonly PasswordUser[],
  ): ConnectDecision | Promise<ConnectDecision> {
    const { username = '', password } = connect
    // Said of every user name, so it says nothing about this one. An empty password is none, as in Mosquitto.
    if (password === undefined || password.length === 0) return REFUSED
    const digest = this.#digest(`${username}\0${latin1(password)}`)
    if (user?.known != null && isSameDigest(user.known, digest)) return { credential: user }
    if (this.#workers.isRefusing(remoteAddress)) return BUSY
    // Whoever is not there is checked against somebody's hash, always the same one's, and never let in.
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
   * In one call and as a string: `createHmac` makes objects with finalizers and buffers, which a flood of logins pays for in garbage
   * collections.
   */
  #digest(text: string): string {
    return hash('sha256', this.#key + text)
  }

  /** Ends the threads. */
  close(): Promise<void> {
    return this.#workers.close()
  }
}

/** In the same time, however many characters are the same. */
function isSameDigest(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
