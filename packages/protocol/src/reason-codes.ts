/**
 * Reason Codes of MQTT 5.0 (section 2.4) and the CONNACK return codes of MQTT 3.1.1 (section 3.2.2.3).
 *
 * Owns the numbers and their names. Used by decoder, encoder, client and broker; a Reason Code below 0x80 is a
 * success, 0x80 and above a failure.
 */

/** Reason Codes of MQTT 5.0 by the names of section 2.4; a number with several names has an entry for each. */
export const ReasonCode = {
  Success: 0x00,
  NormalDisconnection: 0x00,
  GrantedQoS0: 0x00,
  GrantedQoS1: 0x01,
  GrantedQoS2: 0x02,
  DisconnectWithWillMessage: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QoSNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const

/** A Reason Code as it stands on the wire: 0 to 255. */
export type ReasonCode = number

/** CONNACK return codes of MQTT 3.1 and 3.1.1, section 3.2.2.3. */
export const ConnectReturnCode = {
  Accepted: 0,
  UnacceptableProtocolVersion: 1,
  IdentifierRejected: 2,
  ServerUnavailable: 3,
  BadUserNameOrPassword: 4,
  NotAuthorized: 5,
} as const

/**
 * Returns the CONNACK return code of 3.1.1 that is nearest to a Reason Code of 5.0. A fault that the client must mend,
 * and for which 3.1.1 has no code, becomes Not authorized: after Server unavailable the client would try again for
 * ever.
 */
export function connectReturnCodeOf(reasonCode: ReasonCode): number {
  switch (reasonCode) {
    case ReasonCode.Success:
      return ConnectReturnCode.Accepted
    case ReasonCode.UnsupportedProtocolVersion:
      return ConnectReturnCode.UnacceptableProtocolVersion
    case ReasonCode.ClientIdentifierNotValid:
      return ConnectReturnCode.IdentifierRejected
    case ReasonCode.BadUserNameOrPassword:
    case ReasonCode.BadAuthenticationMethod:
      return ConnectReturnCode.BadUserNameOrPassword
    case ReasonCode.NotAuthorized:
    case ReasonCode.Banned:
    case ReasonCode.TopicNameInvalid:
    case ReasonCode.PacketTooLarge:
    case ReasonCode.PayloadFormatInvalid:
    case ReasonCode.RetainNotSupported:
    case ReasonCode.QoSNotSupported:
      return ConnectReturnCode.NotAuthorized
    default:
      return ConnectReturnCode.ServerUnavailable
  }
}

const names = new Map<number, string>()
for (const [name, code] of Object.entries(ReasonCode)) {
  // QoS stays one word.
  const words = name
    .replace('QoS', 'Qos')
    .replace(/(?<=[a-z])(?=[A-Z0-9])/g, ' ')
    .replace('Qos', 'QoS')
  if (!names.has(code)) names.set(code, words)
}

/**
 * Returns the name of a Reason Code for people, as in `Packet Too Large`; `Reason Code 0xNN` for one that has no name.
 */
export function reasonCodeName(reasonCode: ReasonCode): string {
  return names.get(reasonCode) ?? `Reason Code 0x${reasonCode.toString(16).padStart(2, '0')}`
}
