/**
 * A client in a `World`: says what a test tells it to, one chunk a call, and keeps what it is told.
 *
 * It is as dumb as can be: it does not check what it sends, so that tests can break every rule. What comes in goes
 * through a client's decoder, so a broker that sends something malformed fails the test. With `acknowledges` it
 * answers PUBLISH and PUBREL as a client should.
 */
import assert from 'node:assert/strict'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  Disconnect,
  encode,
  NO_PROPERTIES,
  type Packet,
  type Properties,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
  type Will,
} from '@recado/protocol'
import type { ListenerSettings } from '../core/connection/listener-settings.ts'
import type { Peer } from '../ports.ts'
import { SimTransport } from './sim-transport.ts'
import type { World } from './world.ts'

export interface TestClientOptions {
  version?: ProtocolVersion
  remoteAddress?: string
  listener?: string
  peer?: Peer
  /** Settings of the listener. */
  settings?: ListenerSettings
}

/** Fields of a PUBLISH, for `deepEqual`. */
export interface Delivered {
  topic: string
  payload: string
  qos: QoS
  retain: boolean
  dup: boolean
  packetId: number
  properties: Properties
}

export interface PublishFields {
  topic: string
  payload?: string | Uint8Array
  qos?: QoS
  retain?: boolean
  dup?: boolean
  packetId?: number
  properties?: Properties
}

/** A Will with what is not said filled in. */
export function will(o: Partial<Omit<Will, 'payload'>> & { topic: string; payload?: string }): Will {
  return {
    topic: o.topic,
    payload: new TextEncoder().encode(o.payload ?? ''),
    qos: o.qos ?? 0,
    retain: o.retain ?? false,
    properties: o.properties ?? NO_PROPERTIES,
  }
}

export function delivered(publish: Publish): Delivered {
  return {
    topic: publish.topic,
    payload: new TextDecoder().decode(publish.payload),
    qos: publish.qos,
    retain: publish.retain,
    dup: publish.dup,
    packetId: publish.packetId,
    properties: { ...publish.properties },
  }
}

type PacketClass<T extends Packet> = abstract new (...args: never[]) => T

export class TestClient {
  readonly clientId: string
  readonly version: ProtocolVersion
  readonly #world: World
  readonly #options: TestClientOptions
  #transport: SimTransport | null = null
  #nextPacketId = 1
  /** Packets that have come in and have not been taken. */
  readonly received: Packet[] = []
  /** Answers PUBLISH and PUBREL by itself; PUBRELs are then not kept. */
  acknowledges = false
  /** Cuts what is sent into chunks of these sizes. */
  chunkSizes: readonly number[] = []

  constructor(world: World, clientId: string, options: TestClientOptions = {}) {
    this.#world = world
    this.clientId = clientId
    this.version = options.version ?? 5
    this.#options = options
  }

  get transport(): SimTransport {
    assert.ok(this.#transport !== null, `${this.clientId} has never been connected`)
    return this.#transport
  }

  get isClosed(): boolean {
    return this.#transport === null || this.#transport.isClosed
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  /** Opens a Network Connection; nothing is sent. */
  open(): this {
    const decoder = new Decoder({ role: 'client', protocolVersion: this.version })
    const transport = new SimTransport(this.#world.clock, (bytes) => this.#onBytes(decoder, bytes), this.#options)
    this.#transport = transport
    this.#world.accept(transport, this.#options.settings)
    this.#world.run()
    return this
  }

  /** Sends CONNECT, on a new Network Connection if there is none. Clean Start unless told otherwise. */
  connect(options: Partial<ConnectOptions> = {}): this {
    if (this.isClosed) this.open()
    return this.send(
      new Connect({
        protocolVersion: this.version,
        cleanStart: true,
        keepAliveSeconds: 60,
        clientId: this.clientId,
        ...options,
      }),
    )
  }

  /** `connect`, and the CONNACK must say yes. What it waits for gets to the disk. */
  connected(options: Partial<ConnectOptions> = {}): Connack {
    this.connect(options)
    this.#world.commitUntil(() => this.received.some((packet) => packet instanceof Connack))
    const connack = this.take(Connack)
    assert.equal(connack.reasonCode, 0, 'CONNACK refuses')
    return connack
  }

  /** Sends the packets in one chunk, then a turn runs. */
  send(...packets: Packet[]): this {
    const pieces = packets.map((packet) => encode(packet, this.version))
    return this.sendBytes(new Uint8Array(Buffer.concat(pieces)))
  }

  sendBytes(bytes: Uint8Array): this {
    this.transport.receive(bytes, this.chunkSizes)
    this.#world.run()
    return this
  }

  /** Sends a PUBLISH; returns its packet id (0 at QoS 0). */
  publish(fields: PublishFields): number {
    const packet = this.makePublish(fields)
    this.send(packet)
    return packet.packetId
  }

  makePublish({ payload, ...fields }: PublishFields): Publish {
    const packetId = fields.packetId ?? (fields.qos ? this.packetId() : 0)
    const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : (payload ?? new Uint8Array(0))
    return Publish.of({ ...fields, payload: bytes, packetId })
  }

  packetId(): number {
    return this.#nextPacketId++
  }

  /** Sends a SUBSCRIBE for one filter and takes the SUBACK; returns its Reason Code. */
  subscribe(topicFilter: string, options: Partial<Subscription> & { identifier?: number } = {}): number {
    const { identifier, ...subscription } = options
    const properties = identifier === undefined ? NO_PROPERTIES : { subscriptionIdentifiers: [identifier] }
    this.send(new Subscribe(this.packetId(), [subscriptionTo(topicFilter, subscription)], properties))
    return this.take(Suback).reasonCodes[0]!
  }

  unsubscribe(topicFilter: string): number {
    this.send(new Unsubscribe(this.packetId(), [topicFilter]))
    return this.take(Unsuback).reasonCodes[0] ?? 0
  }

  /** Sends DISCONNECT; the broker closes. */
  disconnect(reasonCode = 0, properties: Properties = NO_PROPERTIES): this {
    return this.send(new Disconnect(reasonCode, properties))
  }

  /** The Network Connection is lost. */
  drop(error: Error | null = null): this {
    this.transport.drop(error)
    this.#world.run()
    return this
  }

  /** Stops reading. */
  block(): this {
    this.transport.block()
    return this
  }

  /** Reads again: what is held, and all that follows (or, `once`, only what is held). */
  drain(once = false): this {
    this.transport.drain(once)
    this.#world.run()
    return this
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  /** Returns the next packet, which must be one of this type. */
  take<T extends Packet>(type: PacketClass<T>): T {
    const packet = this.received.shift()
    if (packet instanceof type) return packet
    // Only now: the words about a packet cost more than all the rest, and a test takes thousands.
    if (packet === undefined) assert.fail(`${this.clientId} expects ${type.name} and there is no packet`)
    assert.fail(`${this.clientId} expects ${type.name} and gets ${packet.constructor.name} ${JSON.stringify(packet)}`)
  }

  /** Returns the next packet, which must be a PUBLISH. */
  takePublish(): Delivered {
    return delivered(this.take(Publish))
  }

  /** Returns the payloads of all PUBLISH packets that are next. */
  takePayloads(): string[] {
    const payloads: string[] = []
    while (this.received[0] instanceof Publish) payloads.push(this.takePublish().payload)
    return payloads
  }

  /** Returns everything that has come in. */
  takeAll(): Packet[] {
    return this.received.splice(0)
  }

  /** Nothing has come in that was not taken. */
  hasNothing(): void {
    assert.deepEqual(
      this.received.map((packet) => packet.constructor.name),
      [],
      `${this.clientId} expects nothing`,
    )
  }

  /** The broker has ended the connection; before 5.0 without a word, in 5.0 with this Reason Code. */
  isDisconnectedWith(reasonCode: number): Disconnect | null {
    let disconnect: Disconnect | null = null
    if (this.version === 5) {
      disconnect = this.take(Disconnect)
      assert.equal(disconnect.reasonCode, reasonCode)
    }
    this.hasNothing()
    assert.ok(this.isClosed, `${this.clientId} should have been disconnected`)
    return disconnect
  }

  #onBytes(decoder: Decoder, bytes: Uint8Array): void {
    decoder.push(bytes)
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
      if (!(this.acknowledges && this.#acknowledge(packet))) this.received.push(packet)
    }
  }

  /** Returns true when the packet is not to be kept. */
  #acknowledge(packet: Packet): boolean {
    if (packet instanceof Publish && packet.qos > 0) {
      this.#answer(packet.qos === 1 ? new Puback(packet.packetId) : new Pubrec(packet.packetId))
      return false
    }
    if (!(packet instanceof Pubrel)) return false
    this.#answer(new Pubcomp(packet.packetId))
    return true
  }

  /** Later: the broker is still writing. */
  #answer(packet: Packet): void {
    const { transport } = this
    this.#world.clock.defer(() => {
      if (!transport.isClosed) transport.receive(encode(packet, this.version))
    })
  }
}

/** Returns a Subscription with the options of 3.1.1 where nothing else is said. */
export function subscriptionTo(topicFilter: string, options: Partial<Subscription> = {}): Subscription {
  return { topicFilter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, ...options }
}
