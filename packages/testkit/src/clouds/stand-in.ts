/**
 * A cloud's MQTT endpoint on this machine: TLS, and the documented rules and limits of one cloud (`rules.ts`).
 *
 * A client that breaks a rule is told by DISCONNECT (5.0), and its connection ends, as at the clouds. It keeps sessions
 * with their subscriptions and what waits at QoS 1, acknowledges, and gives each message to the test. Not a broker:
 * messages go to the test, and `publish` sends to the one device.
 */
import { once } from 'node:events'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { TestAuthority, type TestCertificate } from '@recado/broker/testing'
import {
  Connack,
  type Connect,
  Decoder,
  Disconnect,
  encode,
  type Packet,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  type ReasonCode,
  Suback,
  type Subscribe,
  topicMatches,
  Unsuback,
} from '@recado/protocol'
import { Inbox } from '../peers/inbox.ts'
import type { CloudRules, Refusal, TlsSide } from './rules.ts'

/** Message that it has taken. */
export interface TakenMessage {
  readonly clientId: string
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
  readonly properties: Publish['properties']
}

interface Session {
  readonly subscriptions: Map<string, number>
  /** Messages at QoS 1 that are sent or wait, by Packet Identifier. */
  readonly waiting: Map<number, { topic: string; payload: Uint8Array }>
  nextId: number
  endedAtMs: number
}

export class CloudStandIn {
  readonly rules: CloudRules
  readonly authority: TestAuthority
  /** Messages that it has taken, in their order. */
  readonly taken: Inbox<TakenMessage> = new Inbox('message at the cloud', () => this.describe())
  /** Connections that it has accepted. */
  readonly accepted: Inbox<{ connect: Connect; tls: TlsSide; sessionPresent: boolean }> = new Inbox('connection', () =>
    this.describe(),
  )
  /** Reasons why it has refused a client or ended its connection. */
  readonly refusals: string[] = []
  /** Number of messages dropped because they came too fast. */
  throttled = 0
  readonly #server: Server
  readonly #sessions = new Map<string, Session>()
  readonly #connections = new Map<string, CloudConnection>()
  /** Port that the rules are to see instead of the real one, which cannot be 443 in a test. */
  readonly #shownPort: number

  private constructor(rules: CloudRules, authority: TestAuthority, host: string, shownPort: number) {
    this.rules = rules
    this.authority = authority
    this.#shownPort = shownPort
    const { cert, key } = authority.issue(host, { altNames: [host, '127.0.0.1'] })
    this.#server = createServer(
      {
        ...{ cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: rules.requiresCertificate },
        ...(rules.alpnProtocols.length > 0 ? { ALPNProtocols: [...rules.alpnProtocols] } : {}),
        minVersion: 'TLSv1.2',
      },
      (socket) => void new CloudConnection(this, socket),
    )
    this.#server.on('tlsClientError', (error) => this.refusals.push(`TLS: ${error.message}`))
  }

  static async start(
    rules: CloudRules,
    { host = 'localhost', shownPort = 8883 }: { host?: string; shownPort?: number } = {},
  ): Promise<CloudStandIn> {
    const standIn = new CloudStandIn(rules, new TestAuthority(`${rules.name} stand-in`), host, shownPort)
    standIn.#server.listen(0, '127.0.0.1')
    await once(standIn.#server, 'listening')
    return standIn
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** Returns the certificate of a device that it knows. */
  certificateFor(commonName: string): TestCertificate {
    return this.authority.issue(commonName)
  }

  /** Sends a message to whoever subscribes, at QoS 1; it waits for those whose session is kept. */
  publish(topic: string, payload: Uint8Array): void {
    for (const [clientId, session] of this.#sessions) {
      if (![...session.subscriptions.keys()].some((filter) => topicMatches(filter, topic))) continue
      const packetId = session.nextId
      session.nextId = (packetId % 65_535) + 1
      session.waiting.set(packetId, { topic, payload })
      this.#connections.get(clientId)?.sendWaiting(packetId, false)
    }
  }

  /** Cuts every connection. */
  cut(): void {
    for (const connection of this.#connections.values()) connection.destroy()
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  describe(): string {
    return `${this.rules.name}: refusals: ${this.refusals.join('; ') || 'none'}`
  }

  /** Opens the session of a client; called by a connection. */
  open(connection: CloudConnection, connect: Connect, tls: TlsSide): { session: Session; isPresent: boolean } {
    const { clientId, cleanStart } = connect
    this.#connections.get(clientId)?.destroy()
    this.#connections.set(clientId, connection)
    const kept = this.#sessions.get(clientId)
    const isAlive = kept !== undefined && Date.now() - kept.endedAtMs < this.rules.sessionSeconds * 1000
    const isPresent = isAlive && !cleanStart
    const session: Session = isPresent
      ? kept
      : { subscriptions: new Map(), waiting: new Map(), nextId: 1, endedAtMs: Number.POSITIVE_INFINITY }
    session.endedAtMs = Number.POSITIVE_INFINITY
    this.#sessions.set(clientId, session)
    this.accepted.push({ connect, tls, sessionPresent: isPresent })
    return { session, isPresent }
  }

  close(connection: CloudConnection, connect: Connect): void {
    if (this.#connections.get(connect.clientId) !== connection) return
    this.#connections.delete(connect.clientId)
    const session = this.#sessions.get(connect.clientId)!
    session.endedAtMs = Date.now()
    const keepsSession =
      connect.protocolVersion === 5 ? (connect.properties.sessionExpiryIntervalSeconds ?? 0) > 0 : !connect.cleanStart
    if (!keepsSession) this.#sessions.delete(connect.clientId)
  }

  tlsSideOf(socket: TLSSocket): TlsSide {
    const { servername, alpnProtocol } = socket as TLSSocket & { servername?: string | false }
    const subject = socket.getPeerCertificate().subject as { CN?: string } | undefined
    return {
      port: this.#shownPort,
      alpn: alpnProtocol || null,
      serverName: servername || null,
      commonName: socket.authorized ? (subject?.CN ?? null) : null,
    }
  }
}

class CloudConnection {
  readonly #standIn: CloudStandIn
  readonly #socket: TLSSocket
  readonly #decoder = new Decoder({ role: 'server' })
  #connect: Connect | null = null
  #session: Session | null = null
  readonly #aliases = new Map<number, string>()
  #second = 0
  #publishes = 0
  #expiry: NodeJS.Timeout | undefined

  constructor(standIn: CloudStandIn, socket: TLSSocket) {
    this.#standIn = standIn
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#decoder.push(chunk)
        for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) this.#handle(packet)
      } catch (error) {
        this.#end({ reasonCode: 0x81, why: (error as Error).message })
      }
    })
    socket.on('error', () => socket.destroy()) // either side may reset
    socket.on('close', () => {
      clearTimeout(this.#expiry)
      if (this.#connect !== null) standIn.close(this, this.#connect)
    })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  sendWaiting(packetId: number, dup: boolean): void {
    const { topic, payload } = this.#session!.waiting.get(packetId)!
    this.#send(Publish.of({ topic, payload, qos: 1, packetId, dup }))
  }

  #send(packet: Packet): void {
    if (this.#socket.writable) this.#socket.write(encode(packet, this.#connect?.protocolVersion ?? 4))
  }

  /** Ends the connection as the clouds do. */
  #end({ reasonCode, why }: Refusal): void {
    this.#standIn.refusals.push(why)
    if (this.#session !== null && this.#connect?.protocolVersion === 5) this.#send(new Disconnect(reasonCode))
    this.#socket.end()
    this.#socket.destroySoon()
  }

  #handle(packet: Packet): void {
    if (this.#socket.destroyed) return
    if (this.#connect === null) {
      if (packet.type === 1) this.#handleConnect(packet)
      else this.#end({ reasonCode: 0x82, why: `a packet of type ${packet.type} before CONNECT` })
      return
    }
    if (this.#session === null) return
    switch (packet.type) {
      case 3:
        this.#handlePublish(packet)
        return
      case 4:
        this.#session.waiting.delete(packet.packetId)
        return
      case 6:
        this.#send(new Pubcomp(packet.packetId))
        return
      case 8:
        this.#handleSubscribe(packet)
        return
      case 10:
        for (const filter of packet.topicFilters) this.#session.subscriptions.delete(filter)
        this.#send(
          new Unsuback(
            packet.packetId,
            packet.topicFilters.map((): ReasonCode => 0),
          ),
        )
        return
      case 12:
        this.#send(new Pingresp())
        return
      case 14:
        this.#socket.end()
        return
      default:
        this.#end({ reasonCode: 0x82, why: `a packet of type ${packet.type}` })
    }
  }

  #handleConnect(connect: Connect): void {
    const { rules } = this.#standIn
    const nowMs = Date.now()
    this.#connect = connect
    const tls = this.#standIn.tlsSideOf(this.#socket)
    const refusal = rules.connect(connect, tls, nowMs)
    if (refusal !== null) {
      this.#standIn.refusals.push(refusal.why)
      const returnCode = refusal.reasonCode === 0x84 ? 1 : refusal.reasonCode === 0x85 ? 2 : 5
      this.#send(new Connack(false, (connect.protocolVersion === 5 ? refusal.reasonCode : returnCode) as ReasonCode))
      this.#connect = null
      this.#socket.destroySoon()
      return
    }
    const { session, isPresent } = this.#standIn.open(this, connect, tls)
    this.#session = session
    this.#send(new Connack(isPresent, 0, connect.protocolVersion === 5 ? rules.connack : {}))
    for (const packetId of session.waiting.keys()) this.sendWaiting(packetId, true)
    const expiresAtMs = rules.expiresAtMs?.(connect) ?? null
    if (expiresAtMs !== null) {
      const end = (): void => this.#end({ reasonCode: 0x87, why: 'its token has expired' })
      // A timer takes 2^31 milliseconds at most.
      this.#expiry = setTimeout(end, Math.min(expiresAtMs - nowMs, 2 ** 31 - 1))
    }
  }

  #handlePublish(publish: Publish): void {
    const { rules } = this.#standIn
    const alias = publish.properties.topicAlias
    if (alias !== undefined) {
      if (alias > (rules.connack.topicAliasMaximum ?? 0)) {
        this.#end({ reasonCode: 0x94, why: 'topic alias' })
        return
      }
      if (publish.topic === '') publish.topic = this.#aliases.get(alias) ?? ''
      else this.#aliases.set(alias, publish.topic)
    }
    const second = Math.floor(Date.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#publishes = 0
    }
    if (++this.#publishes > rules.publishesPerSecond) {
      this.#standIn.throttled++
      return
    }
    const refusal = rules.publish(publish, this.#connect!)
    if (refusal !== null) {
      this.#end(refusal)
      return
    }
    const { topic, qos, retain, packetId, properties } = publish
    const payload = Buffer.from(publish.payload)
    this.#standIn.taken.push({ clientId: this.#connect!.clientId, topic, payload, qos, retain, properties })
    if (qos === 1) this.#send(new Puback(packetId))
    else if (qos === 2) this.#send(new Pubrec(packetId))
  }

  #handleSubscribe(subscribe: Subscribe): void {
    const { rules } = this.#standIn
    const { subscriptions } = this.#session!
    if (subscribe.subscriptions.length > rules.filtersMax) {
      this.#end({ reasonCode: 0x97, why: `a SUBSCRIBE with more than ${rules.filtersMax} filters` })
      return
    }
    const codes: ReasonCode[] = []
    for (const { topicFilter, qos } of subscribe.subscriptions) {
      const refusal = rules.subscribe(topicFilter, subscribe, this.#connect!)
      if (refusal !== null) {
        this.#end(refusal)
        return
      }
      subscriptions.set(topicFilter, qos)
      codes.push(Math.min(qos, rules.grantedQosMax) as ReasonCode)
    }
    if (subscriptions.size > rules.subscriptionsMax) {
      this.#end({ reasonCode: 0x97, why: `more than ${rules.subscriptionsMax} subscriptions` })
      return
    }
    this.#send(new Suback(subscribe.packetId, codes))
  }
}
