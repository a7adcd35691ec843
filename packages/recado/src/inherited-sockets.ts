/**
 * Sockets that the service manager has opened before the broker: LISTEN_FDS of sd_listen_fds(3).
 *
 * `serve.ts` asks for them when it opens its listeners. Connections that come while the broker is started again wait in
 * such a socket, and a port below 1024 needs no privileges of the broker. A listener takes the socket that has its
 * address; the configuration says nothing about it. Which address a socket has is read from /proc, because Node cannot
 * be asked without accepting connections.
 *
 * Invariants: a socket is given to one listener; one that is closed later (SIGHUP) is not given again.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import type { ListenOptions } from '@recado/broker'
import type { Environment } from './environment.ts'

/** Number of the first descriptor that is passed. */
const FIRST_FD = 3
/** Number of descriptors beyond which the variable is taken for nonsense. */
const COUNT_MAX = 1024
const LISTENING = '0A'

export interface InheritedSocket {
  readonly fd: number
  /** `127.0.0.1:1883`, `[::]:1883`, or the path of a unix socket. */
  readonly address: string
}

export interface InheritedSockets {
  /**
   * Returns the ways to open a listener, the first that works being taken: with an inherited socket it is that alone.
   */
  takeFor(sockets: readonly ListenOptions[]): readonly ListenOptions[]
  /** Returns sockets that no listener has taken. */
  rest(): readonly InheritedSocket[]
}

/** Reads what was passed to this process. `proc` is /proc. */
export function inheritedSockets(env: Environment, pid: number, proc: string = '/proc'): InheritedSockets {
  return new Inherited(isForUs(env, pid) ? socketsIn(env, proc) : [])
}

class Inherited implements InheritedSockets {
  #sockets: readonly InheritedSocket[]

  constructor(sockets: readonly InheritedSocket[]) {
    this.#sockets = sockets
  }

  takeFor(sockets: readonly ListenOptions[]): readonly ListenOptions[] {
    for (const wanted of sockets) {
      const found = this.#sockets.find(({ address }) => address === addressOf(wanted))
      if (found === undefined) continue
      this.#sockets = this.#sockets.filter((socket) => socket !== found)
      return [{ ...wanted, fd: found.fd }]
    }
    return sockets
  }

  rest(): readonly InheritedSocket[] {
    return this.#sockets
  }
}

/** Whether the variables are for this process and not for the one that started it. */
function isForUs(env: Environment, pid: number): boolean {
  return env['LISTEN_PID'] === undefined || env['LISTEN_PID'] === String(pid)
}

function socketsIn(env: Environment, proc: string): readonly InheritedSocket[] {
  const count = Number(env['LISTEN_FDS'] ?? 0)
  if (!(Number.isInteger(count) && count > 0 && count <= COUNT_MAX)) return []
  const addresses = listeningAddresses(proc)
  const found: InheritedSocket[] = []
  for (let fd = FIRST_FD; fd < FIRST_FD + count; fd++) {
    const address = addresses.get(inodeOf(proc, fd))
    if (address !== undefined) found.push({ fd, address })
  }
  return found
}

/** Returns the inode of a descriptor's socket; '' when it is none. */
function inodeOf(proc: string, fd: number): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${proc}/self/fd/${fd}`))?.[1] ?? ''
  } catch {
    // No descriptor of that number, or no /proc: there is nothing to take.
    return ''
  }
}

/** Addresses of all listening sockets by inode. */
function listeningAddresses(proc: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const [file, bytes] of [
    ['tcp', 4],
    ['tcp6', 16],
  ] as const) {
    for (const line of rowsOf(`${proc}/net/${file}`)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
      const [host = '', port = ''] = local.split(':')
      if (state !== LISTENING || host.length !== bytes * 2) continue
      const text = bytes === 4 ? ipv4Of(host) : `[${ipv6Of(host)}]`
      found.set(inode, `${text}:${Number.parseInt(port, 16)}`)
    }
  }
  for (const line of rowsOf(`${proc}/net/unix`)) {
    const [, , , , , , inode = '', ...path] = line.trim().split(/\s+/)
    if (path.length > 0 && !found.has(inode)) found.set(inode, path.join(' '))
  }
  return found
}

/** Returns lines of a table below its heading; none when it cannot be read. */
function rowsOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(1)
  } catch {
    // A system without that protocol.
    return []
  }
}

/** Returns bytes of an address as the kernel prints them: words of four bytes, each in the order of the processor. */
function bytesOf(hex: string): number[] {
  const bytes = [...Buffer.from(hex, 'hex')]
  const words: number[] = []
  for (let at = 0; at < bytes.length; at += 4) words.push(...bytes.slice(at, at + 4).reverse())
  return words
}

const ipv4Of = (hex: string): string => bytesOf(hex).join('.')

function ipv6Of(hex: string): string {
  const bytes = bytesOf(hex)
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at]! * 256 + bytes[at + 1]!).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

function addressOf({ path, host = '', port = 0 }: ListenOptions): string {
  if (path !== undefined) return path
  if (!host.includes(':')) return `${host}:${port}`
  return `[${new URL(`http://[${host}]`).hostname.slice(1, -1)}]:${port}`
}
