/**
 * Answers of the API, as far as the pages look at them. `docs/api/http.md` has all of them.
 */

export type Role = 'viewer' | 'operator' | 'admin'

export interface Session {
  readonly user: string
  readonly role: Role
  readonly via: 'anonymous' | 'login' | 'token' | 'session'
  readonly csrf: string | null
  readonly expiresAtMs: number | null
}

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly next: string | null
}

export interface Server {
  readonly version: string
  readonly node: string
  readonly host: string
  readonly pid: number
  readonly startedAtMs: number
  readonly uptimeSeconds: number
  readonly memory: { residentBytes: number; heapBytes: number; freeBytes: number; totalBytes: number }
  readonly limits: Readonly<Record<string, number | null>>
}

export interface Listener {
  readonly name: string
  readonly protocol: string
  readonly tls: boolean
  readonly allowAnonymous: boolean
  readonly certificateExpiresAtMs: number | null
  readonly traffic: (Traffic & { connections: number; clients: number }) | null
}

export interface History {
  readonly stepSeconds: number
  readonly atMs: readonly number[]
  readonly series: Readonly<Record<string, readonly number[]>>
}

export interface Durability {
  readonly batches: number
  readonly rows: number
  readonly rowsPerBatch: number
  readonly commitMs: number
  readonly lagMs: number
  readonly storedBytes: number
  readonly disk: { fileBytes: number; freeBytes: number } | null
}

export interface Latencies {
  readonly bounds: readonly number[]
  readonly items: readonly {
    readonly name: 'deliver' | 'acknowledge' | 'commit'
    readonly buckets: readonly number[]
    readonly count: number
  }[]
}

export interface Traffic {
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly messagesReceived: number
  readonly messagesSent: number
}

export interface WillView {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payloadBytes: number
  readonly delaySeconds: number
}

export interface SessionView {
  readonly clientId: string
  readonly username: string | null
  readonly isConnected: boolean
  readonly lastEnd: { atMs: number; byClient: boolean; reasonCode: number | null; why: string } | null
  readonly isDurable: boolean
  readonly expirySeconds: number | null
  readonly expiresAtMs: number | null
  readonly subscriptions: number
  readonly queuedMessages: number
  readonly queuedBytes: number
  readonly inflight: number
  readonly inflightBytes: number
  readonly droppedMessages: number
}

export interface Client {
  readonly clientId: string
  readonly username: string | null
  readonly protocolVersion: number
  readonly isBridge: boolean
  readonly remoteAddress: string
  readonly listener: string
  readonly tls: { version: string | null; commonName: string | null } | null
  readonly connectedAtMs: number
  readonly keepAliveSeconds: number
  readonly receiveMaximum: number
  readonly maximumPacketSize: number | null
  readonly traffic: Traffic
  readonly rates: Traffic & { overSeconds: number }
  readonly waitingBytes: number
  readonly isCongested: boolean
  readonly isPaused: boolean
  readonly will: WillView | null
  readonly session: SessionView
}

export interface Subscription {
  readonly clientId: string
  readonly isConnected: boolean
  readonly topicFilter: string
  readonly shareName: string | null
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
}

export interface Recipient extends Subscription {
  readonly deliveredQoS: number
  readonly verdict: string
}

export interface Bytes {
  readonly text: string | null
  readonly base64: string
  readonly bytes: number
  readonly isWhole: boolean
}

export interface Properties {
  readonly payloadFormatIndicator?: number
  readonly messageExpiryIntervalSeconds?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: string
  readonly userProperties?: readonly (readonly [string, string])[]
}

export interface Message {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: Bytes
  readonly properties: Properties
  readonly expiresAtMs?: number | null
}

export interface LiveMessage extends Message {
  readonly atMs: number
  /** Publisher; null for the broker, and where it is not known. */
  readonly clientId: string | null
  readonly isRetained: boolean
}

export interface Drop {
  readonly atMs: number
  readonly clientId: string
  readonly isForSubscriber: boolean
  readonly topic: string
  readonly qos: number
  readonly reason: string
}

export interface Drops {
  readonly byReason: Readonly<Record<string, number>>
  readonly items: readonly Drop[]
}

/** Part of a sentence of `why`. */
export type SayingValue = string | number | Saying

/** A sentence of `why`: an English template, and its values. */
export interface Saying {
  readonly template: string
  readonly values: readonly SayingValue[]
}

export interface Reason {
  readonly code: string
  readonly sentence: string
  readonly said: Saying
  readonly clientId: string | null
  readonly atMs: number | null
}

export interface Why {
  readonly topic: string
  readonly clientId: string | null
  readonly sentence: string
  readonly said: Saying
  readonly reasons: readonly Reason[]
  readonly lastPublished: {
    readonly atMs: number
    readonly clientId: string | null
    readonly qos: number
    readonly retain: boolean
    readonly messages: number
  } | null
}

export interface TopicLevel {
  readonly name: string
  readonly topic: string
  readonly hasMessage: boolean
  readonly hasBelow: boolean
  /** Retained messages at and below it. */
  readonly messages: number
  /** Topics at and below it that were published to lately. */
  readonly published: number
}

export interface Publication {
  readonly topic: string
  readonly atMs: number
  readonly clientId: string | null
  readonly qos: number
  readonly retain: boolean
  readonly messages: number
  readonly rate: number
}

export interface TraceStep {
  readonly atMs: number
  readonly step: string
  readonly clientId: string | null
  readonly topic: string
  readonly qos?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly packetId?: number
  readonly packet?: string
  readonly payloadBytes?: number
  readonly payloadBase64?: string
  readonly by?: string
  readonly reason?: string
  readonly reasonCode?: number
  readonly topicFilter?: string
  readonly queuedMessages?: number
  readonly isForSubscriber?: boolean
  readonly subscriptions?: number
  readonly recipients?: readonly { clientId: string; topicFilter: string; qos: number; verdict: string }[]
}

export interface Bridge {
  readonly name: string
  readonly state: string
  readonly address: string
  readonly connections: number
  readonly lastError: string
  readonly nextTrySeconds: number | null
  readonly lagSeconds: number
  readonly queuedMessages: number
  readonly inFlight: number
}

export interface Configuration {
  readonly file: string | null
  readonly settings: readonly { name: string; value: string; from: string }[]
  readonly lints: readonly { level: string; where: string; text: string }[]
}

export interface Ban {
  readonly kind: string
  readonly name: string
  readonly untilMs: number
  readonly by: string
}

export interface Token {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
  readonly createdBy: string
}

export interface AuditLine {
  readonly number: number
  readonly atMs: number
  readonly user: string
  readonly via: string
  readonly remoteAddress: string
  readonly operation: string
  readonly what: string
  readonly isDone: boolean
}

export interface SharedGroup {
  readonly shareName: string
  readonly topicFilter: string
  readonly members: number
  readonly queuedMessages: number
  readonly clients: readonly {
    clientId: string
    isConnected: boolean
    qos: number
    queuedMessages: number
    isCongested: boolean
  }[]
}

export interface ConnectionError {
  readonly atMs: number
  readonly kind: string
  readonly clientId: string
  readonly remoteAddress: string
  readonly listener: string
  readonly reasonCode: number
  readonly why: string
}
