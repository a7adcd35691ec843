/**
 * Datagrams to a unix socket: to the service manager (`notify.ts`) and to syslog (`log/syslog.ts`).
 *
 * The module that sends them is an optional dependency, for Node has no such sockets. The invariant: where it is missing the callers say what that means.
 */
import { createRequire } from 'node:module'

/** Part of the module that is used. A datagram leaves within the call when its reader has room; otherwise it waits. */
export interface DgramSocket {
  sendTo(buffer: Buffer, offset: number, length: number, path: string, done: (error?: Error) => void): void
  on(event: 'error', handler: (error: Error) => void): void
  close(): void
}

/** Opens the socket; null when this system has no such module. */
export function openDatagramSocket(): DgramSocket | null {
  try {
    const { DgramSocket } = createRequire(import.meta.url)('node-unix-socket') as { DgramSocket: new () => DgramSocket }
    return new DgramSocket()
  } catch {
    return null
  }
}
