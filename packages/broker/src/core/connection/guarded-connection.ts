/**
 * A guard that a transport is given in place of its `Connection`: nothing that the core throws gets out to the transport.
 *
 * `Connections` makes one for each connection. The invariant: a fault ends that connection and no other (`Connection.fault`).
 */
import type { TransportHandler } from '../../ports.ts'
import type { Connection } from './connection.ts'

export class GuardedConnection implements TransportHandler {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  onData(chunk: Uint8Array): void {
    try {
      this.#connection.onData(chunk)
    } catch (error) {
      this.#connection.fault('receive', error)
    }
  }

  get nextRead(): Uint8Array | null {
    return this.#connection.nextRead
  }

  onDrain(): void {
    try {
      this.#connection.onDrain()
    } catch (error) {
      this.#connection.fault('drain', error)
    }
  }

  onClose(reason: Error | null): void {
    try {
      this.#connection.onClose(reason)
    } catch (error) {
      this.#connection.fault('close', error)
    }
  }
}
