/**
 * Logins by JSON Web Token (RFC 7519): as the password of CONNECT, or by AUTH packets of the method `JWT`, which also
 * bring a new token on the open connection.
 *
 * Invariants: a token counts only with a signature of an allowed algorithm, within its time, for this audience and from
 * this issuer; the connection ends when the token does; without keys to decide with, a login is refused; a token is
 * never stored or passed on.
 */
import { hasDisallowedCodePoint, isTopicFilter } from '@recado/protocol'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import {
  type AuthenticationAnswer,
  type AuthenticationStep,
  BUSY,
  type ConnectDecision,
  type ConnectRequest,
  clientIdOf,
  type Grants,
  type LoginQueue,
  type MakeLoginQueue,
  REFUSED,
  UNAVAILABLE,
} from '../../ports.ts'
import { type KeyOptions, type Keys, openKeys } from './keys.ts'

/** Options of `jwt`. */
export interface JwtOptions extends KeyOptions {
  /** Accepted values of `iss`, one or several. Default: any. */
  issuer?: string | string[]
  /** Accepted values of `aud`, one or several. Default: any. */
  audience?: string | string[]
  /** Name of the claim that becomes the user name, in place of that in CONNECT. Default `sub`. */
  usernameClaim?: string
  /** Field of CONNECT that has the token. Default `password`; `username` is that of mosquitto-go-auth. */
  tokenIn?: 'password' | 'username'
  /** Name of a claim that must equal the Client Identifier. Default: none. */
  clientIdClaim?: string
  /**
   * Name of the claim with the rights: `{ "publish": [filter…], "subscribe": [filter…] }`; see `byGrants`. Default
   * `acl`.
   */
  aclClaim?: string
  /** Whether to refuse tokens without that claim. Default false: `byGrants` applies its other rules to them. */
  aclRequired?: boolean
  /** Whether to refuse tokens without `exp`. Default true. */
  expiryRequired?: boolean
  /** Tolerated difference of clocks in seconds, for `nbf`; a token ends at `exp` without tolerance. Default 5. */
  clockToleranceSeconds?: number
  /**
   * Invalid tokens of a network that are checked per second, twice that in a burst; above it further logins are refused
   * as busy. 0: no limit. Default 100.
   */
  failuresPerSecondMax?: number
  /** Called when tokens cannot be checked, for instance because a URL does not answer. */
  onError?(error: Error): void
}

const TOKEN_BYTES_MAX = 16_384
/** Number of tokens that are checked at a time, and that may wait for a check, a quarter of them from one network. */
const CHECKS_MAX = 64
const WAITING_MAX = 1_000
const GRANTS_MAX = 1_000
/** Seconds of the end of the year 9999: a larger value has another unit, such as milliseconds. */
const SECONDS_MAX = 253_402_300_799

/** Logins by JSON Web Tokens, as `authenticate` and `enhancedAuthentication` take them. */
export class Jwt {
  /** Authentication Methods on offer. */
  readonly methods: readonly string[] = ['JWT']
  readonly #options: JwtOptions
  #keys: Keys
  /** Waiting logins. The next one is called with `true`, one that has to go with `false`. */
  readonly #waiting: LoginQueue<(isTurn: boolean) => void>
  #checks = 0

  private constructor(options: JwtOptions, keys: Keys, makeQueue: MakeLoginQueue) {
    this.#options = options
    this.#keys = keys
    const { failuresPerSecondMax = 100 } = options
    this.#waiting = makeQueue({ waitingMax: WAITING_MAX, waitingPerNetworkMax: WAITING_MAX / 4, failuresPerSecondMax })
  }

  /** Opens the keys. @throws MqttError ERR_MQTT_JWT_KEY */
  static async open(options: JwtOptions, makeQueue: MakeLoginQueue): Promise<Jwt> {
    return new Jwt(options, await openKeys(options), makeQueue)
  }

  /** Reads key files again, for later logins. @throws MqttError ERR_MQTT_JWT_KEY; the keys then stay as they were. */
  async reload(): Promise<void> {
    this.#keys = await openKeys(this.#options)
  }

  /** Authenticates a client; returns null when it brings no token. */
  authenticate(request: ConnectRequest): Promise<ConnectDecision> | null {
    const { username, password } = request.connect
    const isInUsername = this.#options.tokenIn === 'username'
    const token = tokenFrom(isInUsername ? new TextEncoder().encode(username ?? '') : password)
    return token === null ? null : this.#check(token, request)
  }

  /** Answers one AUTH packet. */
  async step({ data, phase, request, username }: AuthenticationStep): Promise<AuthenticationAnswer> {
    const token = tokenFrom(data)
    if (token === null || phase === 'continue') return REFUSED
    const decision = await this.#check(token, request)
    // Rights and sessions belong to a user: another user has to connect anew.
    const isOther = phase === 're-authenticate' && decision.reasonCode === undefined && decision.username !== username
    return isOther ? REFUSED : decision
  }

  async #check(token: string, request: ConnectRequest): Promise<ConnectDecision> {
    const { remoteAddress } = request
    if (this.#waiting.isRefusing(remoteAddress) || !(await this.#turn(remoteAddress))) return BUSY
    const decision = await this.#verify(token, request)
    if (decision.reasonCode === REFUSED.reasonCode) this.#waiting.failed(remoteAddress)
    const next = this.#waiting.shift()
    if (next === undefined) this.#checks--
    else next(true)
    return decision
  }

  /** Waits for its turn; resolves with false when there is no room. */
  async #turn(remoteAddress: string): Promise<boolean> {
    if (this.#checks >= CHECKS_MAX) {
      return new Promise((resolve) => this.#waiting.push(remoteAddress, resolve)?.(false))
    }
    this.#checks++
    return true
  }

  /** Checks a token; never rejects. */
  async #verify(token: string, request: ConnectRequest): Promise<ConnectDecision> {
    const { issuer, audience, expiryRequired = true, clockToleranceSeconds = 5 } = this.#options
    const { find, algorithms } = this.#keys
    try {
      const { payload } = await jwtVerify(token, find, {
        algorithms,
        clockTolerance: clockToleranceSeconds,
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
        requiredClaims: expiryRequired ? ['exp'] : [],
      })
      return this.#decide(payload, request)
    } catch (error) {
      if (isTheTokensFault(error)) return REFUSED
      this.#options.onError?.(error as Error)
      return UNAVAILABLE
    }
  }

  #decide(payload: JWTPayload, request: ConnectRequest): ConnectDecision {
    const { usernameClaim = 'sub', clientIdClaim, aclClaim = 'acl', aclRequired = false } = this.#options
    const username = payload[usernameClaim]
    if (typeof username !== 'string' || username === '' || hasDisallowedCodePoint(username) || username.includes('\0'))
      return REFUSED
    if (clientIdClaim !== undefined && payload[clientIdClaim] !== clientIdOf(request, username)) return REFUSED
    if (![payload.exp, payload.nbf, payload.iat].every(isTime)) return REFUSED
    const decision: ConnectDecision = { username }
    if (payload.exp !== undefined) decision.expiresAtMs = payload.exp * 1_000
    const acl = payload[aclClaim]
    if (acl === undefined) return aclRequired ? REFUSED : decision
    const grants = grantsFrom(acl)
    return grants === null ? REFUSED : { ...decision, grants }
  }
}

/** Returns true for seconds since 1970 or no value. JSON has numbers that are not usable: 1e999 is Infinity. */
const isTime = (claim: unknown): boolean =>
  claim === undefined || (typeof claim === 'number' && claim >= 0 && claim <= SECONDS_MAX)

/** Returns the token: three parts in base64url, the first of them a header with `alg`. Otherwise null. */
function tokenFrom(data: Uint8Array | undefined): string | null {
  if (data === undefined || data.length > TOKEN_BYTES_MAX) return null
  const text = Buffer.from(data).toString('latin1')
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return null
  try {
    const header: unknown = JSON.parse(Buffer.from(text.slice(0, text.indexOf('.')), 'base64url').toString('utf8'))
    return typeof (header as { alg?: unknown } | null)?.alg === 'string' ? text : null
  } catch {
    return null
  }
}

/** Returns the rights of a claim, or null when it has another form. A missing list grants nothing. */
function grantsFrom(claim: unknown): Grants | null {
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return null
  const { publish = [], subscribe = [] } = claim as { publish?: unknown; subscribe?: unknown }
  const isList = (list: unknown): list is string[] =>
    Array.isArray(list) &&
    list.length <= GRANTS_MAX &&
    list.every((each) => typeof each === 'string' && isTopicFilter(each))
  return isList(publish) && isList(subscribe) ? { publish, subscribe } : null
}

/** Returns true when the token is at fault, and not the keys or the way to them. */
function isTheTokensFault(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return false
  return ![errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JWKInvalid.code, errors.JOSEError.code].includes(
    error.code,
  )
}
