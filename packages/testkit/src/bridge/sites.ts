/**
 * Machines and cables between them: network namespaces, joined by pairs of veth devices that can fail.
 *
 * A `Site` is a machine that this process reaches by a cable of its own, which never fails; a `Cable` joins two sites.
 * Needs Linux, root and iproute2. Invariant: `remove` of a site removes all that belongs to it.
 */
import { execFileSync } from 'node:child_process'
import type { BrokerPlace } from '../crash/broker-process.ts'

let count = 0
/** Name that no other process and no other site or cable of this one has; at most 15 bytes with two letters before. */
const unique = (letters: string): string => `${letters}${process.pid}x${count++}`

/** Runs `ip` of iproute2. */
export function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

export class Site implements BrokerPlace {
  readonly name: string = unique('rs')
  /** Address at which this process reaches it. */
  readonly host: string
  readonly port = 1883
  readonly #near: string = unique('rn')

  constructor() {
    // A pair of addresses of its own: 10.214.0.0/16 in steps of four, by process and by site.
    const block = ((process.pid * 64 + count) % 16_384) * 4
    const address = (n: number): string => `10.214.${(block + n) >> 8}.${(block + n) & 255}`
    this.host = address(2)
    ip('netns', 'add', this.name)
    try {
      ip('link', 'add', this.#near, 'type', 'veth', 'peer', 'name', 'home', 'netns', this.name)
      ip('addr', 'add', `${address(1)}/30`, 'dev', this.#near)
      ip('link', 'set', this.#near, 'up')
      ip('-n', this.name, 'addr', 'add', `${this.host}/30`, 'dev', 'home')
      ip('-n', this.name, 'link', 'set', 'home', 'up')
      ip('-n', this.name, 'link', 'set', 'lo', 'up')
    } catch (error) {
      ip('netns', 'del', this.name)
      throw error
    }
  }

  commandFor(command: string, args: readonly string[]): [command: string, args: string[]] {
    return ['ip', ['netns', 'exec', this.name, command, ...args]]
  }

  /** Runs `ip` inside. */
  ip(...args: string[]): void {
    ip('-n', this.name, ...args)
  }

  /** Ends every TCP connection between this site and an address, and tells the other end by RST if it can be reached. */
  resetConnectionsTo(address: string): void {
    try {
      execFileSync('ip', ['netns', 'exec', this.name, 'ss', '-K', 'dst', address], { stdio: 'ignore' })
    } catch {
      // A connection that ended by itself meanwhile.
    }
  }

  remove(): void {
    try {
      // The cable first: it would vanish with its namespace, but later.
      ip('link', 'del', this.#near)
    } finally {
      ip('netns', 'del', this.name)
    }
  }
}

/** Cable between two sites, with an address at each end. */
export class Cable {
  readonly ends: readonly [Site, Site]
  /** Addresses of the ends, in the same order. */
  readonly hosts: readonly [string, string]
  readonly #devices: readonly [string, string]
  #isPlugged = true

  /** @param index number of the cable among those of its sites: decides its addresses, which only the sites see */
  constructor(a: Site, b: Site, index = 0) {
    this.ends = [a, b]
    this.hosts = [`192.168.${index}.1`, `192.168.${index}.2`]
    this.#devices = [unique('ra'), unique('rb')]
    const [near, far] = this.#devices
    ip('link', 'add', near, 'netns', a.name, 'type', 'veth', 'peer', 'name', far, 'netns', b.name)
    a.ip('addr', 'add', `${this.hosts[0]}/30`, 'dev', near)
    b.ip('addr', 'add', `${this.hosts[1]}/30`, 'dev', far)
    this.plug()
  }

  get isPlugged(): boolean {
    return this.#isPlugged
  }

  /** Nothing passes any more, and neither end is told: connections are half open. */
  unplug(): void {
    this.#isPlugged = false
    this.ends[0].ip('link', 'set', this.#devices[0], 'down')
  }

  plug(): void {
    this.#isPlugged = true
    for (const [i, site] of this.ends.entries()) site.ip('link', 'set', this.#devices[i]!, 'up')
  }

  /** Ends the connections through it at one end; the other end learns of it unless the cable is unplugged. */
  reset(end: 0 | 1): void {
    this.ends[end].resetConnectionsTo(this.hosts[1 - end]!)
  }
}

/** Reason why there cannot be sites here, or `false`. Throws when CI=true: there the reason is a fault. */
export function skipWithoutSites(): string | false {
  const why = whyNoSites()
  if (why !== false && process.env['CI'] === 'true') throw new Error(`CI=true, and ${why}`)
  return why
}

function whyNoSites(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need Linux and root'
  try {
    const site = new Site()
    try {
      execFileSync('ss', ['-V'], { stdio: 'ignore' })
    } finally {
      site.remove()
    }
    return false
  } catch (error) {
    return `no network namespaces here: ${(error as Error).message.split('\n')[0]}`
  }
}
