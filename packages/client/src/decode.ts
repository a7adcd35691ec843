/**
 * What becomes of a payload before the application gets it: `decode` of a subscription names a form (`'text'`, `'json'`) or
 * gives a Standard Schema or a function, and `PayloadDecoder` applies it to each message when it is handed out.
 *
 * What does not fit is treated as `onInvalid` says; in every case it is counted in `Subscription.invalid`, and the server
 * gets its acknowledgement, so that one bad message is not sent for ever.
 *
 * Source: the Standard Schema specification, version 1 (the interface is copied from it, as it asks for).
 */
import { ReasonCode } from '@recado/protocol'
import { PayloadError } from './errors.ts'
import { type Message, setValue } from './message.ts'

/** What a validator says is wrong. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** Any validator that keeps to the Standard Schema specification: Valibot, Zod, ArkType … */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/**
 * - `'bytes'`: the payload as it is (a `Uint8Array`);
 * - `'text'`: UTF-8; ill-formed UTF-8 is invalid;
 * - `'json'`: JSON, not checked any further;
 * - a Standard Schema: JSON that fits it. For another form, `(message) => parse(schema, message.text())`;
 * - a function: what it returns, or what its promise resolves with; what it throws makes the message invalid.
 */
export type Decode = 'bytes' | 'text' | 'json' | StandardSchema | ((message: Message) => unknown)

/** The type of `message.value` with this `decode`; without one, it is the bytes. */
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
 * A payload that cannot be decoded:
 * - `'skip'`: it is counted, `client.onInvalidMessage` is told, and the next message comes instead;
 * - `'error'`: ends an iteration with `PayloadError` (and unsubscribes); with a handler it goes to `client.onHandlerError`, or, when
 *   there is none, as with `'skip'`;
 * - a function: is told, then as `'skip'`. With `ack: 'manual'` it may `ack` the message itself.
 */
export type OnInvalid = 'error' | 'skip' | ((error: PayloadError, message: Message) => void)

/** Is told of what is skipped. */
interface DecoderOwner {
  handleInvalid(error: PayloadError, message: Message): void
}

const decoder = new TextDecoder('utf-8', { fatal: true })

export class PayloadDecoder {
  readonly #decode: Decode
  readonly #onInvalid: OnInvalid
  readonly #owner: DecoderOwner | null
  /** Messages that could not be decoded. */
  invalid = 0

  constructor(decode: Decode, onInvalid: OnInvalid, owner: DecoderOwner | null = null) {
    this.#owner = owner
    this.#decode = decode
    this.#onInvalid = onInvalid
  }

  /** `true`: `message.value` is there. `false`: the message is invalid and done with. Throws `PayloadError`, or it rejects. */
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
    // Before functions: some schemas are functions.
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
    // Nobody else can acknowledge it, where the application has to.
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
