/**
 * Clients of a crash run that leave Wills, and one that reads them.
 *
 * A `WillClient` publishes a retained message that says that it is there, and has a Will that says that it is not. When
 * the broker is killed the client ends with it and stays away: after the restart its Will must come, once. A client
 * with `comesBack` has a Will Delay Interval and reconnects at once: its Will must not come. Each connection has a
 * number. The `WillReader` has a durable session and gets all of these messages at QoS 2.
 */
import { type ConnectOptions, type Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel, Subscribe } from '@recado/protocol'
import { SESSION_EXPIRY_NEVER, SessionClient } from './session-client.ts'

/** Will Delay Interval in seconds, longer than any error of the run's clock. */
const DELAY_SECONDS = 4_000_000_000
const topicOf = (clientId: string): string => `will/${clientId}`
const encoder = new TextEncoder()

export class WillClient extends SessionClient {
  /** Whether it comes back at once, and has a session. */
  comesBack = false
  #connection = 0
  #isConnected = false
  #isWillDue = false

  /**
   * Number of the connection whose Will is due; 0 when it is connected, or when it is unknown whether the broker had
   * that Will.
   */
  get dueConnection(): number {
    return this.#isWillDue ? this.#connection : 0
  }

  /** Begins a new connection. */
  reconnect(): void {
    if (this.#isConnected) return
    this.#isWillDue = false
    this.goOnline()
  }

  protected override get keepsSession(): boolean {
    return this.comesBack
  }

  protected override connectOptions(): Partial<ConnectOptions> {
    // Each CONNECT counts as a connection: for one that was not answered it is unknown whether the broker has its Will.
    if (!this.comesBack || this.#connection === 0) this.#connection++
    const will = {
      topic: topicOf(this.clientId),
      payload: encoder.encode(`dead ${this.#connection}`),
      qos: 2 as const,
      retain: true,
      properties: this.comesBack ? { willDelayIntervalSeconds: DELAY_SECONDS } : {},
    }
    if (!this.comesBack) return { cleanStart: true, will, properties: {} }
    return { will, properties: { sessionExpiryIntervalSeconds: SESSION_EXPIRY_NEVER } }
  }

  protected override resume(): void {
    this.#isConnected = true
    const payload = encoder.encode(`alive ${this.#connection}`)
    this.send(Publish.of({ topic: topicOf(this.clientId), payload, qos: 1, retain: true, packetId: 1 }))
  }

  protected override forgetConnection(): void {
    if (this.#isConnected && !this.comesBack) {
      this.#isWillDue = true
      this.goOffline(false)
    }
    this.#isConnected = false
  }

  protected override discardSession(): void {}

  protected override handle(packet: Packet): void {
    if (!(packet instanceof Puback)) this.fault(`a packet of type ${packet.type} for a client that only publishes`)
  }
}

export class WillReader extends SessionClient {
  /** Number of times that each Will has come, as `client connection`. */
  readonly wills: Map<string, number> = new Map()
  readonly #received: Set<number> = new Set()
  #isSubscribed = false
  #onSubscribed: (() => void)[] = []

  subscribed(): Promise<void> {
    if (this.#isSubscribed) return Promise.resolve()
    return new Promise((resolve) => this.#onSubscribed.push(resolve))
  }

  has(clientId: string, connection: number): boolean {
    return this.wills.has(`${clientId} ${connection}`)
  }

  protected override resume(): void {
    if (this.#isSubscribed) return
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 as const }
    this.send(new Subscribe(1, [{ topicFilter: 'will/+', qos: 2, ...options }]))
  }

  protected override discardSession(): void {
    this.#isSubscribed = false
    this.#received.clear()
  }

  protected override forgetConnection(): void {}

  protected override handle(packet: Packet): void {
    if (packet instanceof Publish) this.#handlePublish(packet)
    else if (packet instanceof Pubrel) {
      this.#received.delete(packet.packetId)
      this.send(new Pubcomp(packet.packetId))
    } else {
      this.#isSubscribed = true
      for (const resolve of this.#onSubscribed.splice(0)) resolve()
    }
  }

  #handlePublish({ topic, payload, qos, packetId }: Publish): void {
    if (qos === 1) this.send(new Puback(packetId))
    if (qos === 2) this.send(new Pubrec(packetId))
    if (qos === 2 && this.#received.has(packetId)) return
    if (qos === 2) this.#received.add(packetId)
    const [what, connection] = new TextDecoder().decode(payload).split(' ')
    if (what !== 'dead') return
    const clientId = topic.slice('will/'.length)
    const count = (this.wills.get(`${clientId} ${connection}`) ?? 0) + 1
    this.wills.set(`${clientId} ${connection}`, count)
    if (count > 1) this.fault(`the Will of ${clientId}, connection ${connection}, comes for the ${count}. time`)
    if (clientId.startsWith('returning')) this.fault(`the Will of ${clientId} comes, and it is back`)
  }
}
