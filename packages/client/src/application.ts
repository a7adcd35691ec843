/**
 * Reports to the application that no call of it waits for, and what happens to them without a listener: handlers that
 * threw, messages that match no subscription, that cannot be decoded, that will not be delivered. `Client` owns one
 * object and the listeners.
 *
 * Invariant: a fault of the network's data is counted and never thrown; an error of the application itself is, without
 * `onHandlerError`, thrown again as an uncaught exception, and never into the client.
 */

import { callback, check, either, type MqttError, oneOf } from '@recado/protocol'
import { PayloadError } from './errors.ts'
import type { Message } from './message.ts'
import type { ConnectOptions } from './options.ts'
import type { UndeliveredMessage } from './outgoing.ts'

/**
 * Shortest time in milliseconds between two reports of invalid messages: a publisher of nonsense must not fill a log.
 */
const INVALID_TOLD_MS = 1_000

/** Listeners and counters of `Client`. */
export interface Listeners {
  readonly onMessage: ((message: Message) => void) | null
  readonly onHandlerError: ((error: unknown) => void) | null
  readonly onInvalidMessage: ((error: PayloadError, message: Message, more: number) => void) | null
  readonly onUndelivered: ((message: UndeliveredMessage, error: MqttError) => void) | null
  unmatchedMessages: number
  invalidMessages: number
  undeliveredMessages: number
}

/** Names of the listeners of `Client`, which may be set at any time. */
const LISTENERS = ['onMessage', 'onHandlerError', 'onInvalidMessage', 'onUndelivered', 'onStoreError'] as const
const listener = either(callback, oneOf(null))

/**
 * Checks that each listener that is set is a function or `null`; otherwise it would fail only when it is needed.
 * Setting another value throws `OptionError`.
 */
export function checkListeners(client: { [Name in (typeof LISTENERS)[number]]: unknown }): void {
  for (const name of LISTENERS) {
    let current: unknown = null
    Object.defineProperty(client, name, {
      enumerable: true,
      get: () => current,
      set: (given: unknown = null) => {
        check(name, given, listener)
        current = given
      },
    })
  }
}

/**
 * Returns the options with a `trace` that does not throw: an error in it must not end a connection or lose a message.
 */
export function tracedBy<Options extends Pick<ConnectOptions, 'trace'>>(
  options: Options,
  tell: (call: () => void) => void,
): Options {
  const { trace } = options
  return trace ? { ...options, trace: (...seen: Parameters<typeof trace>) => tell(() => trace(...seen)) } : options
}

export class Application {
  readonly #listeners: Listeners
  readonly #now: () => number
  #toldOfInvalidMs = Number.NEGATIVE_INFINITY
  #untoldInvalid = 0

  constructor(listeners: Listeners, now: () => number) {
    this.#listeners = listeners
    this.#now = now
  }

  /**
   * Calls a function of the application. An error that it throws, or that its promise rejects with, is reported and
   * does not disturb the caller.
   */
  tell(call: () => unknown): void {
    try {
      const result = call() as { then?: unknown } | undefined
      if (typeof result?.then === 'function')
        (result as PromiseLike<unknown>).then(undefined, (error) => this.handleHandlerError(error))
    } catch (error) {
      this.handleHandlerError(error)
    }
  }

  /**
   * Reports an error of a handler. `message` is the one that the handler got; a payload that it could not read is the
   * sender's fault.
   */
  handleHandlerError(error: unknown, message: Message | null = null): void {
    const { onHandlerError } = this.#listeners
    if (onHandlerError === null && message !== null && error instanceof PayloadError) {
      this.handleInvalid(error, message)
      return
    }
    let thrown = error
    if (onHandlerError !== null) {
      try {
        onHandlerError(error)
        return
      } catch (another) {
        thrown = another
      }
    }
    queueMicrotask(() => {
      throw thrown
    })
  }

  handleInvalid(error: PayloadError, message: Message): void {
    this.#listeners.invalidMessages++
    const { onInvalidMessage } = this.#listeners
    if (onInvalidMessage === null) return
    const now = this.#now()
    if (now - this.#toldOfInvalidMs < INVALID_TOLD_MS) {
      this.#untoldInvalid++
      return
    }
    this.#toldOfInvalidMs = now
    const more = this.#untoldInvalid
    this.#untoldInvalid = 0
    this.tell(() => onInvalidMessage(error, message, more))
  }

  handleUnmatched(message: Message): void {
    const { onMessage } = this.#listeners
    if (onMessage === null) this.#listeners.unmatchedMessages++
    else this.tell(() => onMessage(message))
  }

  handleUndelivered(message: UndeliveredMessage, error: unknown): void {
    const { onUndelivered } = this.#listeners
    if (onUndelivered === null) this.#listeners.undeliveredMessages++
    else this.tell(() => onUndelivered(message, error as MqttError))
  }
}
