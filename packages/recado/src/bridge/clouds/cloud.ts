/**
 * Rules of one cloud for a bridge: the settings that it needs, what it refuses, and its limits.
 *
 * `clouds.ts` has the table; `config/bridge-cloud.ts` applies it to a `connection` section, and `CloudGuard` to each
 * message. Invariants: what a cloud's documentation says it refuses is a fault of the section where the section alone
 * shows it, and otherwise keeps one message back instead of ending the connection with all of them; every figure stands
 * beside the page that it comes from.
 */
import type { BridgeTopic } from '../../config/bridge-topics.ts'

export type CloudName = 'aws-iot' | 'azure-iot-hub' | 'azure-event-grid' | 'hivemq-cloud' | 'emqx'

/** Limits, in bytes of UTF-8 where nothing else is said; Infinity where the documentation names none. */
export interface CloudLimits {
  readonly protocolVersions: readonly (3 | 4 | 5)[]
  readonly maximumQoS: 0 | 1 | 2
  readonly clientIdBytes: number
  readonly topicBytes: number
  /** Number of slashes in a Topic Name or Topic Filter. */
  readonly slashes: number
  /** Number of subscriptions of one connection. */
  readonly subscriptions: number
  readonly payloadBytes: number
  /** Payload of a retained message; 0 where messages are not retained. */
  readonly retainedBytes: number
  readonly keepAliveSeconds: number
}

/** Parts of a bridge's configuration that a cloud has an opinion on. */
export interface CloudSection {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  readonly topics: readonly BridgeTopic[]
  readonly remoteClientId: string
  readonly notifications: 'both' | 'local' | 'none'
  readonly notificationTopic: string | null
  /** Whether the section has a line with this option. */
  has(option: string): boolean
}

/** Reports a fault: with the line of an option, or with a topic's. */
export type TellFault = (where: string | BridgeTopic, what: string) => void

export interface Cloud {
  readonly name: CloudName
  /** Name for people. */
  readonly title: string
  readonly port: number
  /** Values, as in a file, of options that the section does not have. */
  readonly defaults: Readonly<Record<string, string>>
  /** Ways to log in: one of them must be configured. */
  readonly logins: readonly ('certificate' | 'password' | 'sas')[]
  readonly limits: CloudLimits
  /** Whether a device may connect with its own Client Identifier only, or once only. */
  readonly hasFixedClientIds: boolean
  /** Pages of the documentation. */
  readonly sources: readonly string[]
  /** Returns the ALPN name for a port; null for none. */
  alpn?(port: number): string | null
  /** Removes the levels of a topic that do not count as slashes. */
  counted?(topic: string): string
  /** Returns what the cloud does with a topic that may not be used, a phrase without its subject; null when it may be used. */
  forbids?(topic: string): string | null
  /** Reports what only this cloud asks for. */
  check?(section: CloudSection, tell: TellFault): void
}

/** Reasons why a cloud would refuse a message. */
export type CloudRefusal = 'topic-too-long' | 'topic-too-deep' | 'topic-forbidden' | 'payload-too-large'

const slashesIn = (topic: string): number => topic.split('/').length - 1

/** Returns the reason why this cloud would refuse a Topic Name or Topic Filter; null when it would not. */
export function topicRefusal(cloud: Cloud, topic: string): CloudRefusal | null {
  const { topicBytes, slashes } = cloud.limits
  const counted = cloud.counted?.(topic) ?? topic
  if (Buffer.byteLength(counted) > topicBytes) return 'topic-too-long'
  if (slashesIn(counted) > slashes) return 'topic-too-deep'
  return (cloud.forbids?.(topic) ?? null) === null ? null : 'topic-forbidden'
}

/** Returns the reason why this cloud would refuse a message; null when it would not. */
export function messageRefusal(
  cloud: Cloud,
  topic: string,
  payloadBytes: number,
  retain: boolean,
): CloudRefusal | null {
  const { limits } = cloud
  if (payloadBytes > limits.payloadBytes) return 'payload-too-large'
  if (retain && limits.retainedBytes > 0 && payloadBytes > limits.retainedBytes) return 'payload-too-large'
  return topicRefusal(cloud, topic)
}

/** Returns the text of a refusal, with the limit. */
export function refusalText({ title, limits, forbids }: Cloud, refusal: CloudRefusal, topic: string): string {
  switch (refusal) {
    case 'topic-too-long':
      return `${title} takes topics of ${limits.topicBytes} bytes at most`
    case 'topic-too-deep':
      return `${title} takes topics with ${limits.slashes} slashes at most`
    case 'topic-forbidden':
      return `${title} ${forbids?.(topic)}`
    case 'payload-too-large':
      return `${title} takes payloads of ${limits.payloadBytes} bytes at most`
  }
}
