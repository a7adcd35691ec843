/**
 * `Transport` over a stream socket of Node: TCP, TLS and unix-domain sockets differ only in how they are opened, which
 * is in `tcp.ts`, `tls.ts` and `unix.ts`.
 *
 * Invariant: from construction on the socket has an 'error' listener, so that no error of it is ever uncaught.
 */

import type { Socket } from 'node:net'
import { reasonOf } from '../abort.ts'
import { UnreachableError } from '../errors.ts'
import { hintFor } from './hints.ts'
import type { Transport, TransportHandler } from './transport.ts'

export class SocketTransport implements Transport {
  readonly #socket: Socket
  #error: Error | null = null

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', (error) => {
      this.#error = error
    })
  }

  start(handler: TransportHandler): void {
    const socket = this.#socket
    // Both may have happened since the socket was opened.
    if (socket.destroyed) {
      queueMicrotask(() => handler.onClose(this.#error))
      return
    }
    socket.on('drain', () => handler.onDrain())
    socket.once('close', () => handler.onClose(this.#error))
    socket.on('data', (chunk: Buffer) => handler.onData(chunk))
  }

  write(bytes: Uint8Array): boolean {
    // A closing socket discards writes; its 'close' is on the way and tells the client.
    if (this.#socket.destroyed || this.#socket.writableEnded) return true
    return this.#socket.write(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
    // A paused socket would never see the end of the other side.
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/**
 * Waits until `socket` emits `readyEvent`. An error before that is converted to a typed one by `toError`; an abort
 * destroys the socket.
 */
export function opened(
  socket: Socket,
  readyEvent: 'connect' | 'secureConnect',
  signal: AbortSignal,
  toError: (error: Error) => Error,
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const onReady = (): void => {
      cleanUp()
      resolve(new SocketTransport(socket))
    }
    const onError = (error: Error): void => {
      cleanUp()
      socket.destroy()
      reject(toError(error))
    }
    const onClose = (): void =>
      onError(new Error('the other side closed the connection; perhaps that port has another protocol'))
    const onAbort = (): void => {
      cleanUp()
      socket.on('error', ignore)
      socket.destroy()
      reject(reasonOf(signal))
    }
    const cleanUp = (): void => {
      socket.off(readyEvent, onReady)
      socket.off('error', onError)
      socket.off('close', onClose)
      signal.removeEventListener('abort', onAbort)
    }
    socket.once(readyEvent, onReady)
    socket.once('error', onError)
    socket.once('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

// After an abort, errors of the destroyed socket are ignored.
function ignore(): void {}

/**
 * Makes an error that names the place which could not be reached. `cause` keeps `code` (ECONNREFUSED, ENOTFOUND ...).
 */
export function unreachable(where: string, error: Error): UnreachableError {
  // Node tries all addresses of a name and wraps the failures; the last one stands for them.
  const cause =
    error instanceof AggregateError && error.errors.length > 0 ? error.errors[error.errors.length - 1] : error
  return new UnreachableError(`cannot connect to ${where}: ${cause.message}${hintFor(cause)}`, { cause })
}
