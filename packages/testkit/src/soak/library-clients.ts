/**
 * The durable clients of a soak run that are libraries: @recado/client and MQTT.js, each publishing and subscribing.
 *
 * `soak-broker.ts` makes them beside the plain state machines of the crash run. Each keeps one session for the whole
 * run and reconnects by itself. A message counts as acknowledged when the library says so; received messages go to the
 * `Inbox` that judges them.
 */
import { type Client, createClient } from '@recado/client'
import mqtt, { type MqttClient } from 'mqtt'
import { encodePayload, type Inbox, type Stream } from '../crash/ledger.ts'
import type { Random } from '../random.ts'

/** Client that publishes when it is told to, and knows what it still waits for. */
export interface Source {
  readonly name: string
  readonly streams: readonly Stream[]
  readonly unacknowledged: number
  /** Publishes this many messages, as far as it may. */
  publish(messages: number): void
}

export interface LibraryClient extends Source {
  /** Resolves when it is subscribed. */
  start(): Promise<void>
  stop(): Promise<void>
}

export interface LibraryOptions {
  name: string
  port: number
  random: Random
  streams: readonly Stream[]
  topicFilter: string
  qos: 1 | 2
  inbox: Inbox
  onFault: (what: string) => void
}

/** Largest number of unacknowledged messages; above it the publisher waits. */
const WINDOW = 20
const SESSION_SECONDS = 86_400

abstract class Base implements Source {
  readonly name: string
  readonly streams: readonly Stream[]
  protected readonly options: LibraryOptions
  unacknowledged = 0

  constructor(options: LibraryOptions) {
    this.options = options
    this.name = options.name
    this.streams = options.streams
  }

  publish(messages: number): void {
    for (let n = 0; n < messages && this.unacknowledged < WINDOW; n++) {
      const stream = this.streams[this.options.random.between(0, this.streams.length - 1)]
      if (stream === undefined) return
      const number = ++stream.sent
      this.unacknowledged++
      this.send(stream, encodePayload(stream.id, number), (isAcknowledged) => {
        this.unacknowledged--
        if (isAcknowledged) stream.acknowledge(number)
      })
    }
  }

  protected abstract send(stream: Stream, payload: Uint8Array, onDone: (isAcknowledged: boolean) => void): void
}

export class RecadoClient extends Base implements LibraryClient {
  readonly #client: Client

  constructor(options: LibraryOptions) {
    super(options)
    const { name, port, inbox, topicFilter, qos, onFault } = options
    this.#client = createClient(`mqtt://127.0.0.1:${port}`, {
      clientId: name,
      cleanStart: false,
      sessionExpiryIntervalSeconds: SESSION_SECONDS,
      keepAliveSeconds: 30,
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 500 },
    })
    this.#client.onHandlerError = (error) => onFault(`${name}: ${String(error)}`)
    this.#subscription = this.#client.subscribe(topicFilter, { qos }, (message) =>
      inbox.handle(message.topic, message.payload, { connection: 0, packetId: message.packetId, dup: message.dup }),
    )
    this.#client.closed.then((error) => {
      if (error !== null) onFault(`${name}: closed by itself: ${error.message}`)
    })
  }

  readonly #subscription: { readonly ready: Promise<unknown> }

  async start(): Promise<void> {
    await this.#client.connect()
    await this.#subscription.ready
  }

  async stop(): Promise<void> {
    await this.#client.close({ drainMs: 0 })
  }

  protected override send(
    { topic, qos }: Stream,
    payload: Uint8Array,
    onDone: (isAcknowledged: boolean) => void,
  ): void {
    this.#client.publish(topic, payload, { qos }).then(
      () => onDone(true),
      () => onDone(false), // it was never reported as safe
    )
  }
}

export class MqttJsClient extends Base implements LibraryClient {
  readonly #client: MqttClient

  constructor(options: LibraryOptions) {
    super(options)
    const { name, port, inbox } = options
    this.#client = mqtt.connect({
      host: '127.0.0.1',
      port,
      clientId: name,
      protocolVersion: 5,
      clean: false,
      properties: { sessionExpiryInterval: SESSION_SECONDS },
      keepalive: 30,
      reconnectPeriod: 200,
      connectTimeout: 10_000,
      manualConnect: true, // a subscription on a failing connection is rejected
    })
    this.#client.on('error', () => undefined) // it reconnects
    this.#client.on('message', (topic, payload, packet) => {
      inbox.handle(topic, payload, { connection: 0, packetId: packet.messageId ?? 0, dup: packet.dup })
    })
  }

  async start(): Promise<void> {
    const connected = new Promise((resolve) => this.#client.once('connect', resolve))
    this.#client.connect()
    await connected
    await this.#client.subscribeAsync(this.options.topicFilter, { qos: this.options.qos })
  }

  async stop(): Promise<void> {
    await this.#client.endAsync(true)
  }

  protected override send(
    { topic, qos }: Stream,
    payload: Uint8Array,
    onDone: (isAcknowledged: boolean) => void,
  ): void {
    this.#client.publish(topic, Buffer.from(payload), { qos }, (error) => onDone(!error))
  }
}
