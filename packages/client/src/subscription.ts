/// <reference lib="esnext.disposable" preserve="true" />
/**
 * One `subscribe` call: its Topic Filters, and either a handler or a buffer that is read as an async iterator. Made and
 * fed by `Subscriber`.
 *
 * With a handler, messages are handed over one at a time: if it returns a promise, the next one waits for it. As an
 * iterator it has one reader; messages that nobody waits for lie in the buffer, `bufferMax` at most (a few more with
 * overflow 'backpressure', as what is on its way cannot be stopped).
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

/** `reasonCodes`: for each Topic Filter, in order, the granted QoS. */
export interface SubscribeResult {
  readonly reasonCodes: readonly ReasonCode[]
  readonly reasonString: string | undefined
  readonly properties: Properties
}

/** `reasonCodes`: for each Topic Filter, in order, 0 or 0x11 No subscription existed. */
export interface UnsubscribeResult {
  readonly reasonCodes: readonly ReasonCode[]
  readonly reasonString: string | undefined
  readonly properties: Properties
}

/** Gets messages one at a time: when it returns a promise, the next one comes when that has settled. */
export type MessageHandler<Params = NoParams, Value = Uint8Array> = (
  message: Message<Params, Value>,
) => void | Promise<void>

/** What a subscription asks of its client. */
export interface SubscriptionOwner {
  unsubscribeAll(subscription: Subscription, options: UnsubscribeOptions | undefined): Promise<UnsubscribeResult>
  /** `subscription.full` has changed. */
  handleFullness(subscription: Subscription): void
  /** A handler threw, or its promise rejected, with this message. */
  handleHandlerError(error: unknown, message: Message): void
  /** A payload that `decode` could not make sense of. */
  handleInvalid(error: PayloadError, message: Message): void
}

const BUFFER_MAX = 1_000
/**
 * With 'backpressure' reading goes on while the application waits for an answer of the server (else a loop that publishes
 * for each message would wait for ever for a PUBACK behind messages that nobody reads). QoS 0 messages that come then
 * are dropped, and counted, beyond this many times `bufferMax`; the others are held back by Receive Maximum.
 */
const HARD_LIMIT_FACTOR = 8

/** What `client.subscribe` returns: an async iterator, unless there is a handler. `Params` and `Value` are those of its messages. */
export class Subscription<Params = NoParams, Value = Uint8Array>
  implements AsyncIterableIterator<Message<Params, Value>>, AsyncDisposable
{
  /** As the server has them: `+` and `#` in place of parameters. */
  readonly topicFilters: readonly string[]
  /** As given. */
  readonly options: SubscribeOptions<Decode>
  /** Subscription Identifier; each subscription has its own. */
  readonly identifier: number
  /**
   * Resolves when the server has granted all Topic Filters; rejects with `SubscribeError` when it refused one, and with
   * what ended the client if that came before. Need not be awaited.
   */
  readonly ready: Promise<SubscribeResult>
  /** Messages dropped because the buffer was full. */
  dropped = 0
  /** @internal The last message given to `deliver`. */
  lastMessage: Message | null = null
  /** @internal Called once, when the subscription ends. */
  onEnd: (() => void) | null = null
  readonly #owner: SubscriptionOwner
  readonly #handler: MessageHandler | null
  readonly #bufferMax: number
  /** `null`: the messages need neither parameters nor decoding. */
  readonly #patterns: readonly TopicPattern[] | null
  readonly #decoder: PayloadDecoder | null
  readonly #manual: boolean
  readonly #ready: Deferred<SubscribeResult> = deferred<SubscribeResult>()
  readonly #buffer = new Ring<Message>()
  readonly #waiting = new Ring<Deferred<IteratorResult<Message, undefined>>>()
  /** A handler's promise has not settled. */
  #busy = false
  /** Settles when the last `next()` has what it was to decode. */
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
    // Who iterates learns of a refusal there, and need not look here.
    this.ready = quiet(this.#ready.promise)
  }

  /** Messages that wait for the reader. */
  get buffered(): number {
    return this.#buffer.size
  }

  /** Messages that `decode` could not make sense of, whatever `onInvalid`. */
  get invalid(): number {
    return this.#decoder?.invalid ?? 0
  }

  /** @internal The buffer is full, and the server should be slowed down. */
  get full(): boolean {
    return this.#full
  }

  /** No more messages will come, but for those in the buffer. */
  get ended(): boolean {
    return this.#ended
  }

  // ---- for the reader

  /** Asks the server to stop; what is buffered can still be read, then the iteration ends. */
  unsubscribe(options?: UnsubscribeOptions): Promise<UnsubscribeResult> {
    return this.#owner.unsubscribeAll(this.#self, options)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next message, when there is one. Throws once what has ended the subscription, if that was an error. */
  next(): Promise<IteratorResult<Message<Params, Value>, undefined>> {
    if (this.#handler !== null) {
      return Promise.reject(new OptionError('this subscription has a handler: it cannot be iterated as well'))
    }
    if (this.#decoder === null) return this.#next() as Promise<IteratorResult<Message<Params, Value>, undefined>>
    // One after the other, so that they come in order also when decoding takes time.
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

  /** `break` in a `for await`: unsubscribes and discards what is buffered. */
  async return(): Promise<IteratorResult<Message<Params, Value>, undefined>> {
    if (!this.#ended) {
      const unsubscribed = this.unsubscribe()
      this.#discard()
      // Leaving a loop is no place to hear that the connection is gone.
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

  /** @internal No more messages come. Without `error` the buffer can still be read; with it, it is discarded and the reader gets it. */
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

  /** The owner does not care for the types of parameters and values. */
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
          `${this.#bufferMax} messages wait for the reader of ${this.topicFilters.join(', ')}`,
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

  /** From the buffer to the reader: the acknowledgement of an automatic one is due. */
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
    // Going on only when half is read: a pause and a resume for every message would cost more than they save.
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

/** A handler that gets messages with a value, and does not get those that have none. */
function decoding(decoder: PayloadDecoder, handler: MessageHandler): MessageHandler {
  return (message) => {
    const decoded = decoder.decode(message)
    if (typeof decoded === 'boolean') return decoded ? handler(message) : undefined
    return decoded.then((isValid) => (isValid ? handler(message) : undefined))
  }
}
