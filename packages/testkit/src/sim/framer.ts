/** Cuts chunks where MQTT packets end (2.1.4), so that a chunk holds at most one end of a packet. */
export class Framer {
  /** Bytes of the packet that are still to come; 0: its header is being read. */
  #left = 0
  #headerBytes = 0
  #length = 0
  #isLost = false

  split(chunk: Uint8Array): Uint8Array[] {
    const pieces: Uint8Array[] = []
    let start = 0
    for (let at = 0; at < chunk.length && !this.#isLost; ) {
      if (this.#left > 0) {
        const size = Math.min(this.#left, chunk.length - at)
        at += size
        this.#left -= size
      } else {
        this.#readHeader(chunk[at++]!)
        if (this.#headerBytes > 0 || this.#left > 0) continue
      }
      if (this.#left > 0) break
      pieces.push(chunk.subarray(start, at))
      start = at
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start))
    return pieces
  }

  #readHeader(byte: number): void {
    if (this.#headerBytes === 0) {
      this.#headerBytes = 1
      this.#length = 0
      return
    }
    this.#length += (byte & 0x7f) * 128 ** (this.#headerBytes - 1)
    this.#headerBytes++
    if (byte >= 0x80) {
      // Malformed: whatever follows does not matter any more.
      this.#isLost = this.#headerBytes > 4
      return
    }
    this.#headerBytes = 0
    this.#left = this.#length
  }
}
