/**
 * The interface of a client in the shared peer tests: `Peer` opens a `PeerClient`.
 *
 * Implemented once each for the Mosquitto clients (`mosquitto-clients.ts`), Paho Python and Paho C (`agent.ts`, by a
 * line protocol to a small program in their own language), and MQTT.js (`mqttjs.ts`, in process). Invariant: a promise
 * here resolves on the peer's own evidence (its CONNACK, SUBACK, PUBACK/PUBCOMP or exit code), never on time.
 */
export type ProtocolVersion = 3 | 4 | 5
export type QoS = 0 | 1 | 2

/** Properties of a PUBLISH that the peers can set and show (MQTT 5.0 section 3.3.2.3). */
export interface MessageProperties {
  messageExpiryInterval?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  userProperties?: [string, string][]
  topicAlias?: number
}

export interface OutgoingMessage {
  topic: string
  payload: string | Uint8Array
  qos?: QoS
  retain?: boolean
  properties?: MessageProperties
}

export interface IncomingMessage {
  topic: string
  payload: Buffer
  qos: number
  retain: boolean
  properties: MessageProperties
  subscriptionIdentifiers: number[]
}

export interface Will extends OutgoingMessage {
  delaySeconds?: number
}

export interface Subscription {
  filter: string
  qos?: QoS
  noLocal?: boolean
  retainAsPublished?: boolean
  retainHandling?: 0 | 1 | 2
  subscriptionIdentifier?: number
}

export interface OpenOptions {
  port: number
  version: ProtocolVersion
  /** Client Identifier. Without it the peer makes one up; '' asks the broker to assign one. */
  clientId?: string
  /** Clean Session or Clean Start. Default true. */
  clean?: boolean
  /** Session Expiry Interval, MQTT 5 only. 0 (the default) ends the session with the connection. */
  sessionExpirySeconds?: number
  keepAliveSeconds?: number
  receiveMaximum?: number
  will?: Will
  subscriptions?: readonly Subscription[]
}

/** End of the connection, as far as the peer tells. */
export interface Closed {
  /** Reason Code of the DISCONNECT from the broker; `null` when there was none, or the peer does not show it. */
  reasonCode: number | null
}

export interface PeerClient {
  /** Session Present; `null` when this peer does not show it. */
  readonly sessionPresent: boolean | null
  readonly assignedClientId: string | null
  /** Reason Codes of the SUBACK for `subscriptions`. */
  readonly granted: readonly number[]
  /** Resolves with the next message, in the order of arrival. */
  next(): Promise<IncomingMessage>
  /** Resolves when sent (QoS 0), or when acknowledged as its QoS asks. */
  publish(message: OutgoingMessage): Promise<void>
  subscribe(subscription: Subscription): Promise<readonly number[]>
  unsubscribe(filter: string): Promise<void>
  /** Sends DISCONNECT with Normal disconnection, then ends the connection. */
  disconnect(): Promise<void>
  /** Ends the connection with no DISCONNECT: the process is killed, or the socket destroyed. Safe to call twice. */
  kill(): Promise<void>
  /** Resolves when the broker, and not the client, ended the connection. */
  readonly closed: Promise<Closed>
}

/** Client that can lose its connection, keep its side of the session, and come back. */
export interface ResumableClient extends PeerClient {
  /** Hands the message over and does not wait for its acknowledgement. */
  publishLater(message: OutgoingMessage): Promise<void>
  /** Resolves when everything from `publishLater` is acknowledged. */
  flush(): Promise<void>
  /** Waits until the connection is lost, then until a new one to the same session is acknowledged. */
  reconnect(): Promise<void>
}

/**
 * Features that some peers lack:
 * - `library`: subscribe, unsubscribe and disconnect at will (programs do that only at start and end);
 * - `noLocal`, `retainOptions`, `subscriptionIdentifiers`, `assignedClientId`: set or show it.
 */
export type Feature = 'library' | 'noLocal' | 'retainOptions' | 'subscriptionIdentifiers' | 'assignedClientId'

export interface Peer {
  readonly name: string
  readonly versions: readonly ProtocolVersion[]
  readonly features: ReadonlySet<Feature>
  /** Reason why its tests cannot run here, or `false`. */
  readonly skip: string | false
  /** Prepares the peer once before `open`, for instance compiles it. */
  prepare(): Promise<void>
  cleanUp(): Promise<void>
  open(options: OpenOptions): Promise<PeerClient>
}

export interface ResumablePeer extends Peer {
  open(options: OpenOptions): Promise<ResumableClient>
}

/** Common name of a protocol version. */
export function versionName(version: ProtocolVersion): string {
  return version === 3 ? 'MQTT 3.1' : version === 4 ? 'MQTT 3.1.1' : 'MQTT 5.0'
}
