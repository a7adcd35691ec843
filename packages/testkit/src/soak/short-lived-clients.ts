/**
 * The churn of a soak run: clients that connect, do one thing and leave, with DISCONNECT or without. `soak-broker.ts`
 * starts one every so often.
 *
 * They use everything that the durable clients do not: clean and short-lived sessions, Wills, expiring messages, Shared
 * Subscriptions, unsubscribing, readers that do not read, half packets, nonsense, and Mosquitto's own programs. Their
 * messages are owed to no subscriber; whatever they leave in the broker must vanish by itself. A failure here is caused
 * by the network, and counted.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { type Client, type ConnectOptions, connect } from '@recado/client'
import { Connect, encode, NO_PROPERTIES, Publish, Subscribe } from '@recado/protocol'
import { Child } from '../peers/child.ts'
import { findPeer } from '../peers/find.ts'
import type { Random } from '../random.ts'

/** Largest number at a time; above it new ones stay away. */
const CLIENTS_MAX = 16
/** Number of Client Identifiers of those that return to a session of their own. */
const REGULARS = 8

type Kind = readonly [kind: string, visit: () => Promise<void>]

export class ShortLivedClients {
  readonly #port: number
  readonly #webSocketPort: number
  readonly #random: Random
  readonly #present: Set<Promise<void>> = new Set()
  readonly #sockets: Set<Socket> = new Set()
  readonly #regulars: Set<string> = new Set()
  #number = 0
  /** Number of visits done, by kind; and of those that were cut short. */
  readonly counts: Record<string, number> = {}
  failed = 0

  constructor(port: number, webSocketPort: number, random: Random) {
    this.#port = port
    this.#webSocketPort = webSocketPort
    this.#random = random
  }

  /** Starts one more client, unless as many as may be are there. */
  startOne(): void {
    if (this.#present.size >= CLIENTS_MAX) return
    const [kind, visit] = this.#kinds[this.#random.between(0, this.#kinds.length - 1)] as Kind
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
    const visiting = visit
      .call(this)
      .catch(() => {
        this.failed++
      })
      .finally(() => this.#present.delete(visiting))
    this.#present.add(visiting)
  }

  /** Resolves when all have left. */
  async leave(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.allSettled(this.#present)
  }

  readonly #kinds: readonly Kind[] = [
    ['clean session', this.#visit],
    ['clean session', this.#visit],
    ['session left behind', this.#leaveSession],
    ['session left behind', this.#leaveSession],
    ['regular', this.#returnToSession],
    ['regular', this.#returnToSession],
    ['shared subscription', this.#share],
    ['WebSocket', this.#visitByWebSocket],
    ['slow reader', this.#readSlowly],
    ['half packet', this.#sendHalf],
    ['nonsense', this.#sendNonsense],
    ['mosquitto_pub', this.#mosquittoPub],
    ['mosquitto_sub', this.#mosquittoSub],
  ]

  #connect(
    clientId: string,
    more: ConnectOptions = {},
    url: string = `mqtt://127.0.0.1:${this.#port}`,
  ): Promise<Client> {
    return connect(url, {
      clientId,
      reconnect: false,
      connectTimeoutMs: 10_000,
      protocolVersion: this.#random.chance(0.6) ? 5 : 4,
      ...more,
    })
  }

  #name(kind: string): string {
    return `${kind}-${this.#number++}`
  }

  #qos(): 0 | 1 | 2 {
    return this.#random.between(0, 2) as 0 | 1 | 2
  }

  async #visit(): Promise<void> {
    const name = this.#name('visitor')
    await this.#talk(name, await this.#connect(name))
  }

  async #visitByWebSocket(): Promise<void> {
    const name = this.#name('web')
    await this.#talk(name, await this.#connect(name, {}, `ws://127.0.0.1:${this.#webSocketPort}/mqtt`))
  }

  /** Subscribes, publishes to itself, waits for that, unsubscribes, leaves. */
  async #talk(name: string, client: Client): Promise<void> {
    try {
      const own = client.subscribe([`visit/${name}/+`, `visit/+/${this.#random.between(0, 9)}`], { qos: this.#qos() })
      const busy = client.subscribe('soak/+/q1/#', { qos: this.#qos() }, () => undefined)
      await Promise.all([own.ready, busy.ready])
      await client.publish(`visit/${name}/${this.#random.between(0, 9)}`, 'x'.repeat(this.#random.between(0, 3_000)), {
        qos: this.#qos(),
      })
      await own.next()
      if (this.#random.chance(0.5)) await busy.unsubscribe()
    } finally {
      await client.close({ drainMs: 1_000 })
    }
  }

  /** Leaves without DISCONNECT, with a Will; its session and its queue are to expire. */
  async #leaveSession(): Promise<void> {
    const name = this.#name('leaver')
    const client = await this.#connect(name, {
      protocolVersion: 5,
      sessionExpiryIntervalSeconds: this.#random.between(0, 15),
      will: {
        topic: `visit/${name}/will`,
        payload: 'gone',
        qos: this.#qos(),
        properties: { willDelayIntervalSeconds: this.#random.between(0, 4) },
      },
    })
    await client.subscribe('soak/#', { qos: this.#qos() }, () => undefined).ready
    await after(this.#random.between(0, 500))
    client.destroy()
  }

  /** Returns to a longer session, changes its subscriptions and gets messages that expire. */
  async #returnToSession(): Promise<void> {
    const name = `regular-${this.#random.between(0, REGULARS - 1)}`
    if (this.#regulars.has(name)) return
    this.#regulars.add(name)
    try {
      const client = await this.#connect(name, {
        protocolVersion: 5,
        cleanStart: this.#random.chance(0.2),
        sessionExpiryIntervalSeconds: 120,
      })
      try {
        const filter = `pool/${this.#random.between(0, 9)}/#`
        if (this.#random.chance(0.6)) await client.subscribe(filter, { qos: 1 }, () => undefined).ready
        else await client.unsubscribe(filter)
        await client.publish(`pool/${this.#random.between(0, 9)}/news`, 'expires', {
          qos: 1,
          properties: { messageExpiryIntervalSeconds: this.#random.between(1, 20) },
        })
        await after(this.#random.between(0, 1_000))
      } finally {
        await client.close({ drainMs: 0 })
      }
    } finally {
      this.#regulars.delete(name)
    }
  }

  /** Joins a group whose members come and go, and leaves it. */
  async #share(): Promise<void> {
    const client = await this.#connect(this.#name('member'), { protocolVersion: 5 })
    try {
      await client.subscribe('$share/crowd/visit/#', { qos: this.#qos() }, () => undefined).ready
      await after(this.#random.between(0, 3_000))
    } finally {
      await client.close({ drainMs: 0 })
    }
  }

  /** Subscribes to everything and reads nothing. */
  async #readSlowly(): Promise<void> {
    const socket = await this.#socket()
    const clientId = this.#name('slow')
    socket.write(encode(connectPacket(clientId), 5))
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    socket.write(encode(new Subscribe(1, [{ topicFilter: 'soak/#', qos: this.#qos(), ...options }]), 5))
    socket.pause()
    await after(this.#random.between(1_000, 12_000))
    socket.destroy()
  }

  /** Leaves a connection open in the middle of a packet. */
  async #sendHalf(): Promise<void> {
    const socket = await this.#socket()
    const name = this.#name('half')
    const packets = Buffer.concat([
      encode(connectPacket(name), 5),
      encode(Publish.of({ topic: `visit/${name}`, payload: new Uint8Array(2_000), qos: 1, packetId: 1 }), 5),
    ])
    socket.write(packets.subarray(0, this.#random.between(1, packets.length - 1)))
    await after(this.#random.between(100, 8_000))
    socket.destroy()
  }

  async #sendNonsense(): Promise<void> {
    const socket = await this.#socket()
    if (this.#random.chance(0.5)) socket.write(encode(connectPacket(this.#name('nonsense')), 5))
    socket.write(Uint8Array.from({ length: this.#random.between(2, 200) }, () => this.#random.between(0, 255)))
    await after(this.#random.between(0, 500))
    socket.destroy()
  }

  async #mosquittoPub(): Promise<void> {
    const peer = findPeer('mosquitto_pub')
    if ('skip' in peer) return
    const args = ['-q', String(this.#qos()), '-t', `visit/${this.#name('mosquitto')}`, '-m', 'hello']
    await this.#run(peer.path, args)
  }

  async #mosquittoSub(): Promise<void> {
    const peer = findPeer('mosquitto_sub')
    if ('skip' in peer) return
    const session = this.#random.chance(0.5) ? ['-c', '-i', `regular-mosquitto-${this.#random.between(0, 2)}`] : []
    await this.#run(peer.path, [...session, '-q', String(this.#qos()), '-t', 'visit/#', '-W', '2'])
  }

  async #run(command: string, args: readonly string[]): Promise<void> {
    const child = new Child(command, ['-h', '127.0.0.1', '-p', String(this.#port), ...args], { input: '' })
    await child.wait()
  }

  #socket(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connectSocket({ port: this.#port, host: '127.0.0.1', noDelay: true })
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      socket.once('connect', () => resolve(socket))
      socket.on('error', reject)
      socket.on('data', () => undefined)
    })
  }
}

function connectPacket(clientId: string): Connect {
  return new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 20,
    clientId,
    properties: NO_PROPERTIES,
  })
}
