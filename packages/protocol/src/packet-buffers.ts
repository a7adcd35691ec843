/**
 * Memory in which a decoder puts together a large packet that arrives in pieces.
 *
 * A decoder of the broker has its buffers from a pool, where they go back when nobody uses them any more; one without a
 * pool makes arrays of its own, which the garbage collector frees. Invariant: who calls `hold` calls `release` once, or
 * never, and then the buffer is not used again.
 */
export interface PacketBuffer {
  readonly bytes: Uint8Array
  /** Notes one more user. */
  hold(): void
  /** Notes that a user has let go; the buffer may be used for other bytes when it was the last. */
  release(): void
  /** Takes the buffer out of its pool: its contents stay as they are for as long as something refers to them. */
  keep(): void
}

export interface PacketBuffers {
  /** Bytes up to which a buffer may be larger than the packet needs, so that the packets behind it are read into it too. */
  readonly readAheadBytes: number
  /** Returns a buffer of at least so many bytes with one user, its contents undefined. */
  take(bytes: number): PacketBuffer
}

class Unpooled implements PacketBuffer {
  readonly bytes: Uint8Array
  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes)
  }
  hold(): void {}
  release(): void {}
  keep(): void {}
}

/** Buffers that the garbage collector frees. */
export const unpooledBuffers: PacketBuffers = {
  readAheadBytes: 0,
  take: (bytes) => new Unpooled(bytes),
}
