/**
 * Decoding of payloads before the application gets them: `decode` of a subscription names a form (`'text'`, `'json'`)
 * or gives a Standard Schema or a function, and `PayloadDecoder` applies it to each message when it is handed out.
 *
 * A payload that does not fit is treated as `onInvalid` says. In every case it is counted in `Subscription.invalid`,
 * and the server gets its acknowledgement, so that one bad message is not sent for ever.
 *
 * Source: the Standard Schema specification, version 1 (the interface is copied from it, as it asks for).
 */
import { ReasonCode } from '@recado/protocol'
import { PayloadError } from './errors.ts'
import { type Message, setValue } from './message.ts'

/** Issue that a validator reports. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** Interface of every validator that follows the Standard Schema specification: Valibot, Zod, ArkType … */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/**
 * Form of `message.value`:
 * - `'bytes'`: the payload as it is (a `Uint8Array`);
 * - `'text'`: UTF-8; ill-formed UTF-8 is invalid;
 * - `'json'`: JSON, not checked any further;
 * - a Standard Schema: JSON that fits it. For another form, `(message) => parse(schema, message.text())`;
 * - a function: the value that it returns, or that its promise resolves with; an error makes the message invalid.
 */
export type Decode = 'bytes' | 'text' | 'json' | StandardSchema | ((message: Message) => unknown)

/** Type of `message.value` with this `decode`; without one, bytes. */
export type DecodedBy<Of> = [Decode] extends [Of]
  ? Uint8Array
  : Of extends 'bytes'
    ? Uint8Array
    : Of extends 'text'
      ? string
      : Of extends 'json'
        ? unknown
        : Of extends StandardSchema
          ? NonNullable<Of['~standard']['types']>['output']
          : Of extends (message: Message) => infer Result
            ? Awaited<Result>
            : never

/**
 * Treatment of a payload that cannot be decoded:
 * - `'skip'`: it is counted, `client.onInvalidMessage` is called, and the next message comes instead;
 * - `'error'`: ends an iteration with `PayloadError` (and unsubscribes); with a handler it goes to
 * `client.onHandlerError`, or, without that, is treated like `'skip'`;
 * - a function: is called, then as `'skip'`. With `ack: 'manual'` it may `ack` the message itself.
 */
export type OnInvalid = 'error' | 'skip' | ((error: PayloadError, message: Message) => void)

/** Owner that is told about skipped messages. */
interface DecoderOwner {
  handleInvalid(error: PayloadError, message: Message): void
}

const decoder = new TextDecoder('utf-8', { fatal: true })

export class PayloadDecoder {
  readonly #decode: Decode
  readonly #onInvalid: OnInvalid
  readonly #owner: DecoderOwner | null
  /** Number of messages that could not be decoded. */
  invalid = 0

  constructor(decode: Decode, onInvalid: OnInvalid, owner: DecoderOwner | null = null) {
    this.#owner = owner
    this.#decode = decode
    this.#onInvalid = onInvalid
  }

  /**
   * Decodes a message. Returns `true` when `message.value` is set, `false` when the message is invalid and done with.
   * Throws `PayloadError`, or rejects with it.
   */
  decode(message: Message): boolean | Promise<boolean> {
    let result: unknown
    try {
      result = this.#apply(message)
    } catch (error) {
      return this.#refuse(message, error)
    }
    if (!isThenable(result)) {
      setValue(message, result)
      return true
    }
    return result.then(
      (value) => {
        setValue(message, value)
        return true
      },
      (error: unknown) => this.#refuse(message, error),
    )
  }

  #apply(message: Message): unknown {
    const decode = this.#decode
    if (decode === 'bytes') return message.payload
    if (decode === 'text') return textOf(message)
    if (decode === 'json') return jsonOf(message)
    // Schemas first: some of them are functions.
    if ('~standard' in decode) {
      const result = decode['~standard'].validate(jsonOf(message))
      return isThenable(result) ? result.then((done) => outputOf(message, done)) : outputOf(message, result)
    }
    return decode(message)
  }

  #refuse(message: Message, thrown: unknown): false {
    this.invalid++
    const error =
      thrown instanceof PayloadError ? thrown : new PayloadError(message.topic, 'cannot be decoded', [], thrown)
    const policy = this.#onInvalid
    // Where the application has to acknowledge, nothing else acknowledges a message that it never gets.
    if (policy === 'error' || policy === 'skip') message.ack(ReasonCode.PayloadFormatInvalid)
    if (policy === 'error') throw error
    if (policy === 'skip') this.#owner?.handleInvalid(error, message)
    else policy(error, message)
    return false
  }
}

function textOf(message: Message): string {
  try {
    return decoder.decode(message.payload)
  } catch (cause) {
    throw new PayloadError(message.topic, 'is not UTF-8', [], cause)
  }
}

function jsonOf(message: Message): unknown {
  const text = textOf(message)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PayloadError(message.topic, text === '' ? 'is empty, not JSON' : 'is not JSON', [], cause)
  }
}

function outputOf(message: Message, result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value
  throw new PayloadError(message.topic, 'does not fit the schema', result.issues)
}

function isThenable<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
