/**
 * Whether trying again can help: after an error that ended a connection or an attempt (`mayRetry`), and with an older
 * protocol version (`refusesVersion`). Pure; `Client` and `Dialer` ask.
 *
 * Source: MQTT 5.0 sections 3.2.2.2, 3.14.2.1, 4.11; MQTT 3.1.1 section 3.2.2.3.
 */
import { type MqttError, OptionError, ReasonCode } from '@recado/protocol'
import { ConnectionLostError, ConnectionRefusedError, DisconnectedError, ReasonCodeError, TlsError } from './errors.ts'
import type { ConnectOptions } from './options.ts'

/** Trying again would end in the same way. */
const FINAL_CODES: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.UnsupportedProtocolVersion,
  ReasonCode.ClientIdentifierNotValid,
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.Banned,
  ReasonCode.BadAuthenticationMethod,
  // Two clients with one identifier would throw each other out for ever.
  ReasonCode.SessionTakenOver,
])

/** CONNECT itself cannot be taken: its Will, or its size. */
const FINAL_FOR_CONNECT: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.TopicNameInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported,
])

/** Of DISCONNECT: something that was sent is at fault. */
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

/** Of DISCONNECT: something that was sent may be at fault, or something else. */
const PERHAPS_OF_A_PACKET: ReadonlySet<ReasonCode> = new Set([
  ReasonCode.UnspecifiedError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.NotAuthorized,
])

/**
 * Whether a packet of ours may have been why the connection ended: `'certain'` if the server has said so, `'possible'` if it said
 * nothing, or nothing that excludes it.
 */
export type Blame = 'certain' | 'possible' | 'none'

export function blameOf(error: MqttError): Blame {
  if (error instanceof DisconnectedError) {
    if (OF_A_PACKET.has(error.reasonCode)) return 'certain'
    return PERHAPS_OF_A_PACKET.has(error.reasonCode) ? 'possible' : 'none'
  }
  return error instanceof ConnectionLostError ? 'possible' : 'none'
}

/** Nobody has refused anything: a server or load balancer that restarts ends handshakes like this. */
const BROKEN_OFF: ReadonlySet<unknown> = new Set([undefined, 'ECONNRESET', 'EPIPE'])

/**
 * `isKnown`: a server has let us in before, so that what was wrong with TLS, or with credentials that are asked for anew, may
 * come right again. `hasSuspect`: what the server said may be about a packet of ours, which will not be sent again for ever. May throw
 * what `reconnect.retry` of the application throws.
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
 * Does the error say that the server may not know MQTT 5.0? Old servers just hang up; once one has let us in with 5.0
 * (`isKnown`), hanging up says nothing of the kind.
 */
export function refusesVersion(error: unknown, isKnown: boolean): boolean {
  if (error instanceof ConnectionRefusedError) return error.reasonCode === ReasonCode.UnsupportedProtocolVersion
  return !isKnown && error instanceof ConnectionLostError
}
