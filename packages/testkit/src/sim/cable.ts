/**
 * A simulated Network Connection: two byte streams, each cut and joined into chunks at will, late, slow, or lost.
 *
 * The broker's end is a `Transport` and as strict as the contract allows: chunks are overwritten after `onData`, bytes that it
 * holds are compared when they leave with what they were when written, a write after `end` or on top of a held one is a
 * failure. The client's end has the same methods as the client library's `Transport`.
 */
import type { Chance } from './chance.ts'
import type { Loop } from './loop.ts'

/** Treatment of the bytes that go through a connection. */
export interface CableProfile {
  readonly latencyMs: number
  readonly jitterMs: number
  /** Share of writes that are cut into several chunks. */
  readonly splits: number
  /** Share of waiting chunks that arrive as one. */
  readonly joins: number
  /** Bytes that it takes before a write is held. */
  readonly capacityBytes: number
}

export interface ClientEnd {
  onData(bytes: Uint8Array): void
  onClose(error: Error | null): void
  onDrain(): void
}

export interface BrokerEnd {
  /** Null: refused. */
  onOpen(socket: BrokerSocket): SocketHandler | null
  /** The broker hands over bytes: just before they are sent or held. */
  onWrite(socket: BrokerSocket, pieces: readonly Uint8Array[]): void
  onChunk(socket: BrokerSocket, chunk: Uint8Array): void
  /** The broker does not read for now. */
  onPaused(socket: BrokerSocket): void
  /** The broker reads again. */
  onResumed(socket: BrokerSocket): void
  /** The client reads again, what was held has left, and the broker has been told. */
  onDrained(socket: BrokerSocket): void
  onEnd(socket: BrokerSocket): void
  onClosed(socket: BrokerSocket): void
  isDead(): boolean
  failed(text: string): void
}

export interface SocketHandler {
  onData(chunk: Uint8Array): void
  /** Memory that the next chunk may be read into, as in `TransportHandler`. */
  readonly nextRead?: Uint8Array | null
  onDrain(): void
  onClose(error: Error | null): void
}

/** One direction. */
class Stream {
  readonly #loop: Loop
  readonly #chance: Chance
  readonly #profile: CableProfile
  readonly #deliver: (bytes: Uint8Array) => void
  #chunks: { atMs: number; bytes: Uint8Array }[] = []
  #lastMs = 0
  #end: (() => void) | null = null
  #isHeld = false
  #isCut = false
  queuedBytes = 0

  readonly #cover: (name: string) => void

  constructor(
    loop: Loop,
    chance: Chance,
    profile: CableProfile,
    cover: (name: string) => void,
    deliver: (bytes: Uint8Array) => void,
  ) {
    this.#cover = cover
    this.#loop = loop
    this.#chance = chance
    this.#profile = profile
    this.#deliver = deliver
  }

  send(bytes: Uint8Array): void {
    if (this.#isCut || bytes.length === 0) return
    this.queuedBytes += bytes.length
    let at = 0
    while (at < bytes.length) {
      const left = bytes.length - at
      const isSplit = left > 1 && this.#chance.of(this.#profile.splits)
      if (isSplit) this.#cover('fault.split')
      const size = isSplit ? this.#chance.between(1, Math.min(left, 64)) : left
      this.#schedule(bytes.slice(at, at + size))
      at += size
    }
  }

  #schedule(bytes: Uint8Array): void {
    this.#chunks.push({ atMs: this.#arrival(), bytes })
    this.#loop.at(this.#lastMs, () => this.#arrive())
  }

  #arrival(): number {
    const { latencyMs, jitterMs } = this.#profile
    const atMs = this.#loop.nowMs + latencyMs + (jitterMs > 0 ? this.#chance.between(0, jitterMs) : 0)
    this.#lastMs = Math.max(this.#lastMs, atMs)
    return this.#lastMs
  }

  /** Everything sent arrives, then the end does. */
  end(onEnd: () => void): void {
    if (this.#isCut || this.#end !== null) return
    this.#end = onEnd
    this.#arrival()
    this.#loop.at(this.#lastMs, () => this.#arrive())
  }

  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#loop.after(0, () => this.#arrive())
  }

  #arrive(): void {
    while (!this.#isHeld && !this.#isCut) {
      const first = this.#chunks[0]
      if (first === undefined) break
      if (first.atMs > this.#loop.nowMs) return
      let { bytes } = this.#chunks.shift()!
      while (
        this.#chunks[0] !== undefined &&
        this.#chunks[0].atMs <= this.#loop.nowMs + 2 &&
        this.#chance.of(this.#profile.joins)
      ) {
        this.#cover('fault.join')
        bytes = joined(bytes, this.#chunks.shift()!.bytes)
      }
      this.queuedBytes -= bytes.length
      this.#deliver(bytes)
    }
    if (this.#isHeld || this.#isCut || this.#end === null || this.#lastMs > this.#loop.nowMs) return
    const end = this.#end
    this.#end = null
    this.#isCut = true
    end()
  }

  /** Cuts the connection: bytes on their way arrive up to some byte, or not at all; nothing later. */
  cut(isSilent: boolean): void {
    if (this.#isCut) return
    const rest = this.#chunks.reduce<Uint8Array>((all, { bytes }) => joined(all, bytes), new Uint8Array(0))
    this.#chunks = []
    this.queuedBytes = 0
    this.#end = null
    this.#isCut = true
    if (!isSilent && !this.#isHeld && rest.length > 0 && this.#chance.of(0.7)) {
      const size = this.#chance.between(0, rest.length)
      if (size > 0 && size < rest.length) this.#cover('fault.cut-in-packet')
      if (size > 0) this.#deliver(rest.slice(0, size))
    }
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}

/** The broker's end. */
export class BrokerSocket {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer = null
  readonly #cable: Cable
  readonly #end: BrokerEnd
  handler: SocketHandler | null = null
  #held: { pieces: Uint8Array[]; copies: Uint8Array[] } | null = null
  #input: Uint8Array[] = []
  isPaused = false
  isEnded = false
  isClosed = false

  constructor(cable: Cable, end: BrokerEnd, remoteAddress: string, listener: number) {
    this.#cable = cable
    this.#end = end
    this.remoteAddress = remoteAddress
    this.listener = `listener ${listener}`
  }

  get isBlocked(): boolean {
    return this.#held !== null
  }

  get bufferedBytes(): number {
    let bytes = 0
    for (const piece of this.#held?.pieces ?? []) bytes += piece.length
    return bytes
  }

  write(bytes: Uint8Array): boolean {
    return this.writeAll([bytes])
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.#end.isDead()) return true
    if (this.isEnded) this.#end.failed('the broker writes after end()')
    if (this.#held !== null) this.#end.failed('the broker writes while the transport holds a write')
    this.#end.onWrite(this, pieces)
    if (this.#end.isDead() || this.isClosed) return true
    if (this.#cable.isFull) {
      this.#held = { pieces: [...pieces], copies: pieces.map((piece) => new Uint8Array(piece)) }
      return false
    }
    for (const piece of pieces) this.#cable.toClient(new Uint8Array(piece))
    return true
  }

  end(): void {
    if (this.#end.isDead()) return
    if (this.isEnded) this.#end.failed('the broker calls end() twice')
    this.isEnded = true
    this.#end.onEnd(this)
    if (this.#held === null) this.#cable.endToClient()
  }

  destroy(): void {
    if (this.#end.isDead()) return
    this.isEnded = true
    this.#held = null
    this.#cable.loop.after(0, () => this.#cable.lost(null))
  }

  pause(): void {
    this.isPaused = true
    this.#end.onPaused(this)
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.#end.onResumed(this)
    if (this.#input.length > 0) this.#cable.loop.defer(() => this.deliver())
  }

  // --- for the cable ------------------------------------------------------------------------------------------------

  receive(chunk: Uint8Array): void {
    this.#input.push(chunk)
    this.deliver()
  }

  deliver(): void {
    while (this.#input.length > 0 && !this.isPaused && !this.isClosed && !this.isEnded && !this.#end.isDead())
      this.#end.onChunk(this, this.#input.shift()!)
  }

  /** Puts back bytes that could not be handed on because the broker paused. */
  putBack(chunk: Uint8Array): void {
    this.#input.unshift(chunk)
  }

  /** The client reads again: what is held leaves. */
  drained(): void {
    const held = this.#held
    if (held === null || this.isClosed || this.#end.isDead()) return
    this.#held = null
    for (const [i, piece] of held.pieces.entries()) {
      const copy = held.copies[i]!
      if (Buffer.compare(piece, copy) !== 0) this.#end.failed('bytes that the transport holds were overwritten')
      this.#cable.toClient(copy)
    }
    if (this.isEnded) this.#cable.endToClient()
    this.handler?.onDrain()
    this.#end.onDrained(this)
  }

  closed(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#input = []
    this.#held = null
    if (this.#end.isDead()) return
    this.#end.onClosed(this)
    this.handler?.onClose(error)
  }
}

const RESET = new Error('the connection was reset')

export class Cable {
  readonly name: string
  readonly loop: Loop
  readonly #chance: Chance
  readonly #profile: CableProfile
  readonly #client: ClientEnd
  readonly #up: Stream
  readonly #down: Stream
  readonly socket: BrokerSocket
  /** Listener of the broker that it leads to. */
  readonly listener: number
  readonly #broker: BrokerEnd
  isOpen = true
  isSilent = false
  #isClientClosed = false
  onBytes: () => void = () => {}

  constructor(
    name: string,
    loop: Loop,
    chance: Chance,
    profile: CableProfile,
    client: ClientEnd,
    broker: BrokerEnd,
    cover: (name: string) => void,
    listener = 0,
  ) {
    this.name = name
    this.listener = listener
    this.loop = loop
    this.#chance = chance
    this.#profile = profile
    this.#client = client
    this.#broker = broker
    this.#up = new Stream(loop, chance, profile, cover, (bytes) => this.socket.receive(bytes))
    this.#down = new Stream(loop, chance, profile, cover, (bytes) => {
      if (!this.#isClientClosed) this.#client.onData(bytes)
      this.#drain()
    })
    this.socket = new BrokerSocket(this, broker, name, listener)
  }

  /** The broker accepts. False: it does not. */
  open(): boolean {
    const handler = this.#broker.onOpen(this.socket)
    if (handler === null) {
      this.isOpen = false
      return false
    }
    this.socket.handler = handler
    return true
  }

  /**
   * Whether neither side has an end of it any more: of a silent one the broker may have given up its end, and the
   * client not.
   */
  get isGone(): boolean {
    return !this.isOpen && this.#isClientClosed
  }

  get isFull(): boolean {
    return this.#down.queuedBytes >= this.#profile.capacityBytes
  }

  #drain(): void {
    if (this.socket.isBlocked && this.#down.queuedBytes <= this.#profile.capacityBytes / 2)
      this.loop.after(0, () => this.socket.drained())
  }

  toClient(bytes: Uint8Array): void {
    this.onBytes()
    if (!this.isSilent) this.#down.send(bytes)
  }

  /** The broker closes in good order: what it said arrives, then the client hears of the end, and answers it. */
  endToClient(): void {
    if (this.isSilent) return
    this.#down.end(() => {
      this.#closeClient(null)
      this.loop.after(this.#profile.latencyMs, () => this.lost(null))
    })
  }

  // --- the client's side --------------------------------------------------------------------------------------------

  /** False: wait for `onDrain`. */
  write(bytes: Uint8Array): boolean {
    this.onBytes()
    if (this.#isClientClosed || this.isSilent) return true
    this.#up.send(bytes)
    return true
  }

  pauseReading(): void {
    this.#down.hold()
  }

  resumeReading(): void {
    this.#down.release()
  }

  /** Closes in good order. */
  endFromClient(): void {
    if (this.#isClientClosed) return
    this.loop.after(0, () => this.#closeClient(null))
    if (!this.isSilent) this.#up.end(() => this.lost(null))
  }

  /** Lost: each side learns of it when it does. */
  cut(): void {
    if (!this.isOpen) {
      // The broker gave up a silent connection and nobody could tell the client; a socket that is destroyed still closes.
      if (this.isSilent) this.loop.after(0, () => this.#closeClient(RESET))
      return
    }
    const brokerMs = this.#chance.pick([0, 0, 1, 20, 400])
    const clientMs = this.#chance.pick([0, 0, 1, 20, 400])
    this.#down.cut(this.isSilent)
    this.#up.cut(this.isSilent)
    this.loop.after(brokerMs, () => this.lost(RESET))
    this.loop.after(clientMs, () => this.#closeClient(RESET))
  }

  /** Nothing arrives any more, and nobody is told. */
  fallSilent(): void {
    this.isSilent = true
    this.#up.cut(true)
    this.#down.cut(true)
  }

  /** The broker's process is gone. */
  brokerGone(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#up.cut(true)
    this.#down.cut(this.isSilent)
    this.socket.closed(null)
    this.loop.after(this.#chance.pick([0, 1, 5, 50]), () => this.#closeClient(RESET))
  }

  /** The broker's side is closed. */
  lost(error: Error | null): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#up.cut(true)
    this.socket.closed(error)
    // A client that nobody has told finds out when it writes, or by its own Keep Alive.
    if (!this.isSilent) this.loop.after(this.#profile.latencyMs, () => this.#closeClient(error))
  }

  #closeClient(error: Error | null): void {
    if (this.#isClientClosed) return
    this.#isClientClosed = true
    this.#client.onClose(error)
  }
}
