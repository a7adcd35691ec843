/**
 * MQTT.js as a peer, in this process: the client that most Node applications use.
 *
 * It reconnects by itself only between `publishLater` and `reconnect` (`reconnects: true`), with a period of one
 * millisecond; elsewhere a lost connection stays lost, so that a takeover is not answered with a takeover.
 */
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt'
import { uniqueClientId } from './agent.ts'
import { bounded, Inbox } from './inbox.ts'
import type {
  Closed,
  IncomingMessage,
  MessageProperties,
  OpenOptions,
  OutgoingMessage,
  Peer,
  ProtocolVersion,
  ResumableClient,
  Subscription,
} from './peer.ts'

export interface MqttJsOptions extends OpenOptions {
  reconnects?: boolean
  topicAliasMaximum?: number
  autoAssignTopicAlias?: boolean
}

export interface MqttJsPeer extends Peer {
  open(options: MqttJsOptions): Promise<MqttJsClient>
}

export const mqttJs: MqttJsPeer = {
  name: 'MQTT.js',
  versions: [3, 4, 5],
  features: new Set(['library', 'noLocal', 'retainOptions', 'subscriptionIdentifiers', 'assignedClientId']),
  skip: false,
  async prepare() {},
  async cleanUp() {},
  async open(options) {
    return await MqttJsClient.open(options)
  },
}

export class MqttJsClient implements ResumableClient {
  readonly client: MqttClient
  readonly closed: Promise<Closed>
  sessionPresent: boolean | null = null
  assignedClientId: string | null = null
  granted: readonly number[] = []
  readonly #messages: Inbox<IncomingMessage>
  readonly #connacks: Inbox<void> = new Inbox('CONNACK')
  readonly #pending: Promise<unknown>[] = []
  #hasEnded = false

  static async open(options: MqttJsOptions): Promise<MqttJsClient> {
    const client = new MqttJsClient(options)
    try {
      await client.#connacks.next()
      const granted: number[] = []
      for (const subscription of options.subscriptions ?? []) granted.push(...(await client.subscribe(subscription)))
      client.granted = granted
      return client
    } catch (error) {
      await client.kill()
      throw error
    }
  }

  constructor(options: MqttJsOptions) {
    this.#messages = new Inbox(`message to ${options.clientId ?? 'MQTT.js'}`)
    const client = mqtt.connect(connectOptions(options))
    this.client = client
    let reasonCode: number | null = null
    this.closed = new Promise((resolve) => {
      client.on('disconnect', (packet) => {
        reasonCode = packet.reasonCode ?? 0
      })
      client.on('close', () => {
        if (!this.#hasEnded) resolve({ reasonCode })
      })
    })
    client.on('connect', (connack) => {
      this.sessionPresent = connack.sessionPresent
      this.assignedClientId = connack.properties?.assignedClientIdentifier ?? null
      this.#connacks.push()
    })
    if (options.reconnects === true) {
      // It tries again after any error, and the wait for the next CONNACK has a bound of its own.
      client.on('error', () => {})
    } else {
      // A refused or lost connection: a wait for a CONNACK ends at once.
      client.on('error', (error) => this.#connacks.fail(error))
      client.on('close', () => this.#connacks.fail(new Error('the connection is closed')))
    }
    client.on('message', (topic, payload, packet) => {
      const identifiers = packet.properties?.subscriptionIdentifier ?? []
      this.#messages.push({
        topic,
        payload,
        qos: packet.qos,
        retain: packet.retain,
        properties: parseProperties(packet.properties),
        subscriptionIdentifiers: Array.isArray(identifiers) ? identifiers : [identifiers],
      })
    })
  }

  next(): Promise<IncomingMessage> {
    return this.#messages.next()
  }

  /** Number of messages that have come and have not been taken. */
  get waiting(): number {
    return this.#messages.size
  }

  async publish(message: OutgoingMessage): Promise<void> {
    await bounded(this.#publish(message), `the acknowledgement of a PUBLISH to ${message.topic}`)
  }

  async publishLater(message: OutgoingMessage): Promise<void> {
    this.#pending.push(this.#publish(message))
  }

  async flush(): Promise<void> {
    await bounded(Promise.all(this.#pending.splice(0)), 'acknowledgements')
  }

  async reconnect(): Promise<void> {
    await this.#connacks.next()
  }

  async subscribe(subscription: Subscription): Promise<readonly number[]> {
    const options: mqtt.IClientSubscribeOptions = { qos: subscription.qos ?? 0 }
    if (subscription.noLocal !== undefined) options.nl = subscription.noLocal
    if (subscription.retainAsPublished !== undefined) options.rap = subscription.retainAsPublished
    if (subscription.retainHandling !== undefined) options.rh = subscription.retainHandling
    if (subscription.subscriptionIdentifier !== undefined) {
      options.properties = { subscriptionIdentifier: subscription.subscriptionIdentifier }
    }
    const grants = await bounded(this.client.subscribeAsync(subscription.filter, options), 'SUBACK')
    return grants.map((grant) => grant.qos)
  }

  async unsubscribe(filter: string): Promise<void> {
    await bounded(this.client.unsubscribeAsync(filter), 'UNSUBACK')
  }

  async disconnect(): Promise<void> {
    this.#hasEnded = true
    await bounded(this.client.endAsync(), 'the end of a connection')
  }

  async kill(): Promise<void> {
    if (this.#hasEnded) return
    this.#hasEnded = true
    // endAsync(true) destroys the socket and sends nothing; it also stops the timers that connect again.
    await bounded(this.client.endAsync(true), 'the end of a connection')
  }

  async #publish(message: OutgoingMessage): Promise<void> {
    const options: IClientPublishOptions = { qos: message.qos ?? 0, retain: message.retain ?? false }
    if (message.properties !== undefined) options.properties = publishProperties(message.properties)
    await this.client.publishAsync(message.topic, toBuffer(message.payload), options)
  }
}

function connectOptions(options: MqttJsOptions): IClientOptions {
  const { version, will } = options
  const clean = options.clean ?? true
  const result: IClientOptions = {
    host: '127.0.0.1',
    port: options.port,
    protocol: 'mqtt',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version satisfies ProtocolVersion,
    clientId: options.clientId ?? uniqueClientId(),
    clean,
    keepalive: options.keepAliveSeconds ?? 60,
    reconnectPeriod: options.reconnects === true ? 1 : 0,
    resubscribe: false,
  }
  if (version === 5) {
    result.properties = { sessionExpiryInterval: options.sessionExpirySeconds ?? 0 }
    if (options.receiveMaximum !== undefined) result.properties.receiveMaximum = options.receiveMaximum
    if (options.topicAliasMaximum !== undefined) result.properties.topicAliasMaximum = options.topicAliasMaximum
    if (options.autoAssignTopicAlias !== undefined) result.autoAssignTopicAlias = options.autoAssignTopicAlias
  }
  if (will !== undefined) {
    result.will = {
      topic: will.topic,
      payload: toBuffer(will.payload),
      qos: will.qos ?? 0,
      retain: will.retain ?? false,
    }
    if (will.delaySeconds !== undefined) result.will.properties = { willDelayInterval: will.delaySeconds }
  }
  return result
}

function toBuffer(payload: string | Uint8Array): Buffer {
  return typeof payload === 'string'
    ? Buffer.from(payload)
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}

type WireProperties = NonNullable<IClientPublishOptions['properties']>

function publishProperties(properties: MessageProperties): WireProperties {
  const result: WireProperties = {}
  if (properties.messageExpiryInterval !== undefined) result.messageExpiryInterval = properties.messageExpiryInterval
  if (properties.contentType !== undefined) result.contentType = properties.contentType
  if (properties.responseTopic !== undefined) result.responseTopic = properties.responseTopic
  if (properties.correlationData !== undefined) result.correlationData = toBuffer(properties.correlationData)
  if (properties.topicAlias !== undefined) result.topicAlias = properties.topicAlias
  if (properties.userProperties !== undefined) {
    const users: Record<string, string[]> = {}
    for (const [key, value] of properties.userProperties) {
      users[key] ??= []
      users[key].push(value)
    }
    result.userProperties = users
  }
  return result
}

function parseProperties(wire: WireProperties | undefined): MessageProperties {
  const properties: MessageProperties = {}
  if (wire === undefined) return properties
  if (wire.messageExpiryInterval !== undefined) properties.messageExpiryInterval = wire.messageExpiryInterval
  if (wire.contentType !== undefined) properties.contentType = wire.contentType
  if (wire.responseTopic !== undefined) properties.responseTopic = wire.responseTopic
  if (wire.correlationData !== undefined) properties.correlationData = wire.correlationData
  if (wire.topicAlias !== undefined) properties.topicAlias = wire.topicAlias
  if (wire.userProperties !== undefined) {
    properties.userProperties = Object.entries(wire.userProperties).flatMap(([key, values]) =>
      [values].flat().map((value): [string, string] => [key, value]),
    )
  }
  return properties
}
