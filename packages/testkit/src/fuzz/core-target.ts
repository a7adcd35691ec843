/**
 * A whole broker core under clients that break every rule, in simulated time, with a simulated disk on demand.
 *
 * An input is a script (`session-script.ts`). Invariants: no error of our own (`core.failed`, `hook.failed`), and
 * nothing thrown; every packet of the broker is well-formed for its client; a bystander that publishes to itself gets
 * every message once and in order, all the while; when the hostile clients are gone and their sessions expired, nothing
 * of them is left: connections, clients, sessions, subscriptions, filters, timers.
 */
import { SimStore, SimTransport, World } from '@recado/broker/testing'
import { Decoder, type Packet, PacketType, ProtocolError, type ProtocolVersion } from '@recado/protocol'
import { describe } from './decoder-target.ts'
import { CONNECTIONS, Do, mutateScript, seedScripts, stepsOf } from './session-script.ts'
import { Finding, type FuzzTarget } from './target.ts'

const WITH_STORE = 0x01
const SPLIT = 0x02
const SMALL_LIMITS = 0x04
const DROP_OLDEST = 0x08
const RATES = 0x10

/** Connection of a hostile client that checks the answers. */
class HostileClient {
  readonly transport: SimTransport
  readonly #sent: Decoder = new Decoder({ role: 'server' })
  #received: Decoder | null = null
  #version: ProtocolVersion | null = null

  constructor(world: World) {
    this.transport = new SimTransport(world.clock, (bytes) => this.#onBytes(bytes))
    world.accept(this.transport)
  }

  send(bytes: Uint8Array, chunkSizes: readonly number[]): void {
    if (this.transport.isClosed) return
    this.#learnVersion(bytes)
    this.transport.receive(bytes, chunkSizes)
  }

  /** Learns the version that the broker takes it for: that of its CONNECT. */
  #learnVersion(bytes: Uint8Array): void {
    if (this.#version !== null) return
    this.#sent.push(bytes.slice())
    try {
      if (this.#sent.read() !== null) this.#version = this.#sent.protocolVersion
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#version = this.#sent.protocolVersion
    }
  }

  #onBytes(bytes: Uint8Array): void {
    // An answer to a version that does not exist is in the manner of the nearest one that does.
    if (this.#received === null) {
      const isCompact = bytes.length === 4 && bytes[0] === 0x20
      this.#received = new Decoder({ role: 'client', protocolVersion: isCompact ? 4 : (this.#version ?? 4) })
      if (this.#version === 5) this.#received.protocolVersion = 5
      if (isCompact && this.#version !== 5) this.#received.protocolVersion = this.#version ?? 4
      if (bytes.length > 4 && bytes[0] === 0x20 && bytes[1]! > 2) this.#received.protocolVersion = 5
    }
    this.#received.push(bytes)
    try {
      let packet: Packet | null
      do packet = this.#received.read()
      while (packet !== null)
    } catch (error) {
      throw new Finding(`the broker sends what a client refuses: ${describe(error)}`)
    }
  }
}

function run(input: Uint8Array): void {
  if (input.length === 0) return
  const head = input[0]!
  const store = head & WITH_STORE ? new SimStore() : null
  const world = new World({
    store,
    // With `reject`, a hostile client with a full queue makes the bystander's message be refused: that is its purpose.
    ...(head & (DROP_OLDEST | SMALL_LIMITS) ? { overflow: 'drop-oldest' as const } : {}),
    limits: {
      sessionExpirySecondsMax: 600,
      ...(head & SMALL_LIMITS
        ? {
            queueMessagesMax: 2,
            inflightMax: 2,
            receiveMaximum: 2,
            subscriptionsMax: 2,
            packetBytesMax: 500,
            outputBytesMax: 1024,
          }
        : {}),
      ...(head & RATES ? { messagesPerSecondMax: 3, bytesPerSecondMax: 300, rateGraceMs: 2_000 } : {}),
    },
  })
  // A disk that writes at once, in a turn of its own
  if (store !== null) store.onWrite = () => world.clock.defer(() => store.step())
  const bystander = world.client('bystander-with-a-name-of-its-own')
  bystander.connected({ keepAliveSeconds: 0 })
  bystander.subscribe('by/stander', { qos: 1 })
  bystander.acknowledges = true
  const chunkSizes = head & SPLIT ? [3, 1, 7, 2] : []
  const hostileClients: (HostileClient | null)[] = new Array<HostileClient | null>(CONNECTIONS).fill(null)
  let sent = 0
  for (const { connection, action, bytes } of stepsOf(input)) {
    const hostileClient = hostileClients[connection] ?? null
    if (action === Do.Wait) {
      world.advance((bytes[0] ?? 1) * 1_000)
    } else if (action === Do.Drop) {
      if (hostileClient !== null && !hostileClient.transport.isClosed) hostileClient.transport.drop()
      hostileClients[connection] = null
    } else if (action === Do.Block) {
      if (hostileClient?.transport.isBlocked) hostileClient.transport.drain()
      else hostileClient?.transport.block()
    } else {
      const fresh =
        hostileClient === null || hostileClient.transport.isClosed ? new HostileClient(world) : hostileClient
      hostileClients[connection] = fresh
      fresh.send(bytes, chunkSizes)
    }
    world.run()
    // With rate limits the bystander has some of its own: it publishes only now and then
    if (sent < 2 || !(head & RATES)) check(world, bystander, sent++)
  }
  for (const hostileClient of hostileClients) {
    if (hostileClient === null || hostileClient.transport.isClosed) continue
    hostileClient.transport.drain()
    hostileClient.transport.drop()
  }
  world.run()
  // Wills with a delay, expiry of sessions, timers of closing connections
  world.advance(700_000)
  isClean(world)
}

function check(world: World, bystander: ReturnType<World['client']>, count: number): void {
  bystander.publish({ topic: 'by/stander', qos: 1, payload: `${count}`, packetId: 1 + (count % 60_000) })
  let own = 0
  for (const packet of bystander.takeAll()) {
    if (packet.type === PacketType.PUBLISH && packet.topic === 'by/stander') {
      // Hostile clients may publish there as well
      if (new TextDecoder().decode(packet.payload) === `${count}`) own++
    } else if (packet.type === PacketType.DISCONNECT) {
      throw new Finding(`the bystander is disconnected with 0x${packet.reasonCode.toString(16)}`)
    }
  }
  if (own !== 1) throw new Finding(`the bystander gets its message ${own} times`)
  failures(world)
}

function failures(world: World): void {
  for (const { name, event } of world.events) {
    if (name === 'hook.failed' || name === 'core.failed')
      throw new Finding(`an error of our own: ${describe(event.error)}`)
  }
  world.events.length = 0
}

function isClean(world: World): void {
  failures(world)
  const expected = { connections: 1, clients: 1, sessions: 1, subscriptions: 1, queuedMessages: 0, inflight: 0 }
  const metrics = world.core.snapshot()
  for (const [name, value] of Object.entries(expected)) {
    if (metrics[name] !== value) throw new Finding(`afterwards ${name} is ${metrics[name]} and should be ${value}`)
  }
  if (world.core.router.filterCount !== 1) throw new Finding(`${world.core.router.filterCount} filters are left`)
  // At most one for the retained messages
  if (world.core.wheel.size > 1) throw new Finding(`${world.core.wheel.size} timers are left`)
}

export const coreTarget: FuzzTarget = {
  name: 'core',
  doc: 'the core of the broker in simulated time, under clients that break every rule',
  seeds: seedScripts,
  mutate: mutateScript,
  run,
  covers: [
    'connection/connection',
    'session/session',
    'session/sessions',
    'connection/handle-connect',
    'connection/handle-publish',
    'connection/handle-subscribe',
    'connection/handle-auth',
    'session/queue',
    'routing/router',
    'routing/retained',
    'session/wills',
    'routing/shared-group',
    'journal/journal',
    'connection/outbox',
    'connection/throttle',
    'core',
  ].map((file) => `/broker/dist/core/${file}.js`),
  inputBytesMax: 20_000,
  inputMsMax: 5_000,
}
