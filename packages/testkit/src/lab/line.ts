/**
 * The network of one cell of the laboratory: a host for the device, joined to the server's host by a line that does what
 * a bad network does.
 *
 * The line is a program of ours in C (`packages/testkit/peers/lab_line.c`) between two TUN devices, and not `tc netem`:
 * many kernels are built without that module, and a NAT that forgets and a seed are not in it. It carries IP packets, so
 * TCP on both hosts is the kernel's own. Needs Linux, root, iproute2, /dev/net/tun and a C compiler. Invariant: `remove`
 * removes all that it made.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ip, type Site, skipWithoutSites } from '../bridge/sites.ts'
import type { BrokerPlace } from '../crash/broker-process.ts'
import { Child, run } from '../peers/child.ts'
import { peerPath, skipWithout } from '../peers/find.ts'
import { Inbox } from '../peers/inbox.ts'

/** Address of the server's host in each network, and its name for those that ask a name server. */
export const SERVER_ADDRESS = '10.199.0.1'
export const SERVER_NAME = 'broker.lab'

/** What the line has carried, as its senders sent it. */
export interface Carried {
  readonly upPackets: number
  readonly upBytes: number
  readonly downPackets: number
  readonly downBytes: number
  /** Number of packets that did not arrive. */
  readonly dropped: number
}

const sources = new URL('../../peers/', import.meta.url)
let count = 0

/** Programs in C, compiled for one run. */
export class LabPrograms {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'recado-lab-'))

  /** Compiles the line, and the device of Paho C if that is there. */
  async build(withPahoC: boolean): Promise<void> {
    const compile = (name: string, ...libraries: readonly string[]): Promise<unknown> => {
      const source = fileURLToPath(new URL(`${name}.c`, sources))
      return run(peerPath('cc'), ['-std=gnu11', '-O2', '-Wall', '-o', this.path(name), source, ...libraries])
    }
    await compile('lab_line')
    if (withPahoC) await compile('lab_device', '-lpaho-mqtt3as', '-lpthread')
  }

  path(name: string): string {
    return join(this.#folder, name)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export class LabLine {
  /** Name of the network namespace of the device's host. */
  readonly #name: string
  /** Number of the line among those of this process, from 1. */
  readonly #number: number = ++count
  readonly #child: Child
  readonly #lines: Inbox<string>

  private constructor(child: (name: string, device: string) => [Child, Inbox<string>]) {
    this.#name = `rl${process.pid}x${this.#number}`
    ;[this.#child, this.#lines] = child(this.#name, this.#name)
  }

  /** @param seed repeats which packets are lost, when the same packets are sent */
  static async create(programs: LabPrograms, server: Site, seed: number): Promise<LabLine> {
    const line = new LabLine((name, device) => {
      ip('netns', 'add', name)
      const args = [String(seed), name, 'line', server.name, device]
      const lines: Inbox<string> = new Inbox('answer of lab_line', () => child.describe())
      const child: Child = new Child(programs.path('lab_line'), args, { onLine: (text) => lines.push(text) })
      child.exited.then(
        () => lines.fail(new Error(`the line has ended\n${child.describe()}`)),
        (error: Error) => lines.fail(error),
      )
      return [child, lines]
    })
    try {
      await line.#lines.next()
      line.#join(server)
      return line
    } catch (error) {
      await line.remove()
      throw error
    }
  }

  #join(server: Site): void {
    const address = `10.200.${(this.#number >> 8) & 255}.${this.#number & 255}`
    const near = (...args: readonly string[]): void => ip('-n', this.#name, ...args)
    near('link', 'set', 'lo', 'up')
    near('addr', 'add', address, 'peer', SERVER_ADDRESS, 'dev', 'line')
    // IPv6 would send its own packets, which are nobody's message.
    for (const [host, device] of [
      [this.#name, 'line'],
      [server.name, this.#name],
    ] as const) {
      const file = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`
      execFileSync('ip', ['netns', 'exec', host, 'sh', '-c', `test ! -e ${file} || echo 1 > ${file}`])
    }
    near('link', 'set', 'line', 'up')
    server.ip('link', 'set', this.#name, 'up')
    server.ip('route', 'add', address, 'dev', this.#name, 'src', SERVER_ADDRESS)
  }

  /** Converts a command to one that runs on the device's host. */
  commandFor(command: string, args: readonly string[]): [command: string, args: string[]] {
    return ['ip', ['netns', 'exec', this.#name, command, ...args]]
  }

  /** Sets the size of the largest packet of the device's interface. */
  setMtu(bytes: number): void {
    ip('-n', this.#name, 'link', 'set', 'line', 'mtu', String(bytes))
  }

  /** Lets the device's host ask the server's host for names, as a machine does that has no other. */
  useNameServer(): void {
    mkdirSync(this.#etc, { recursive: true })
    writeFileSync(join(this.#etc, 'resolv.conf'), `nameserver ${SERVER_ADDRESS}\n`)
  }

  /** `ip netns exec` puts the files in there in the place of those in /etc. */
  get #etc(): string {
    return `/etc/netns/${this.#name}`
  }

  /** Gives the line a command; `lab_line.c` has them. */
  tell(command: string): void {
    this.#child.write(`${command}\n`)
  }

  async carried(): Promise<Carried> {
    this.tell('count')
    const fields = new Map((await this.#lines.next()).split(' ').map((field) => field.split('=') as [string, string]))
    const number = (name: string): number => Number(fields.get(name))
    return {
      upPackets: number('up_packets'),
      upBytes: number('up_bytes'),
      downPackets: number('down_packets'),
      downBytes: number('down_bytes'),
      dropped: number('dropped'),
    }
  }

  async remove(): Promise<void> {
    try {
      this.#child.endInput()
      await this.#child.wait()
    } finally {
      rmSync(this.#etc, { recursive: true, force: true })
      ip('netns', 'del', this.#name)
    }
  }
}

/** Lets a host look for a packet size that passes when large ones vanish (RFC 4821). */
export function probeMtu(host: Pick<BrokerPlace, 'commandFor'>): void {
  const [command, args] = host.commandFor('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/tcp_mtu_probing'])
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Reason why there can be no laboratory here, or `false`. Throws when CI=true: there the reason is a fault. */
export function skipWithoutLab(): string | false {
  const why = skipWithoutSites() || whyNoTun() || skipWithout('cc')
  if (why !== false && process.env['CI'] === 'true') throw new Error(`CI=true, and ${why}`)
  return why
}

function whyNoTun(): string | false {
  if (!existsSync('/dev/net/tun')) return 'the network laboratory needs /dev/net/tun (modprobe tun)'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    return false
  } catch (error) {
    return `the network laboratory may not use /dev/net/tun: ${(error as Error).message}`
  }
}
