/**
 * Messages that wait to go to the remote broker as one: a line of JSON for each, in their order.
 *
 * `BridgeLink` fills it and sends it. Pure: time comes in as an argument. Semantics: a message is acknowledged to the
 * session at this broker when the remote broker has acknowledged the batch with it, so a batch that was not acknowledged
 * when the connection or the process ended is made anew from what that session sends again (at least once). Invariants:
 * no batch has more messages or bytes than its limits, but for a single message that is larger; none waits longer than
 * `seconds` after its first message.
 */

export interface BatchLimits {
  readonly count: number
  readonly seconds: number
  /** Bytes before compression. */
  readonly bytes: number
  readonly gzip: boolean
}

export interface BatchedMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
}

/** Batch that is ready to go. */
export interface ReadyBatch<Member> {
  readonly members: readonly Member[]
  readonly payload: Uint8Array
}

const NEWLINE = 1

export class Batch<Member> {
  readonly #limits: BatchLimits
  #members: Member[] = []
  #lines: string[] = []
  #bytes = 0
  #firstMs = 0

  constructor(limits: BatchLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#members.length
  }

  /** Time in milliseconds at which it must go; null while it is empty. */
  get dueAtMs(): number | null {
    return this.#members.length === 0 ? null : this.#firstMs + this.#limits.seconds * 1000
  }

  /** Adds a message. Returns the batches that must go now, in their order: none, one, or two. */
  add(member: Member, message: BatchedMessage, nowMs: number): ReadyBatch<Member>[] {
    const ready: ReadyBatch<Member>[] = []
    const line = lineOf(message)
    const bytes = Buffer.byteLength(line) + NEWLINE
    if (this.#members.length > 0 && this.#bytes + bytes > this.#limits.bytes) ready.push(this.#take())
    if (this.#members.length === 0) this.#firstMs = nowMs
    this.#members.push(member)
    this.#lines.push(line)
    this.#bytes += bytes
    if (this.#members.length >= this.#limits.count || this.#bytes >= this.#limits.bytes) ready.push(this.#take())
    return ready
  }

  /** Returns the batch when its time has come; null when it has not, or there is none. */
  takeDue(nowMs: number): ReadyBatch<Member> | null {
    const dueAtMs = this.dueAtMs
    return dueAtMs === null || nowMs < dueAtMs ? null : this.#take()
  }

  /** Forgets what has not gone: the connection has ended, and the session at this broker still has all of it. */
  clear(): void {
    this.#members = []
    this.#lines = []
    this.#bytes = 0
  }

  #take(): ReadyBatch<Member> {
    const text = Buffer.from(`${this.#lines.join('\n')}\n`)
    const ready = {
      members: this.#members,
      payload: this.#limits.gzip ? process.getBuiltinModule('node:zlib').gzipSync(text) : text,
    }
    this.clear()
    return ready
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns the line of a message: its payload as text, or as base64 when it is none. */
function lineOf({ topic, payload, qos, retain }: BatchedMessage): string {
  const head = { topic, qos, ...(retain ? { retain } : {}) }
  try {
    return JSON.stringify({ ...head, payload: utf8.decode(payload) })
  } catch {
    const { buffer, byteOffset, byteLength } = payload
    return JSON.stringify({ ...head, payload_base64: Buffer.from(buffer, byteOffset, byteLength).toString('base64') })
  }
}
