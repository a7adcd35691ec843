/**
 * A bridge's end of a simulated connection. It may take no bytes for a while, as a socket does whose peer does not read,
 * and it ends with its process.
 */
import type { Transport, TransportHandler } from '@recado/client/low-level'
import type { Cable, ClientEnd } from '../cable.ts'
import type { Loop } from '../loop.ts'

export class BridgeTransport implements Transport, ClientEnd {
  cable: Cable | null = null
  readonly #loop: Loop
  readonly #isDead: () => boolean
  readonly #touch: () => void
  #handler: TransportHandler | null = null
  #early: ((handler: TransportHandler) => void)[] = []
  #isDestroyed = false
  /** Bytes that wait while the peer does not read; null while it does. */
  #held: Uint8Array[] | null = null
  #isEndHeld = false

  /** @param touch called before each write: the process may crash there */
  constructor(loop: Loop, isDead: () => boolean, touch: () => void) {
    this.#loop = loop
    this.#isDead = isDead
    this.#touch = touch
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
    const early = this.#early
    this.#early = []
    for (const call of early) call(handler)
  }

  #tell(call: (handler: TransportHandler) => void): void {
    if (this.#isDead()) return
    if (this.#handler === null) this.#early.push(call)
    else call(this.#handler)
  }

  onData(bytes: Uint8Array): void {
    if (!this.#isDestroyed) this.#tell((handler) => handler.onData(bytes))
  }

  onClose(error: Error | null): void {
    this.#held = null
    this.#tell((handler) => handler.onClose(error))
  }

  onDrain(): void {}

  write(bytes: Uint8Array): boolean {
    if (this.#isDead()) return true
    this.#touch()
    if (this.#isDead() || this.#isDestroyed) return true
    if (this.#held === null) return this.cable!.write(new Uint8Array(bytes))
    this.#held.push(new Uint8Array(bytes))
    return false
  }

  /** Takes no bytes for a while. */
  stall(ms: number): void {
    if (this.#held !== null) return
    this.#held = []
    this.#loop.after(ms, () => this.release())
  }

  release(): void {
    const held = this.#held
    if (held === null || this.#isDead()) return
    this.#held = null
    for (const bytes of held) this.cable!.write(bytes)
    if (this.#isEndHeld) this.cable!.endFromClient()
    else if (held.length > 0 && !this.#isDestroyed) this.#tell((handler) => handler.onDrain())
  }

  pause(): void {
    if (!this.#isDead()) this.cable!.pauseReading()
  }

  resume(): void {
    if (!this.#isDead()) this.cable!.resumeReading()
  }

  end(): void {
    if (this.#isDead()) return
    if (this.#held === null) this.cable!.endFromClient()
    else this.#isEndHeld = true
  }

  destroy(): void {
    if (this.#isDead() || this.#isDestroyed) return
    this.#isDestroyed = true
    this.cable!.cut()
  }

  /** The process has died: the system closes the connection. */
  die(): void {
    this.#held = null
    this.cable!.cut()
  }
}
