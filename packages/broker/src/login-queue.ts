/**
 * Logins that wait for a free check: bounded, and fair to every network.
 *
 * `access.ts` gives one queue to each source of logins that takes time (hashes, webhooks, tokens), because each has
 * another scarce resource. Invariants: networks (an IPv4 address, a /64 of IPv6) take turns, so a network that tries by
 * the thousand delays itself; when there is no room the network with the most waiting logins loses one, so a newcomer
 * always finds room; a network whose logins fail faster than a given rate is refused before any work, until it has
 * slowed down. All of it takes the same time however many wait.
 */
import { networkOf } from './core/base/address-counts.ts'
import type { LoginQueue, LoginQueueOptions, MakeLoginQueue } from './ports.ts'

/** Number of networks whose failures are remembered; above it the one that has been quiet longest is forgotten. */
const REMEMBERED_MAX = 10_000
/** Failures that a network may have at once, in seconds of its rate. */
const BURST_SECONDS = 2

interface Network<T> {
  readonly name: string
  readonly items: T[]
}

/** Failures that a network may still have. */
interface Allowance {
  failures: number
  atMs: number
}

export class FairQueue<T> implements LoginQueue<T> {
  readonly #options: LoginQueueOptions
  readonly #nowMs: () => number
  /** Networks in the order of their turns. */
  readonly #networks: Map<string, Network<T>> = new Map()
  /** Networks by the number of their waiting logins. */
  readonly #byLength: Set<Network<T>>[] = []
  #longest = 0
  #length = 0
  /** Allowances of networks with recent failures, the quiet ones first. */
  readonly #allowances: Map<string, Allowance> = new Map()

  constructor(options: LoginQueueOptions, nowMs: () => number = Date.now) {
    this.#options = options
    this.#nowMs = nowMs
  }

  get length(): number {
    return this.#length
  }

  /** Number of networks of which something is kept. */
  get networks(): number {
    return this.#networks.size + this.#allowances.size
  }

  isRefusing(remoteAddress: string): boolean {
    const name = networkOf(remoteAddress)
    return this.#isSpent(name) || (this.#networks.get(name)?.items.length ?? 0) >= this.#options.waitingPerNetworkMax
  }

  failed(remoteAddress: string): void {
    const { failuresPerSecondMax } = this.#options
    if (failuresPerSecondMax <= 0) return
    const name = networkOf(remoteAddress)
    const failures = Math.max(0, this.#left(name) - 1)
    // Move it behind the others: the quiet ones stay in front.
    this.#allowances.delete(name)
    if (this.#allowances.size >= REMEMBERED_MAX) this.#allowances.delete(this.#allowances.keys().next().value!)
    this.#allowances.set(name, { failures, atMs: this.#nowMs() })
  }

  push(remoteAddress: string, item: T): T | null {
    const { waitingMax, waitingPerNetworkMax } = this.#options
    const name = networkOf(remoteAddress)
    const length = this.#networks.get(name)?.items.length ?? 0
    if (waitingMax <= 0 || length >= waitingPerNetworkMax) return item
    let displaced: T | null = null
    if (this.#length >= waitingMax) {
      // The network itself would have as many as any other.
      if (length + 1 >= this.#longest) return item
      const [most] = this.#byLength[this.#longest]!
      displaced = most!.items.at(-1)!
      this.#resize(most!, () => most!.items.pop())
    }
    let network = this.#networks.get(name)
    if (network === undefined) {
      network = { name, items: [] }
      this.#networks.set(name, network)
    }
    this.#resize(network, () => network.items.push(item))
    return displaced
  }

  shift(): T | undefined {
    const first = this.#networks.values().next()
    if (first.done) return undefined
    const network = first.value
    const item = network.items[0]!
    this.#resize(network, () => network.items.shift())
    // Its next turn comes after all others.
    if (this.#networks.delete(network.name)) this.#networks.set(network.name, network)
    return item
  }

  takeAll(): T[] {
    const all = [...this.#networks.values()].flatMap(({ items }) => items)
    this.#networks.clear()
    this.#byLength.length = 0
    this.#longest = 0
    this.#length = 0
    return all
  }

  /** Updates the indexes while a network gets one item more or less. */
  #resize(network: Network<T>, change: () => void): void {
    const before = network.items.length
    this.#byLength[before]?.delete(network)
    change()
    const { length } = network.items
    this.#length += length - before
    if (length === 0) {
      this.#networks.delete(network.name)
    } else {
      this.#byLength[length] ??= new Set()
      this.#byLength[length].add(network)
    }
    this.#longest = Math.max(this.#longest, length)
    while (this.#longest > 0 && !this.#byLength[this.#longest]?.size) this.#longest--
  }

  #isSpent(name: string): boolean {
    return this.#options.failuresPerSecondMax > 0 && this.#left(name) < 1
  }

  /** Returns the number of failures that the network may have now. */
  #left(name: string): number {
    const { failuresPerSecondMax } = this.#options
    const most = Math.max(1, failuresPerSecondMax * BURST_SECONDS)
    const allowance = this.#allowances.get(name)
    if (allowance === undefined) return most
    const seconds = Math.max(0, this.#nowMs() - allowance.atMs) / 1_000
    return Math.min(most, allowance.failures + seconds * failuresPerSecondMax)
  }
}

export const makeLoginQueue: MakeLoginQueue = (options) => new FairQueue(options)
