/**
 * Whether trying again can help: after an error that ended a connection or an attempt (`mayRetry`), and with an older
 * protocol version (`refusesVersion`). Pure functions; called by `Client` and `Dialer`.
 *
 * Source: MQTT 5.0 sections 3.2.2.2, 3.14.2.1, 4.11; MQTT 3.1.1 section 3.2.2.3.
 */
import { type MqttError, OptionError, ReasonCode } from '@recado/protocol'
import { ConnectionLostError, ConnectionRefusedError, DisconnectedError, ReasonCodeError, TlsError } from './errors.ts'
import type { ConnectOptions } from './options.ts'

/** Reason Codes after which another attempt would end in the same way. */
const FINAL_CODES: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.UnsupportedProtocolVersion,
  ReasonCode.ClientIdentifierNotValid,
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.Banned,
  ReasonCode.BadAuthenticationMethod,
  // Two clients with one identifier would disconnect each other for ever.
  ReasonCode.SessionTakenOver,
])

/** Reason Codes of CONNACK for a CONNECT that cannot be accepted because of its Will or its size. */
const FINAL_FOR_CONNECT: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.TopicNameInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported,
])

/** Reason Codes of DISCONNECT for which a packet of ours is at fault. */
const OF_A_PACKET: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.TopicFilterInvalid,
  ReasonCode.TopicNameInvalid,
  ReasonCode.TopicAliasInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported,
  ReasonCode.SharedSubscriptionsNotSupported,
  ReasonCode.SubscriptionIdentifiersNotSupported,
  ReasonCode.WildcardSubscriptionsNotSupported,
])

/** Reason Codes of DISCONNECT for which a packet of ours, or something else, is at fault. */
const PERHAPS_OF_A_PACKET: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.UnspecifiedError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.NotAuthorized,
])

/**
 * Likelihood that a packet of ours has ended the connection: `'certain'` if the server has said so, `'possible'` if it
 * said nothing, or nothing that excludes it.
 */
export type Blame = 'certain' | 'possible' | 'none'

export function blameOf(error: MqttError): Blame {
  if (error instanceof DisconnectedError) {
    if (OF_A_PACKET.has(error.reasonCode)) return 'certain'
    return PERHAPS_OF_A_PACKET.has(error.reasonCode) ? 'possible' : 'none'
  }
  return error instanceof ConnectionLostError ? 'possible' : 'none'
}

/** Codes of errors that are no refusal: a restarting server or load balancer ends handshakes like this. */
const BROKEN_OFF: ReadonlySet<unknown> = new Set([undefined, 'ECONNRESET', 'EPIPE'])

/**
 * Decides whether to try again. `isKnown`: a server has accepted us before, so that a fault of TLS, or of credentials
 * that are asked for anew, may be temporary. `hasSuspect`: the server's code may be about a packet of ours, which will
 * not be sent for ever. May throw an error of the application's `reconnect.retry`.
 */
export function mayRetry(
  error: MqttError,
  { reconnect, credentials }: Pick<ConnectOptions, 'reconnect' | 'credentials'>,
  isKnown: boolean,
  hasSuspect = false,
): boolean {
  if (reconnect === false) return false
  if (reconnect?.retry !== undefined) return reconnect.retry(error)
  if (error instanceof TlsError) return isKnown || BROKEN_OFF.has((error.cause as { code?: unknown } | undefined)?.code)
  if (error instanceof ReasonCodeError) {
    const redirects = error.reasonCode === ReasonCode.UseAnotherServer || error.reasonCode === ReasonCode.ServerMoved
    if (redirects) return error.properties.serverReference !== undefined
    const isRefused =
      error.reasonCode === ReasonCode.BadUserNameOrPassword || error.reasonCode === ReasonCode.NotAuthorized
    if (isRefused && isKnown && credentials !== undefined) return true
    if (hasSuspect && blameOf(error) !== 'none') return true
    if (error instanceof ConnectionRefusedError && FINAL_FOR_CONNECT.has(error.reasonCode)) return false
    return !FINAL_CODES.has(error.reasonCode)
  }
  return !(error instanceof OptionError)
}

/**
 * Returns true when the error may mean that the server does not know MQTT 5.0. Old servers just close the connection;
 * once one has accepted us with 5.0 (`isKnown`), closing does not mean this.
 */
export function refusesVersion(error: unknown, isKnown: boolean): boolean {
  if (error instanceof ConnectionRefusedError) return error.reasonCode === ReasonCode.UnsupportedProtocolVersion
  return !isKnown && error instanceof ConnectionLostError
}
