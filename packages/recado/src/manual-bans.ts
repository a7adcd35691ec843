/**
 * Bans that were begun by hand, by the HTTP API: for a time, until the broker ends.
 *
 * `access.ts` has one for all configurations, `gate.ts` asks it before each login. Invariant: there are never more than
 * `BANS_MAX`; the one that ends first goes.
 */

const BANS_MAX = 10_000

/** Kinds of names that can be banned. */
export const banKinds = ['address', 'clientid', 'username'] as const
export type BanKind = (typeof banKinds)[number]

export interface ManualBan {
  readonly kind: BanKind
  readonly name: string
  /** End, in milliseconds since the Unix epoch. */
  readonly untilMs: number
  /** User who has begun it. */
  readonly by: string
}

export class ManualBans {
  readonly #bans: Map<string, ManualBan> = new Map()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  /** Begins a ban, or gives one another end. */
  ban(kind: BanKind, name: string, seconds: number, by: string): void {
    this.#forgetOver()
    const key = `${kind} ${name}`
    if (!this.#bans.has(key) && this.#bans.size >= BANS_MAX) {
      const [first] = [...this.#bans].sort(([, a], [, b]) => a.untilMs - b.untilMs)
      this.#bans.delete(first![0])
    }
    this.#bans.set(key, { kind, name, untilMs: this.#nowMs() + seconds * 1_000, by })
  }

  /** Ends a ban. Returns false when there is none. */
  unban(kind: BanKind, name: string): boolean {
    this.#forgetOver()
    return this.#bans.delete(`${kind} ${name}`)
  }

  list(): ManualBan[] {
    this.#forgetOver()
    return [...this.#bans.values()]
  }

  isBanned(address: string, clientId: string, username: string | undefined): boolean {
    if (this.#bans.size === 0) return false
    if (this.#has('address', address) || this.#has('clientid', clientId)) return true
    return username !== undefined && this.#has('username', username)
  }

  #has(kind: BanKind, name: string): boolean {
    return this.#nowMs() < (this.#bans.get(`${kind} ${name}`)?.untilMs ?? 0)
  }

  #forgetOver(): void {
    const nowMs = this.#nowMs()
    for (const [key, { untilMs }] of this.#bans) if (untilMs <= nowMs) this.#bans.delete(key)
  }
}
