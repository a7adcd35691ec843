/**
 * A simulated machine: the processes of a broker, one after the other. Each dies at some call of the disk or the network,
 * or ends in good order.
 *
 * `broker-host.ts` and `bridge/node.ts` each have one. Invariant: what belongs to a process that has died is not run any
 * more; `IsDead` says whether it has.
 */
import type { Core } from '@recado/broker/testing'
import type { SocketHandler } from './cable.ts'
import type { ExceptionChecker } from './checkers/exceptions.ts'
import type { Loop } from './loop.ts'

/** Returns true when the process that it was made for has died. */
export type IsDead = () => boolean

/** Milliseconds after which a process that is to crash does so, also without enough calls. */
const CRASH_MS = 2_000
/** Milliseconds that connections have when the broker stops in good order. */
const GRACE_MS = 20

export class Machine {
  readonly #loop: Loop
  readonly #exceptions: ExceptionChecker
  readonly #kill: (isOrderly: boolean) => void
  /** Grows with each process, and with its end. */
  #process = 0
  /** Calls of the disk or the network until the process crashes. */
  #touchesLeft = Number.POSITIVE_INFINITY

  /** @param kill called when the process is to end, with whether it has stopped in good order */
  constructor(loop: Loop, exceptions: ExceptionChecker, kill: (isOrderly: boolean) => void) {
    this.#loop = loop
    this.#exceptions = exceptions
    this.#kill = kill
  }

  /** A process begins. */
  begin(): IsDead {
    this.#process++
    return this.present()
  }

  /** Returns whether the present process has died, whenever it is asked. */
  present(): IsDead {
    const process = this.#process
    return () => process !== this.#process
  }

  /** The present process is dead from now on. */
  end(): void {
    this.#process++
  }

  /** Runs a piece of a process. What a dead one throws is nobody's business. */
  guard(isDead: IsDead, callback: () => void): void {
    this.#exceptions.guard(isDead, callback)
  }

  /** Runs a piece of the present process. */
  run(callback: () => void): void {
    this.guard(this.present(), callback)
  }

  /** The handler of a connection, as the network calls it. */
  guarded(isDead: IsDead, handler: SocketHandler): SocketHandler {
    return {
      onData: (chunk) => this.guard(isDead, () => handler.onData(chunk)),
      get nextRead() {
        return isDead() ? null : (handler.nextRead ?? null)
      },
      onDrain: () => this.guard(isDead, () => handler.onDrain()),
      onClose: (error) => this.guard(isDead, () => handler.onClose(error)),
    }
  }

  // --- crashes ------------------------------------------------------------------------------------------------------

  /** The process dies after so many more calls of the disk or the network, or some time later; with 0 now. */
  crashAfter(touches: number): void {
    this.arm(touches)
    if (touches === 0) {
      this.#kill(false)
      return
    }
    const isDead = this.present()
    this.#loop.after(CRASH_MS, () => {
      if (!isDead() && this.#touchesLeft !== Number.POSITIVE_INFINITY) this.#kill(false)
    })
  }

  /** The process dies after so many more calls, if there are as many. */
  arm(touches: number): void {
    this.#touchesLeft = touches
  }

  /** The process does not die. */
  disarm(): void {
    this.#touchesLeft = Number.POSITIVE_INFINITY
  }

  /** Notes a call of the disk or the network. */
  touch(): void {
    if (this.#touchesLeft === Number.POSITIVE_INFINITY) return
    if (--this.#touchesLeft <= 0) this.#kill(false)
  }

  /** Looks at the disk without touching it. */
  look(look: () => void): void {
    const left = this.#touchesLeft
    this.disarm()
    try {
      look()
    } finally {
      this.#touchesLeft = left
    }
  }

  // --- ends in good order -------------------------------------------------------------------------------------------

  /** Finishes a broker that is shutting down, as the embedder does, and ends its process; `finished`: all is on the disk. */
  finish(core: Core, finished: () => void = () => {}): void {
    const isDead = this.present()
    const loop = this.#loop
    loop.after(GRACE_MS, () =>
      this.guard(isDead, () => {
        for (const connection of [...core.connections]) connection.transport.destroy()
      }),
    )
    loop.after(GRACE_MS + 1, () =>
      this.guard(isDead, () =>
        core.finish(() => {
          finished()
          this.guard(isDead, () => core.stop())
          loop.after(0, () => {
            if (!isDead()) this.#kill(true)
          })
        }),
      ),
    )
  }
}

/** Hands bytes over that are the broker's until it returns, and no longer. */
export function handOver(handler: SocketHandler, bytes: Uint8Array): void {
  let rest = bytes
  // Like a transport that reads into the broker's memory where it is given some
  for (let target = targets.get(handler); target != null && rest.length > 0; target = targets.get(handler)) {
    const count = Math.min(target.length, rest.length)
    target.set(rest.subarray(0, count))
    rest = rest.subarray(count)
    handler.onData(target.subarray(0, count))
    targets.set(handler, handler.nextRead)
  }
  if (rest.length === 0) return
  // A Buffer, as from a socket: its `slice` is a view, and whoever means a copy finds out.
  const chunk = Buffer.from(rest)
  handler.onData(chunk)
  chunk.fill(0xaa)
  targets.set(handler, handler.nextRead)
}

/** Memory that each handler has given for its next bytes. */
const targets: WeakMap<SocketHandler, Uint8Array | null | undefined> = new WeakMap()
