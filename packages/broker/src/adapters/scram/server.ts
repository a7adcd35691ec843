/**
 * SCRAM-SHA-256 for a broker's `enhancedAuthentication`: the server's side of RFC 5802 and RFC 7677, in AUTH packets of
 * MQTT 5.0.
 *
 *     CONNECT  n,,n=ada,r=…          ->
 *              r=…,s=…,i=4096        <- AUTH 0x18
 *     AUTH     c=biws,r=…,p=…        ->
 *              v=…                   <- CONNACK, or AUTH 0x00 after a re-authentication
 *
 * Invariants: the broker neither has nor gets the password; an unknown user is led through the same steps, with salt
 * and iterations that resemble those of known users and stay the same, and refused at the end; a proof is compared in
 * constant time; a re-authentication cannot change the user.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { ReasonCode } from '@recado/protocol'
import { type AuthenticationAnswer, type AuthenticationStep, type ClientInfo, REFUSED } from '../../ports.ts'

export const METHOD = 'SCRAM-SHA-256'

/** Values that are kept of a password. */
export interface ScramVerifier {
  readonly salt: Uint8Array
  readonly iterations: number
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
  /** Credential for the decision: see `ConnectDecision.credential`. */
  readonly credential?: unknown
}

type MaybePromise<T> = T | Promise<T>

/** Options of `scram`. */
export interface ScramOptions {
  /** Returns the verifier of a user; null or undefined when there is no such user. */
  verifier(username: string): MaybePromise<ScramVerifier | null | undefined>
  /** Whether a client with this `credential` of its verifier would be let in again. Default: yes. */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
  /**
   * Salt and iterations for an unknown user. They must be the same each time, also after a restart, and look like those
   * of known users, or they tell who is known. Default: 16 bytes that change with the process, and 4096 iterations.
   */
  pretence?(username: string): { salt: Uint8Array; iterations: number }
}

export interface Exchange {
  readonly username: string
  readonly verifier: ScramVerifier
  readonly isKnown: boolean
  readonly header: string
  readonly nonce: string
  readonly firstBare: string
  readonly serverFirst: string
}

/** Largest message of a client in bytes; far more than any needs. */
const MESSAGE_BYTES_MAX = 4_096
const KEY_BYTES = 32

export class Scram {
  readonly methods: readonly string[] = [METHOD]
  readonly #options: ScramOptions
  /** Key for the salts of unknown users. */
  readonly #key: Buffer = randomBytes(32)

  constructor(options: ScramOptions) {
    this.#options = options
  }

  isStillValid(client: ClientInfo, credential: unknown): boolean {
    return this.#options.isStillValid?.(client, credential) ?? true
  }

  async step(step: AuthenticationStep): Promise<AuthenticationAnswer> {
    const { data, phase } = step
    if (data === undefined || data.length > MESSAGE_BYTES_MAX) return REFUSED
    const text = decode(data)
    if (text === null) return REFUSED
    if (phase !== 'continue') {
      const exchange = await this.#begin(text)
      // Rights and sessions belong to a user: another user has to connect anew.
      if (exchange === null || (phase === 're-authenticate' && exchange.username !== step.username)) return REFUSED
      step.state = exchange
      return { reasonCode: ReasonCode.ContinueAuthentication, data: encode(exchange.serverFirst) }
    }
    const exchange = step.state as Exchange
    step.state = undefined
    return exchange === undefined ? REFUSED : conclude(exchange, text)
  }

  /** Handles client-first-message; returns null for another text, or one that asks for an unsupported feature. */
  async #begin(text: string): Promise<Exchange | null> {
    // Channel binding (p=) is another mechanism; acting for another identity (a=) is not supported.
    const match = /^([ny],,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]{8,})(?:,.*)?)$/s.exec(text)
    if (match === null) return null
    const [, header = '', firstBare = '', name = '', clientNonce = ''] = match
    if (firstBare.startsWith('m=') || /=(?!2C|3D)/.test(name)) return null
    const username = name.replaceAll('=2C', ',').replaceAll('=3D', '=').normalize('NFKC')
    const found = await this.#options.verifier(username)
    const verifier = found ?? this.#nobody(username)
    const nonce = `${clientNonce}${randomBytes(18).toString('base64')}`
    const salt = Buffer.from(verifier.salt).toString('base64')
    const serverFirst = `r=${nonce},s=${salt},i=${verifier.iterations}`
    return { username, verifier, isKnown: found != null, header, nonce, firstBare, serverFirst }
  }

  #nobody(username: string): ScramVerifier {
    const key = randomBytes(KEY_BYTES)
    const { salt, iterations } = this.#options.pretence?.(username) ?? {
      salt: createHmac('sha256', this.#key).update(username).digest().subarray(0, 16),
      iterations: 4_096,
    }
    return { salt, iterations, storedKey: key, serverKey: key }
  }
}

/** Handles client-final-message. */
export function conclude(
  { username, verifier, isKnown, header, nonce, firstBare, serverFirst }: Exchange,
  text: string,
): AuthenticationAnswer {
  const match = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[^p].*)?),p=([A-Za-z0-9+/=]+)$/s.exec(text)
  if (match === null) return REFUSED
  const [, withoutProof = '', binding = '', returned = '', proofText = ''] = match
  if (binding !== Buffer.from(header).toString('base64') || returned !== nonce) return REFUSED
  const proof = Buffer.from(proofText, 'base64')
  if (proof.length !== KEY_BYTES) return REFUSED
  const authMessage = `${firstBare},${serverFirst},${withoutProof}`
  const signature = createHmac('sha256', verifier.storedKey).update(authMessage).digest()
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ signature[i]!))
  const isRight = timingSafeEqual(createHash('sha256').update(clientKey).digest(), verifier.storedKey)
  if (!isRight || !isKnown) return REFUSED
  const serverSignature = createHmac('sha256', verifier.serverKey).update(authMessage).digest('base64')
  const answer: AuthenticationAnswer = { data: encode(`v=${serverSignature}`), username }
  if (verifier.credential !== undefined) answer.credential = verifier.credential
  return answer
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function decode(data: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    return null
  }
}
