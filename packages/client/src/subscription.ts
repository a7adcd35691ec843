/// <reference lib="esnext.disposable" preserve="true" />
/**
 * One `subscribe` call: its Topic Filters, and either a handler or a buffer that is read as an async iterator. Made and
 * fed by `Subscriber`.
 *
 * A handler gets messages one at a time: if it returns a promise, the next one waits for it. An iterator has one
 * reader; messages wait for it in the buffer, `bufferMax` at most (a few more with overflow 'backpressure', as packets
 * on their way cannot be stopped).
 *
 * Invariant: each message given to `deliver` is released exactly once: handed out, dropped, or discarded at the end.
 */
import { OptionError, type Properties, type ReasonCode } from '@recado/protocol'
import { type Deferred, deferred, quiet } from './abort.ts'
import { type Decode, PayloadDecoder } from './decode.ts'
import { BufferOverflowError, ClientClosedError, type PayloadError } from './errors.ts'
import { deliveryOf, type Message, type NoParams, viewOf } from './message.ts'
import type { SubscribeOptions, UnsubscribeOptions } from './options.ts'
import { Ring } from './ring.ts'
import type { TopicPattern } from './topic-pattern.ts'

/** Result of a SUBSCRIBE. `reasonCodes` has the granted QoS of each Topic Filter, in order. */
export interface SubscribeResult {
  readonly reasonCodes: readonly ReasonCode[]
  readonly reasonString: string | undefined
  readonly properties: Properties
}

/** Result of an UNSUBSCRIBE. `reasonCodes` has 0 or 0x11 No subscription existed for each Topic Filter, in order. */
export interface UnsubscribeResult {
  readonly reasonCodes: readonly ReasonCode[]
  readonly reasonString: string | undefined
  readonly properties: Properties
}

/**
 * Function that gets messages one at a time: when it returns a promise, the next message comes after that has settled.
 */
export type MessageHandler<Params = NoParams, Value = Uint8Array> = (
  message: Message<Params, Value>,
) => void | Promise<void>

/** Calls of a subscription to its client. */
export interface SubscriptionOwner {
  unsubscribeAll(subscription: Subscription, options: UnsubscribeOptions | undefined): Promise<UnsubscribeResult>
  /** Called when `subscription.full` has changed. */
  handleFullness(subscription: Subscription): void
  /** Called when a handler threw, or its promise rejected, with this message. */
  handleHandlerError(error: unknown, message: Message): void
  /** Called with a payload that `decode` could not read. */
  handleInvalid(error: PayloadError, message: Message): void
}

const BUFFER_MAX = 1_000
/**
 * Factor of `bufferMax` above which QoS 0 messages are dropped and counted. With 'backpressure' reading goes on while
 * the application waits for an answer of the server: otherwise a loop that publishes for each message would wait for
 * ever for a PUBACK behind unread messages. Receive Maximum holds the other messages back.
 */
const HARD_LIMIT_FACTOR = 8

/**
 * Result of `client.subscribe`: an async iterator, unless there is a handler. `Params` and `Value` are those of its
 * messages.
 */
export class Subscription<Params = NoParams, Value = Uint8Array>
  implements AsyncIterableIterator<Message<Params, Value>>, AsyncDisposable
{
  /** Topic Filters as the server has them: `+` and `#` in place of parameters. */
  readonly topicFilters: readonly string[]
  /** Options as given. */
  readonly options: SubscribeOptions<Decode>
  /** Subscription Identifier; each subscription has its own. */
  readonly identifier: number
  /**
   * Resolves when the server has granted all Topic Filters; rejects with `SubscribeError` when it refused one, or with
   * the error that ended the client before. Need not be awaited.
   */
  readonly ready: Promise<SubscribeResult>
  /** Number of messages dropped because the buffer was full. */
  dropped = 0
  /** @internal The last message given to `deliver`. */
  lastMessage: Message | null = null
  /** @internal Called once, when the subscription ends. */
  onEnd: (() => void) | null = null
  readonly #owner: SubscriptionOwner
  readonly #handler: MessageHandler | null
  readonly #bufferMax: number
  /** Patterns of the Topic Filters; `null` when messages need neither parameters nor decoding. */
  readonly #patterns: readonly TopicPattern[] | null
  readonly #decoder: PayloadDecoder | null
  readonly #manual: boolean
  readonly #ready: Deferred<SubscribeResult> = deferred<SubscribeResult>()
  readonly #buffer = new Ring<Message>()
  readonly #waiting = new Ring<Deferred<IteratorResult<Message, undefined>>>()
  /** Whether the promise of the handler is still pending. */
  #busy = false
  /** Settles when the last `next()` has decoded its message. */
  #decoding: Promise<unknown> = Promise.resolve()
  #full = false
  #ended = false
  #error: unknown = null

  constructor(
    owner: SubscriptionOwner,
    patterns: readonly TopicPattern[],
    options: SubscribeOptions<Decode>,
    identifier: number,
    handler: MessageHandler | null,
  ) {
    const { decode = 'bytes', onInvalid = 'skip' } = options
    this.#owner = owner
    this.topicFilters = patterns.map(({ topicFilter }) => topicFilter)
    this.options = options
    this.identifier = identifier
    this.#decoder = decode === 'bytes' ? null : new PayloadDecoder(decode, onInvalid, owner)
    this.#patterns = this.#decoder !== null || patterns.some((pattern) => pattern.hasParameters) ? patterns : null
    this.#handler = handler === null || this.#decoder === null ? handler : decoding(this.#decoder, handler)
    this.#bufferMax = Math.max(1, options.bufferMax ?? BUFFER_MAX)
    this.#manual = options.ack === 'manual'
    // A reader that iterates gets a refusal there, and need not look here.
    this.ready = quiet(this.#ready.promise)
  }

  /** Number of messages that wait for the reader. */
  get buffered(): number {
    return this.#buffer.size
  }

  /** Number of messages that `decode` could not read, whatever `onInvalid` says. */
  get invalid(): number {
    return this.#decoder?.invalid ?? 0
  }

  /** @internal Whether the buffer is full, so that the server should be slowed down. */
  get full(): boolean {
    return this.#full
  }

  /** Whether the subscription has ended: only buffered messages still come. */
  get ended(): boolean {
    return this.#ended
  }

  // ---- for the reader

  /** Unsubscribes at the server; buffered messages can still be read, then the iteration ends. */
  unsubscribe(options?: UnsubscribeOptions): Promise<UnsubscribeResult> {
    return this.#owner.unsubscribeAll(this.#self, options)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Resolves with the next message, when there is one. Throws, once, the error that ended the subscription. */
  next(): Promise<IteratorResult<Message<Params, Value>, undefined>> {
    if (this.#handler !== null) {
      return Promise.reject(
        new OptionError('this subscription has a handler, so it cannot be iterated: subscribe without a handler'),
      )
    }
    if (this.#decoder === null) return this.#next() as Promise<IteratorResult<Message<Params, Value>, undefined>>
    // One after the other, so that messages stay in order also when decoding takes time.
    const decoder = this.#decoder
    const result = this.#decoding.then(() => this.#nextDecoded(decoder))
    this.#decoding = result.catch(() => {})
    return result as Promise<IteratorResult<Message<Params, Value>, undefined>>
  }

  async #nextDecoded(decoder: PayloadDecoder): Promise<IteratorResult<Message, undefined>> {
    for (;;) {
      const result = await this.#next()
      if (result.done) return result
      try {
        if (await decoder.decode(result.value)) return result
      } catch (error) {
        this.end(null)
        this.#owner.unsubscribeAll(this.#self, undefined).catch(() => {})
        this.#discard()
        throw error
      }
    }
  }

  #next(): Promise<IteratorResult<Message, undefined>> {
    const message = this.#buffer.shift()
    if (message !== undefined) {
      this.#noteFullness()
      this.#handOut(message)
      return Promise.resolve({ value: message, done: false })
    }
    if (this.#ended) {
      if (this.#error === null) return Promise.resolve({ value: undefined, done: true })
      const error = this.#error
      // An iterator throws once, then it is done.
      this.#error = null
      return Promise.reject(error)
    }
    const waiter = deferred<IteratorResult<Message, undefined>>()
    this.#waiting.push(waiter)
    return waiter.promise
  }

  /** Ends the iteration, as `break` in a `for await` does: unsubscribes and discards buffered messages. */
  async return(): Promise<IteratorResult<Message<Params, Value>, undefined>> {
    if (!this.#ended) {
      const unsubscribed = this.unsubscribe()
      this.#discard()
      // A program that leaves a loop should not get the error of a lost connection.
      await unsubscribed.catch(() => {})
    }
    this.#discard()
    return { value: undefined, done: true }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  // ---- for Subscriber

  /** @internal */
  deliver(delivered: Message): void {
    if (this.#ended) return
    this.lastMessage = delivered
    const message = this.#patterns === null ? delivered : viewOf(delivered, this.#patterns)
    if (this.#manual) deliveryOf(message)?.holdForManual()
    if (this.#handler !== null) {
      if (!this.#busy && this.#buffer.size === 0) this.#handle(message, this.#handler)
      else this.#store(message)
      return
    }
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#store(message)
    else waiter.resolve({ value: message, done: false })
  }

  /** @internal */
  granted(result: SubscribeResult): void {
    this.#ready.resolve(result)
  }

  /**
   * @internal Ends the subscription. Without `error` the buffer can still be read; with it, the buffer is discarded and
   * the reader gets the error.
   */
  end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.onEnd?.()
    this.#ready.reject(error ?? new ClientClosedError('the subscription was ended before the server answered'))
    if (error !== null) {
      this.#error = error
      this.#discard()
    }
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      if (this.#error === null) waiter.resolve({ value: undefined, done: true })
      else {
        quiet(waiter.promise)
        waiter.reject(this.#error)
        this.#error = null
      }
    }
    this.#noteFullness()
  }

  // ---- inside

  /** This subscription for its owner, which ignores the types of parameters and values. */
  get #self(): Subscription {
    return this as unknown as Subscription
  }

  #store(message: Message): void {
    const { overflow } = this.options
    if (this.#buffer.size >= this.#bufferMax) {
      if (message.qos === 0 && this.#buffer.size >= this.#bufferMax * HARD_LIMIT_FACTOR) {
        this.dropped++
        return
      }
      if (overflow === 'error') {
        this.dropped++
        this.#drop(message, false)
        const error = new BufferOverflowError(
          `${this.#bufferMax} messages wait for the reader of ${this.topicFilters.join(', ')}: read faster, or raise bufferMax`,
        )
        this.end(error)
        this.#owner.unsubscribeAll(this.#self, undefined).catch(() => {})
        return
      }
      if (overflow === 'drop-oldest') {
        this.dropped++
        const oldest = this.#buffer.shift()
        if (oldest !== undefined) this.#drop(oldest, true)
      }
    }
    if (!this.#manual) deliveryOf(message)?.hold()
    this.#buffer.push(message)
    this.#noteFullness()
  }

  /** Moves a message from the buffer to the reader: an automatic acknowledgement is due. */
  #handOut(message: Message): void {
    if (!this.#manual) deliveryOf(message)?.release()
  }

  #drop(message: Message, held: boolean): void {
    if (this.#manual) message.ack()
    else if (held) deliveryOf(message)?.release()
  }

  #discard(): void {
    for (let message = this.#buffer.shift(); message !== undefined; message = this.#buffer.shift())
      this.#drop(message, true)
    this.#noteFullness()
  }

  #noteFullness(): void {
    // Resume only when half is read: a pause and a resume for every message would cost more than they save.
    const size = this.#buffer.size
    const overflow = this.options.overflow ?? 'backpressure'
    const full =
      overflow === 'backpressure' && !this.#ended && (this.#full ? size > this.#bufferMax / 2 : size >= this.#bufferMax)
    if (full === this.#full) return
    this.#full = full
    this.#owner.handleFullness(this.#self)
  }

  #handle(message: Message, handler: MessageHandler): void {
    let result: void | Promise<void>
    try {
      result = handler(message)
    } catch (error) {
      this.#owner.handleHandlerError(error, message)
      return
    }
    if (result === undefined || typeof result.then !== 'function') return
    this.#busy = true
    if (!this.#manual) deliveryOf(message)?.hold()
    result
      .then(undefined, (error: unknown) => this.#owner.handleHandlerError(error, message))
      .then(() => this.#handled(message, handler))
  }

  #handled(message: Message, handler: MessageHandler): void {
    this.#handOut(message)
    this.#busy = false
    while (!this.#busy) {
      const next = this.#buffer.shift()
      if (next === undefined) return
      this.#noteFullness()
      this.#handle(next, handler)
      this.#handOut(next)
    }
  }
}

/** Wraps a handler so that it gets decoded messages, and none that cannot be decoded. */
function decoding(decoder: PayloadDecoder, handler: MessageHandler): MessageHandler {
  return (message) => {
    const decoded = decoder.decode(message)
    if (typeof decoded === 'boolean') return decoded ? handler(message) : undefined
    return decoded.then((isValid) => (isValid ? handler(message) : undefined))
  }
}
