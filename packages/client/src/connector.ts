/**
 * One attempt to connect: opens the network connection, sends CONNECT, does the enhanced authentication, and waits for
 * CONNACK. Called by `Dialer`.
 *
 * Invariant: either `establish` was called, synchronously with CONNACK (further packets may be in the same chunk), or
 * the returned promise rejects and nothing is left open.
 *
 * Source: MQTT 5.0 sections 3.1, 3.2, 4.12.
 */
import {
  Auth,
  type Connack,
  Connect,
  checkIfGiven,
  checkOptions,
  Disconnect,
  MqttError,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  type ProtocolVersion,
  packetTypeName,
  ReasonCode,
  reasonCodeName,
  textOrBytes,
  toBytes,
} from '@recado/protocol'
import { deferred, throwIfAborted, whenAborted } from './abort.ts'
import { Connection, type ConnectionHandler } from './connection.ts'
import type { Environment } from './environment.ts'
import { CallbackError, ConnectionLostError, ConnectionRefusedError, ConnectTimeoutError } from './errors.ts'
import { credentialRules, PACKET_SIZE_MAX } from './option-rules.ts'
import type { Authentication, Credentials, ResolvedOptions } from './options.ts'
import { parseServerUrl } from './servers.ts'
import type { ServerAddress, Transport } from './transports/transport.ts'

/** Parameters that change from one attempt to the next. */
export interface Attempt {
  server: ServerAddress
  protocolVersion: ProtocolVersion
  clientId: string
  cleanStart: boolean
  sessionExpiryIntervalSeconds: number
}

/** Reason Codes of 5.0 for the return codes of 3.1.1 (section 3.2.2.3). */
const RETURN_CODES: readonly ReasonCode[] = [
  ReasonCode.Success,
  ReasonCode.UnsupportedProtocolVersion,
  ReasonCode.ClientIdentifierNotValid,
  ReasonCode.ServerUnavailable,
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
]

/**
 * Calls a function of the application; its error becomes a `CallbackError`, unless the attempt was given up meanwhile.
 */
export async function ask<Answer>(
  name: string,
  signal: AbortSignal | undefined,
  call: () => Answer | Promise<Answer>,
): Promise<Answer> {
  try {
    return await call()
  } catch (cause) {
    throwIfAborted(signal)
    if (cause instanceof MqttError) throw cause
    throw new CallbackError(`${name} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

export async function openConnection(
  environment: Environment,
  options: ResolvedOptions,
  attempt: Attempt,
  signal: AbortSignal,
  establish: (connection: Connection, connack: Connack) => ConnectionHandler,
): Promise<void> {
  const scope = new AbortController()
  const stopWatching = whenAborted(signal, (reason) => scope.abort(reason))
  const where = attempt.server.href
  const timer = environment.setTimer(() => {
    scope.abort(new ConnectTimeoutError(`${where} did not answer within ${options.connectTimeoutMs} ms`))
  }, options.connectTimeoutMs)
  try {
    throwIfAborted(scope.signal)
    const connect = await makeConnect(options, attempt, scope.signal)
    const { transformUrl } = options
    const server =
      transformUrl === undefined
        ? attempt.server
        : parseServerUrl(await ask('transformUrl', scope.signal, () => transformUrl(where, scope.signal)))
    throwIfAborted(scope.signal)
    const transport = await environment.dial(server, options, scope.signal)
    await new Handshake(environment, options, attempt, transport, establish).run(connect, scope.signal)
  } finally {
    environment.clearTimer(timer)
    stopWatching()
  }
}

/**
 * Ends a session before 5.0, where a connection with Clean Session does so: opens one, and closes it. The next
 * connection may then keep a new session.
 */
export async function endSession(
  environment: Environment,
  options: ResolvedOptions,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<void> {
  let opened: Connection | null = null
  const closed = deferred<void>()
  await openConnection(environment, options, { ...attempt, cleanStart: true }, signal, (connection) => {
    opened = connection
    return { handlePacket: () => {}, handleDrain: () => {}, handleClosed: () => closed.resolve() }
  })
  ;(opened as Connection | null)?.end(new Disconnect(0))
  await closed.promise
  throwIfAborted(signal)
}

async function makeConnect(options: ResolvedOptions, attempt: Attempt, signal: AbortSignal): Promise<Connect> {
  const { credentials } = options
  const given: Credentials =
    credentials === undefined ? {} : await ask('credentials', signal, () => credentials(signal))
  checkOptions(given, credentialRules, 'credentials().', 'the result of credentials()')
  const username = given.username ?? options.username ?? attempt.server.username
  const password = given.password ?? options.password ?? attempt.server.password
  const { will, authentication } = options
  const isVersion5 = attempt.protocolVersion === 5
  const properties: Properties = { ...options.properties }
  if (isVersion5) {
    if (attempt.sessionExpiryIntervalSeconds > 0) {
      properties.sessionExpiryIntervalSeconds = attempt.sessionExpiryIntervalSeconds
    }
    properties.requestResponseInformation ??= true // for `client.request`
    if (options.receiveMaximum < 65_535) properties.receiveMaximum ??= options.receiveMaximum
    if (options.topicAliasMaximum > 0) properties.topicAliasMaximum ??= options.topicAliasMaximum
    if (options.maximumPacketSize < PACKET_SIZE_MAX) properties.maximumPacketSize ??= options.maximumPacketSize
    if (authentication !== undefined) {
      properties.authenticationMethod = authentication.method
      const data = answerOf(await ask('authentication.respond', signal, () => authentication.respond(undefined)))
      if (data !== undefined) properties.authenticationData = data
    }
    throwIfAborted(signal)
  }
  return new Connect({
    protocolVersion: attempt.protocolVersion,
    cleanStart: attempt.cleanStart,
    keepAliveSeconds: options.keepAliveSeconds,
    clientId: attempt.clientId,
    will:
      will === undefined
        ? undefined
        : {
            topic: will.topic,
            payload: toBytes(will.payload),
            qos: will.qos ?? 0,
            retain: will.retain ?? false,
            properties: will.properties ?? {},
          },
    username,
    password: password === undefined ? undefined : toBytes(password, 'password'),
    ...(isVersion5 ? { properties } : {}),
  })
}

class Handshake implements ConnectionHandler {
  readonly #connection: Connection
  readonly #attempt: Attempt
  readonly #options: ResolvedOptions
  readonly #establish: (connection: Connection, connack: Connack) => ConnectionHandler
  readonly #done = deferred<void>()

  constructor(
    environment: Environment,
    options: ResolvedOptions,
    attempt: Attempt,
    transport: Transport,
    establish: (connection: Connection, connack: Connack) => ConnectionHandler,
  ) {
    this.#attempt = attempt
    this.#options = options
    this.#establish = establish
    const { maximumPacketSize, trace } = options
    const version = attempt.protocolVersion
    this.#connection = new Connection(transport, environment, version, maximumPacketSize, trace ?? null, this)
  }

  async run(connect: Connect, signal: AbortSignal): Promise<void> {
    const stopWatching = whenAborted(signal, (reason) => {
      this.#done.reject(reason)
      this.#connection.destroy()
    })
    try {
      this.#connection.start()
      try {
        this.#connection.send(connect)
      } catch (error) {
        // The user name or password is too long: nothing was sent.
        this.#done.reject(error)
        this.#connection.destroy()
      }
      this.#connection.flush()
      await this.#done.promise
    } finally {
      stopWatching()
    }
  }

  /** Handles a packet before CONNACK; until then only AUTH is sent. [MQTT-3.1.2-30] */
  handlePacket(packet: Packet): void {
    if (packet.type === PacketType.CONNACK) this.#handleConnack(packet)
    else if (packet.type === PacketType.AUTH) this.#handleAuth(packet, this.#options.authentication)
    else throw new ProtocolError(ReasonCode.ProtocolError, `${packetTypeName(packet.type)} came before CONNACK`)
  }

  #handleConnack(connack: Connack): void {
    const { reasonCode } = connack
    if (reasonCode !== 0) {
      const isReturnCode = reasonCode < 0x80
      const as5 = isReturnCode ? (RETURN_CODES[reasonCode] ?? ReasonCode.UnspecifiedError) : reasonCode
      this.#refuse(new ConnectionRefusedError(as5, reasonCode, connack.properties))
      return
    }
    if (connack.sessionPresent && this.#attempt.cleanStart) {
      // [MQTT-3.2.2-4]: the server has kept a session that it was told to forget
      throw new ProtocolError(
        ReasonCode.ProtocolError,
        'CONNACK has Session Present, though CONNECT asked for a new session',
      )
    }
    const keepAliveSeconds = connack.properties.serverKeepAliveSeconds ?? this.#options.keepAliveSeconds // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
    this.#connection.maximumPacketSize = connack.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
    try {
      this.#options.authentication?.finish?.(connack.properties.authenticationData)
    } catch (error) {
      this.#refuse(error)
      return
    }
    const handler = this.#establish(this.#connection, connack)
    this.#connection.establish(handler, keepAliveSeconds)
    this.#done.resolve()
  }

  #handleAuth(auth: Auth, authentication: Authentication | undefined): void {
    if (authentication === undefined || auth.reasonCode !== ReasonCode.ContinueAuthentication) {
      throw new ProtocolError(ReasonCode.ProtocolError, `AUTH was not expected: ${reasonCodeName(auth.reasonCode)}`)
    }
    respondToAuth(this.#connection, authentication, auth, (error) => this.#refuse(error))
  }

  /** Ends the attempt without waiting for the server to close: one that has refused us may keep the connection open. */
  #refuse(error: unknown): void {
    this.#done.reject(error)
    this.#connection.destroy()
  }

  handleDrain(): void {}

  handleClosed(error: MqttError | null): void {
    this.#done.reject(error ?? new ConnectionLostError('the connection was closed before CONNACK'))
  }
}

/** Checks the value that `authentication.respond` returned. Throws `OptionError`. */
function answerOf(data: unknown): Uint8Array | undefined {
  checkIfGiven('the result of authentication.respond()', data, textOrBytes)
  return data === undefined ? undefined : toBytes(data)
}

/** Asks the application for the answer to an AUTH and sends it (4.12). */
export function respondToAuth(
  connection: Connection,
  authentication: Authentication,
  auth: Auth,
  onError: (error: unknown) => void,
): void {
  const data = auth.properties.authenticationData?.slice()
  Promise.resolve(data)
    .then((bytes) => ask('authentication.respond', undefined, () => authentication.respond(bytes)))
    .then((answer) => {
      const properties: Properties = { authenticationMethod: authentication.method } // [MQTT-4.12.0-5]
      if (answerOf(answer) !== undefined) properties.authenticationData = answerOf(answer)!
      connection.send(new Auth(ReasonCode.ContinueAuthentication, properties)) // [MQTT-4.12.0-3]
    })
    .catch(onError)
}
