/**
 * Features of a server, for `recado doctor`: versions, logins, limits, and each feature of MQTT tried once.
 *
 * Called by `doctor.ts`. Messages go to topics below `target.topic`, retained ones are deleted again, and sessions end.
 */
import { type Client, type Message, MqttError, PublishError, SubscribeError } from '@recado/client'
import {
  Connack,
  type ConnectOptions,
  type Properties,
  type ProtocolVersion,
  type QoS,
  reasonCodeName,
} from '@recado/protocol'
import type { Findings } from './findings.ts'
import { clientOf, openStream, type Target, within } from './target.ts'
import { suffix, Wire } from './wire.ts'

const versionNames: Record<ProtocolVersion, string> = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }

/** Limits of the server, by the names of the specification; absent: it has said nothing, so that there is none. */
export type Limits = Record<string, number | boolean | string>

/** Versions of MQTT with which the server lets us in. */
export async function checkVersions(target: Target, findings: Findings): Promise<ProtocolVersion[]> {
  const supported: ProtocolVersion[] = []
  let refusal: string | null = null
  for (const version of [5, 4, 3] as const) {
    const { answer, ms } = await connected(target, version, loginOf(target))
    if (answer instanceof Connack && answer.reasonCode === 0) {
      supported.push(version)
      findings.add('mqtt', 'ok', `${versionNames[version]} (CONNACK after ${ms.toFixed(1)} ms)`)
    } else if (answer instanceof Connack && !isVersionRefused(answer, version)) {
      refusal = `CONNECT is refused: ${reasonOf(answer, version)}`
      findings.add('mqtt', 'fault', `${versionNames[version]}: ${refusal}`, {
        remedy: target.username === undefined ? 'give a user name and a password' : 'check user name and password',
      })
      break
    } else {
      findings.add(
        'mqtt',
        version === 3 ? 'note' : version === 5 ? 'warning' : 'fault',
        `no ${versionNames[version]}`,
        version === 3 ? {} : { remedy: 'is it switched off in the configuration?' },
      )
    }
  }
  return supported
}

const isVersionRefused = ({ reasonCode }: Connack, version: ProtocolVersion): boolean =>
  reasonCode === (version === 5 ? 0x84 : 1) || reasonCode === 0x84

const returnCodes = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'server unavailable',
  'bad user name or password',
  'not authorised',
]

function reasonOf({ reasonCode, properties }: Connack, version: ProtocolVersion): string {
  const name = version === 5 ? reasonCodeName(reasonCode) : (returnCodes[reasonCode] ?? String(reasonCode))
  return properties.reasonString === undefined ? name : `${name} (${properties.reasonString})`
}

function loginOf({ username, password }: Target): Partial<ConnectOptions> {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
  }
}

async function connected(
  target: Target,
  version: ProtocolVersion,
  options: Partial<ConnectOptions>,
): Promise<{ answer: Connack | 'closed' | 'silent'; ms: number }> {
  let wire: Wire
  try {
    wire = new Wire(await openStream(target), version)
  } catch {
    return { answer: 'closed', ms: 0 }
  }
  const before = performance.now()
  // The identifiers of 3.1 are short.
  const answer = await wire.connect(target.timeoutMs, { clientId: `doctor-${suffix()}`, ...options })
  wire.end()
  return { answer, ms: performance.now() - before }
}

/** Checks who is let in: nobody should be who gives no name, or a wrong password. */
export async function checkLogins(target: Target, findings: Findings, version: ProtocolVersion): Promise<void> {
  const isLocal = /^(?:localhost|127\.|::1$)/.test(target.host) || target.scheme === 'unix'
  const isIn = async (options: Partial<ConnectOptions>): Promise<boolean> => {
    const { answer } = await connected(target, version, options)
    return answer instanceof Connack && answer.reasonCode === 0
  }
  if (await isIn({})) {
    findings.add(
      'logins',
      isLocal ? 'note' : 'warning',
      'clients without a user name are let in',
      isLocal ? {} : { remedy: 'allow_anonymous false, and a password file' },
    )
  } else findings.add('logins', 'ok', 'clients without a user name are refused')
  const wrong = { username: `nobody-${suffix()}`, password: Buffer.from(suffix()) }
  if (await isIn(wrong)) {
    findings.add(
      'logins',
      isLocal ? 'note' : 'warning',
      'any user name and password are let in',
      isLocal ? {} : { remedy: 'give the server a password file' },
    )
  }
  if (!target.isTls && !isLocal && target.password !== undefined) {
    findings.add('logins', 'warning', 'the password went over the network in plain text', {
      remedy: 'use TLS: mqtts:// or wss://',
    })
  }
}

const limitNames: readonly (readonly [name: string, field: keyof Properties, unlimited: number | boolean | string])[] =
  [
    ['Maximum QoS', 'maximumQoS', 2],
    ['Retain Available', 'retainAvailable', true],
    ['Maximum Packet Size', 'maximumPacketSize', 'none'],
    ['Receive Maximum', 'receiveMaximum', 65_535],
    ['Topic Alias Maximum', 'topicAliasMaximum', 0],
    ['Server Keep Alive', 'serverKeepAliveSeconds', 'ours'],
    ['Session Expiry Interval', 'sessionExpiryIntervalSeconds', 'ours'],
    ['Wildcard Subscription Available', 'wildcardSubscriptionAvailable', true],
    ['Subscription Identifier Available', 'subscriptionIdentifierAvailable', true],
    ['Shared Subscription Available', 'sharedSubscriptionAvailable', true],
  ]

function limitsOf(properties: Properties): Limits {
  return Object.fromEntries(
    limitNames.map(([name, field, unlimited]) => [
      name,
      (properties[field] as number | boolean | undefined) ?? unlimited,
    ]),
  )
}

/** Tries the features with a client. @returns the limits of the server; null: there was no connection */
export async function checkFeatures(
  target: Target,
  findings: Findings,
  version: ProtocolVersion,
): Promise<Limits | null> {
  const trial = new Trial(target, findings, version)
  try {
    return await trial.run()
  } finally {
    await trial.end()
  }
}

class Trial {
  readonly #target: Target
  readonly #findings: Findings
  readonly #version: ProtocolVersion
  readonly #topic: string
  readonly #clients: Client[] = []

  constructor(target: Target, findings: Findings, version: ProtocolVersion) {
    this.#target = target
    this.#findings = findings
    this.#version = version
    this.#topic = `${target.topic}/${suffix()}`
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close({ drainMs: 0 })))
  }

  async #client(options: Parameters<typeof clientOf>[1] = {}): Promise<Client> {
    const client = clientOf(this.#target, { protocolVersion: this.#version, ...options })
    this.#clients.push(client)
    return await client.connect()
  }

  async run(): Promise<Limits | null> {
    let client: Client
    try {
      client = await this.#client({ sessionExpiryIntervalSeconds: 60, clientId: `recado-doctor-${suffix()}` })
    } catch (error) {
      this.#findings.add('features', 'fault', `no connection: ${(error as Error).message}`)
      return null
    }
    const state = client.state
    const limits = state.name === 'connected' ? limitsOf(state.session.properties) : {}
    if (this.#version === 5) {
      for (const [name, value] of Object.entries(limits)) this.#findings.add('limits', 'note', `${name}: ${value}`)
    }
    await this.#roundTrips(client, limits)
    await this.#try('retained messages', () => this.#retained(client))
    await this.#try('Wills', () => this.#will(client))
    await this.#try('sessions that outlive their connections', () => this.#session())
    await this.#try('Shared Subscriptions', () => this.#shared(client))
    await this.#try('a payload of 200,000 bytes', () => this.#large(client, limits))
    if (this.#version === 5) {
      await this.#try('properties from publisher to subscriber', () => this.#properties(client))
      await this.#try('No Local', () => this.#noLocal(client))
      await this.#try('Message Expiry Interval', () => this.#expiry())
    }
    return limits
  }

  /** Says whether something works; `run` returns null, or what was found instead. */
  async #try(what: string, run: () => Promise<string | null>): Promise<void> {
    const { timeoutMs } = this.#target
    try {
      const problem = await within(timeoutMs, what, run())
      this.#findings.add('features', problem === null ? 'ok' : 'fault', problem === null ? what : `${what}: ${problem}`)
    } catch (error) {
      const isDenied = error instanceof SubscribeError || error instanceof PublishError
      const state = isDenied ? 'note' : error instanceof MqttError ? 'warning' : 'fault'
      const remedy = isDenied
        ? { remedy: `allowed are perhaps other topics: --topic TOPIC (now ${this.#target.topic})` }
        : {}
      this.#findings.add('features', state, `${what}: ${(error as Error).message}`, remedy)
    }
  }

  /** Returns the first message of a subscription that meets the condition. */
  async #heard(
    client: Client,
    filter: string,
    options: object,
    act: () => Promise<unknown>,
    fits: (message: Message) => boolean = () => true,
  ): Promise<Message> {
    let hear: (message: Message) => void = () => {}
    const heard = new Promise<Message>((resolve) => {
      hear = resolve
    })
    const subscription = client.subscribe(filter, { literal: true, ...options }, (message) => {
      if (fits(message)) hear(message)
    })
    try {
      await subscription.ready
      await act()
      return await within(this.#target.timeoutMs, 'the message', heard)
    } finally {
      await subscription.unsubscribe().catch(() => undefined)
    }
  }

  async #roundTrips(client: Client, limits: Limits): Promise<void> {
    for (const qos of [0, 1, 2] as const) {
      if (qos > Number(limits['Maximum QoS'] ?? 2)) continue
      await this.#try(`QoS ${qos}`, async () => {
        const topic = `${this.#topic}/qos${qos}`
        let before = 0
        const message = await this.#heard(client, topic, { qos }, async () => {
          before = performance.now()
          await client.publish(topic, 'x', { qos })
        })
        const ms = performance.now() - before
        if (message.qos !== qos) return `it comes with QoS ${message.qos}`
        if (ms > 1_000)
          this.#findings.add('features', 'warning', `a message of QoS ${qos} takes ${ms.toFixed(0)} ms there and back`)
        return null
      })
    }
  }

  async #retained(client: Client): Promise<string | null> {
    const topic = `${this.#topic}/retained`
    await client.publish(topic, 'kept', { qos: 1, retain: true })
    try {
      const message = await this.#heard(client, topic, { qos: 1 }, async () => undefined)
      return message.retain && message.text() === 'kept' ? null : 'it comes without RETAIN'
    } finally {
      await client.publish(topic, '', { qos: 1, retain: true })
    }
  }

  async #will(client: Client): Promise<string | null> {
    const topic = `${this.#topic}/will`
    const message = await this.#heard(client, topic, { qos: 1 }, async () => {
      const mortal = await this.#client({ will: { topic, payload: 'gone', qos: 1 } })
      mortal.destroy()
    })
    return message.text() === 'gone' ? null : 'another message came'
  }

  async #session(): Promise<string | null> {
    const clientId = `recado-doctor-${suffix()}`
    const topic = `${this.#topic}/session`
    const kept = { clientId, cleanStart: false, sessionExpiryIntervalSeconds: 60 }
    const before = await this.#client(kept)
    await before.subscribe(topic, { qos: 1, literal: true }, () => undefined).ready
    await before.close()
    const other = await this.#client()
    await other.publish(topic, 'waited', { qos: 1 })
    const after = clientOf(this.#target, { protocolVersion: this.#version, ...kept })
    this.#clients.push(after)
    const heard = new Promise<Message>((resolve) => {
      after.onMessage = resolve
    })
    await after.connect()
    try {
      const state = after.state
      if (state.name === 'connected' && !state.session.sessionPresent)
        return 'the session is gone when the client comes back'
      const message = await within(this.#target.timeoutMs, 'the message that waited', heard)
      return message.text() === 'waited' ? null : 'another message came'
    } finally {
      await after.close({ properties: this.#version === 5 ? { sessionExpiryIntervalSeconds: 0 } : {} })
      if (this.#version < 5) await (await this.#client({ clientId, cleanStart: true })).close()
    }
  }

  async #shared(client: Client): Promise<string | null> {
    const topic = `${this.#topic}/shared`
    const message = await this.#heard(client, `$share/doctor/${topic}`, { qos: 1 }, () =>
      client.publish(topic, 'x', { qos: 1 }),
    )
    return message.topic === topic ? null : `it comes with the topic ${message.topic}`
  }

  async #large(client: Client, limits: Limits): Promise<string | null> {
    const size = Math.min(200_000, Number(limits['Maximum Packet Size']) - 1_000 || 200_000)
    const topic = `${this.#topic}/large`
    const payload = new Uint8Array(size).fill(0x61)
    const message = await this.#heard(client, topic, { qos: 1 }, () => client.publish(topic, payload, { qos: 1 }))
    return message.payload.length === size ? null : `${message.payload.length} bytes of ${size} come`
  }

  async #properties(client: Client): Promise<string | null> {
    const topic = `${this.#topic}/properties`
    const properties = {
      contentType: 'text/plain',
      responseTopic: topic,
      correlationData: Uint8Array.of(1, 2),
      payloadFormatIndicator: 1 as const,
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ] as [string, string][],
    }
    const { properties: come } = await this.#heard(client, topic, { qos: 1 }, () =>
      client.publish(topic, 'x', { qos: 1, properties }),
    )
    const pairs = JSON.stringify(come.userProperties)
    if (come.contentType !== 'text/plain' || come.responseTopic !== topic || come.payloadFormatIndicator !== 1)
      return 'one is missing'
    if (Buffer.from(come.correlationData ?? []).toString('hex') !== '0102') return 'Correlation Data is another'
    return pairs === '[["a","1"],["a","2"]]' ? null : `User Properties come as ${pairs}`
  }

  async #noLocal(client: Client): Promise<string | null> {
    const topic = `${this.#topic}/local`
    let own = 0
    const subscription = client.subscribe(topic, { noLocal: true, qos: 1, literal: true }, (message) => {
      if (message.text() === 'own') own++
    })
    await subscription.ready
    await client.publish(topic, 'own', { qos: 1 })
    const other = await this.#client()
    await this.#heard(client, `${topic}/after`, { qos: 1 }, () => other.publish(`${topic}/after`, 'x', { qos: 1 }))
    await subscription.unsubscribe()
    return own === 0 ? null : 'our own message comes back'
  }

  async #expiry(): Promise<string | null> {
    const topic = `${this.#topic}/expiry`
    const client = await this.#client()
    const qos: QoS = 1
    const message = await this.#heard(client, topic, { qos }, () =>
      client.publish(topic, 'x', { qos, properties: { messageExpiryIntervalSeconds: 600 } }),
    )
    const left = message.properties.messageExpiryIntervalSeconds
    return left !== undefined && left <= 600 ? null : `it comes with ${left ?? 'none'}`
  }
}
