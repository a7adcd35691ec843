/**
 * One network connection: bytes to packets and back, batched writing, keep alive. Made by `openConnection`
 * (connector.ts), which does the handshake on it; then the client's session receives its packets.
 *
 * Invariants: `handleClosed` is called exactly once, and no handler and no timer runs after it; packets are handed on
 * in the order of the wire; written packets go out in order, in one piece per turn of the event loop.
 *
 * Source: MQTT 5.0 sections 3.1.2.10 (Keep Alive), 4.9, 4.13 (Handling errors).
 */
import {
  type Auth,
  ByteWriter,
  Decoder,
  Disconnect,
  encodedSize,
  encodeTo,
  MqttError,
  type Packet,
  PacketType,
  Pingreq,
  ProtocolError,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  ReasonCode,
  TopicCache,
  writeAck,
  writePublish,
  writePublishHead,
} from '@recado/protocol'
import type { Environment, Timer } from './environment.ts'
import { ConnectionLostError, KeepAliveError, NotSupportedError, ServerStalledError } from './errors.ts'
import type { Transport } from './transports/transport.ts'

export interface ConnectionHandler {
  /** Handles a packet. May throw `ProtocolError`, which ends the connection. */
  handlePacket(packet: Packet): void
  /** Called when the server reads again: `blocked` is false. */
  handleDrain(): void
  /** Called at the end of the connection. `error` is `null` when we closed it ourselves. */
  handleClosed(error: MqttError | null): void
}

export type Trace = (direction: 'sent' | 'received', packet: Packet) => void

/** Topic cache of all connections: it only saves decoding of repeated Topic Names. */
const topicCache: TopicCache = new TopicCache(1024)
/** Size in bytes from which gathered packets are written even within a turn. */
const BATCH_BYTES = 64 * 1024
/** Size in bytes from which a payload is not copied into the batch. */
const BY_REFERENCE_BYTES = 16 * 1024
/** Largest batch buffer in bytes that is kept. */
const KEEP_BYTES = 256 * 1024
/** Most bytes of acknowledgements that may wait for a server that sends but does not read. */
const STALLED_BYTES = 4 * 1024 * 1024
/** Delay in milliseconds from which a timer counts as late: the tab was in the background, or the machine slept. */
const LATE_MS = 1_000
/** Time in milliseconds after `end` at which a transport that has not closed by itself is destroyed. */
const END_TIMEOUT_MS = 2_000

export class Connection {
  readonly protocolVersion: ProtocolVersion
  /** Whether more was written than the server has read: PUBLISH should wait for `handleDrain`. */
  blocked = false
  /** Largest packet in bytes that the server accepts, from its CONNACK. */
  maximumPacketSize: number = Number.POSITIVE_INFINITY
  readonly #transport: Transport
  readonly #environment: Environment
  readonly #trace: Trace | null
  readonly #maximumPacketSizeIn: number
  readonly #writer: ByteWriter
  #decoder: Decoder
  #handler: ConnectionHandler
  #flushScheduled = false
  #blockedBytes = 0
  #awaitingConnack = true
  #paused = false
  #ended = false
  #closed = false
  #error: MqttError | null = null
  #keepAliveMs = 0
  #keepAliveTimer: Timer | null = null
  /** Time at which the keep-alive timer fires. */
  #keepAliveDueMs = 0
  #stopWaking: (() => void) | null = null
  #endTimer: Timer | null = null
  #lastSentMs = 0
  #lastReceivedMs = 0
  #pingSentMs = -1
  /** Callbacks for the PINGRESPs that are awaited, in their order; null for none. */
  readonly #pongs: ((() => void) | null)[] = []

  constructor(
    transport: Transport,
    environment: Environment,
    protocolVersion: ProtocolVersion,
    maximumPacketSize: number,
    trace: Trace | null,
    handler: ConnectionHandler,
  ) {
    this.#transport = transport
    this.#environment = environment
    this.protocolVersion = protocolVersion
    this.#maximumPacketSizeIn = maximumPacketSize
    this.#trace = trace
    this.#handler = handler
    this.#writer = new ByteWriter(4096)
    this.#decoder = new Decoder({ role: 'client', protocolVersion, maximumPacketSize, topicCache })
    this.#lastReceivedMs = environment.now()
    this.#lastSentMs = this.#lastReceivedMs
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes that have been written while the server did not read. */
  get blockedBytes(): number {
    return this.#blockedBytes
  }

  /** Starts the connection: packets may come from now on. */
  start(): void {
    this.#transport.start({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#onDrain(),
      onClose: (error) => this.#onClose(error),
    })
  }

  /**
   * Ends the handshake: `handler` gets the packets from the next one on. A `keepAliveSeconds` of 0 turns keep alive
   * off.
   */
  establish(handler: ConnectionHandler, keepAliveSeconds: number): void {
    this.#handler = handler
    this.#awaitingConnack = false
    this.#keepAliveMs = keepAliveSeconds * 1000
    if (this.#keepAliveMs === 0) return
    this.#checkKeepAlive()
    this.#stopWaking = this.#environment.onWake?.(() => this.checkKeepAlive()) ?? null
  }

  // ---- writing

  /** Sends a packet. Throws `NotSupportedError` when it is larger than the server accepts. [MQTT-3.2.2-15] */
  send(packet: Packet): void {
    if (this.#ended) return
    if (this.maximumPacketSize !== Number.POSITIVE_INFINITY) this.#makeFit(packet)
    if (this.#trace !== null) this.#trace('sent', packet)
    encodeTo(this.#writer, packet, this.protocolVersion)
    this.#written()
  }

  /**
   * Removes User Properties, then the Reason String, from a packet that keeps its meaning without them: [MQTT-3.4.2-2]
   * [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
   * [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
   */
  #makeFit(packet: Packet): void {
    const { protocolVersion, maximumPacketSize } = this
    if (encodedSize(packet, protocolVersion) <= maximumPacketSize) return
    if (mayLose(packet)) {
      for (const name of ['userProperties', 'reasonString'] as const) {
        const { [name]: _, ...rest } = packet.properties
        packet.properties = rest
        if (encodedSize(packet, protocolVersion) <= maximumPacketSize) return
      }
    }
    throw new NotSupportedError(
      `the packet has ${encodedSize(packet, protocolVersion)} bytes; this server takes at most ${maximumPacketSize}`,
    )
  }

  sendPublish(
    topicField: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    propertyField: Uint8Array,
    payload: Uint8Array,
  ): void {
    if (this.#ended) return
    if (this.#trace !== null) this.#tracePublish(topicField, qos, retain, dup, packetId, payload)
    const version = this.protocolVersion
    const writer = this.#writer
    const length = payload.length
    if (length < BY_REFERENCE_BYTES) {
      writePublish(writer, version, topicField, qos, retain, dup, packetId, propertyField, payload, 0, length)
      this.#written()
      return
    }
    writePublishHead(writer, version, topicField, qos, retain, dup, packetId, propertyField, length)
    this.flush()
    this.#write(payload)
  }

  /** Sends PUBACK, PUBREC, PUBREL or PUBCOMP with Success. */
  sendAck(packetType: 4 | 5 | 6 | 7, packetId: number): void {
    if (this.#ended) return
    if (this.#trace !== null) this.#trace('sent', ackOf(packetType, packetId))
    writeAck(this.#writer, packetType, packetId)
    this.#written()
  }

  /** Writes gathered packets now, instead of at the end of the turn. */
  flush(): void {
    const writer = this.#writer
    if (writer.length === 0 || this.#closed) return
    const bytes = writer.bytes.slice(0, writer.length)
    writer.reset()
    if (writer.bytes.length > KEEP_BYTES) writer.bytes = new Uint8Array(4096)
    this.#write(bytes)
  }

  #written(): void {
    if (this.#writer.length >= BATCH_BYTES) this.flush()
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true
      this.#environment.defer(this.#deferredFlush)
    }
  }

  readonly #deferredFlush = (): void => {
    this.#flushScheduled = false
    this.flush()
  }

  #write(bytes: Uint8Array): void {
    this.#lastSentMs = this.#environment.now()
    if (this.blocked) {
      this.#blockedBytes += bytes.length
      if (this.#blockedBytes > STALLED_BYTES && !this.#ended) {
        this.#transport.write(bytes)
        this.fail(new ServerStalledError('the server sends but does not read: too many acknowledgements wait for it'))
        return
      }
    }
    if (!this.#transport.write(bytes)) this.blocked = true
  }

  #onDrain(): void {
    if (this.#error !== null) return
    this.blocked = false
    this.#blockedBytes = 0
    if (!this.#closed) this.#handler.handleDrain()
  }

  // ---- reading

  /** Stops reading from the network, to slow the server down. */
  pause(): void {
    if (this.#paused || this.#ended) return
    this.#paused = true
    this.#transport.pause()
  }

  resume(): void {
    if (!this.#paused || this.#closed) return
    this.#paused = false
    // A packet that the server sent while reading was stopped was not late.
    this.#lastReceivedMs = this.#environment.now()
    this.#transport.resume()
  }

  #onData(chunk: Uint8Array): void {
    if (this.#closed || this.#error !== null) return
    this.#lastReceivedMs = this.#environment.now()
    if (this.#awaitingConnack) {
      const foreign = foreignProtocol(chunk)
      if (foreign !== null) {
        const what = `the server speaks ${foreign} on this port, and not MQTT: check host and port`
        this.fail(new ProtocolError(ReasonCode.ProtocolError, what))
        return
      }
    }
    // A server that does not know 5.0 answers in the form of 3.1.1: its CONNACK has a Remaining Length of 2, which no
    // CONNACK of 5.0 can have.
    if (this.#awaitingConnack && this.protocolVersion === 5 && chunk[0] === 0x20 && chunk[1] === 2) {
      this.#decoder = new Decoder({ role: 'client', protocolVersion: 4, maximumPacketSize: this.#maximumPacketSizeIn })
    }
    try {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) {
        if (this.#trace !== null) this.#trace('received', packet)
        if (packet.type === PacketType.PINGRESP) this.#handlePingresp()
        else this.#handler.handlePacket(packet)
        if (this.#closed || this.#error !== null) return
      }
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.fail(error)
    }
  }

  // ---- keep alive

  /** Time of the last write to the network, on the clock of `Environment.now`. */
  get lastSentMs(): number {
    return this.#lastSentMs
  }

  /**
   * Sends PINGREQ and calls back when the server has answered it, and with it all that was sent before. Never calls
   * back when the connection ends before.
   */
  ping(callback: () => void): void {
    this.#pongs.push(callback)
    this.send(new Pingreq())
    if (this.#pingSentMs < 0) this.#pingSentMs = this.#environment.now()
  }

  #handlePingresp(): void {
    this.#pingSentMs = -1
    this.#pongs.shift()?.()
  }

  /**
   * Checks the keep alive. Call it also when a timer may have been late: a browser tab was in the background, or the
   * machine slept.
   */
  checkKeepAlive(): void {
    if (this.#keepAliveMs > 0 && !this.#ended) this.#checkKeepAlive()
  }

  /**
   * Checks the keep alive before a packet is sent: a connection that died unnoticed is detected now, and not by the
   * loss of this packet.
   */
  checkBeforeSending(): void {
    // Once per turn is enough, as no time passes within one.
    if (this.#keepAliveMs === 0 || this.#flushScheduled || this.#ended) return
    if (this.#environment.now() > this.#keepAliveDueMs + LATE_MS) this.#checkKeepAlive()
  }

  #checkKeepAlive(): void {
    const now = this.#environment.now()
    const environment = this.#environment
    if (this.#keepAliveTimer !== null) environment.clearTimer(this.#keepAliveTimer)
    this.#keepAliveTimer = null
    if (now - this.#lastSentMs > this.#keepAliveMs * 1.5) {
      // [MQTT-3.1.2-22]: the server has closed the connection, whether the notice has arrived or not.
      const seconds = Math.round((now - this.#lastSentMs) / 1000)
      this.fail(
        new KeepAliveError(`the client sent nothing for ${seconds} s, so the server has given the connection up`),
      )
      return
    }
    const answerMs = Math.max(this.#keepAliveMs / 2, 1_000)
    if (this.#pingSentMs >= 0 && this.#lastReceivedMs > this.#pingSentMs) this.#pingSentMs = -1
    if (this.#pingSentMs >= 0 && !this.#paused && now - Math.max(this.#pingSentMs, this.#lastReceivedMs) >= answerMs) {
      this.fail(new KeepAliveError(`the server did not answer PINGREQ within ${Math.round(answerMs)} ms`))
      return
    }
    // PINGREQ goes out a little before the time is up, as the packet also has a way to go [MQTT-3.1.2-20]. Sending it
    // also when only we send is what detects a dead server.
    const idleMs = this.#keepAliveMs - Math.min(this.#keepAliveMs / 10, 1_000)
    const quietSince = this.#pingSentMs >= 0 ? this.#lastSentMs : Math.min(this.#lastSentMs, this.#lastReceivedMs)
    let due = quietSince + idleMs
    if (now >= due) {
      this.#pongs.push(null)
      this.send(new Pingreq())
      if (this.#pingSentMs < 0) this.#pingSentMs = now
      due = now + idleMs
    }
    if (this.#pingSentMs >= 0 && !this.#paused) due = Math.min(due, now + answerMs)
    this.#keepAliveDueMs = due
    this.#keepAliveTimer = environment.setTimer(() => this.#checkKeepAlive(), Math.max(1, Math.ceil(due - now)))
  }

  // ---- the end

  /**
   * Ends the connection in good order: DISCONNECT goes out after all written packets, then the connection closes.
   * [MQTT-3.14.4-1] [MQTT-3.14.4-2]
   */
  end(disconnect: Disconnect | null): void {
    if (this.#ended) return
    if (disconnect !== null) this.send(disconnect)
    this.#end()
  }

  /**
   * Ends the connection because of `error`. A 5.0 server is told its Reason Code if the fault was the server's
   * [MQTT-4.13.1-1].
   */
  fail(error: MqttError): void {
    if (this.#error === null) this.#error = error
    // Messages, also those of QoS 0, are to wait for the next connection.
    this.blocked = true
    if (this.#ended) return
    if (error instanceof ProtocolError && this.protocolVersion === 5 && !this.#awaitingConnack) {
      this.send(new Disconnect(error.reasonCode))
      this.#end()
      return
    }
    this.#ended = true
    this.#transport.destroy()
  }

  /** Closes at once without DISCONNECT: the server publishes the Will. */
  destroy(): void {
    this.#ended = true
    this.#transport.destroy()
  }

  #end(): void {
    this.flush()
    this.#ended = true
    this.#transport.end()
    this.#endTimer = this.#environment.setTimer(() => this.#transport.destroy(), END_TIMEOUT_MS)
  }

  #onClose(error: Error | null): void {
    if (this.#closed) return
    const byUs = this.#ended && this.#error === null
    this.#closed = true
    this.#ended = true
    this.#stopWaking?.()
    const environment = this.#environment
    if (this.#keepAliveTimer !== null) environment.clearTimer(this.#keepAliveTimer)
    if (this.#endTimer !== null) environment.clearTimer(this.#endTimer)
    if (this.#error !== null) this.#handler.handleClosed(this.#error)
    else if (byUs) this.#handler.handleClosed(null)
    else if (error === null) this.#handler.handleClosed(new ConnectionLostError('the server closed the connection'))
    else this.#handler.handleClosed(new ConnectionLostError(`the connection broke: ${error.message}`, { cause: error }))
  }

  #tracePublish(
    topicField: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    payload: Uint8Array,
  ): void {
    const topic = new TextDecoder().decode(topicField.subarray(2))
    this.#trace?.('sent', Publish.of({ topic, qos, retain, dup, packetId, payload }))
  }
}

/** Returns true for a packet that means the same without its Reason String and User Properties. */
function mayLose(packet: Packet): packet is Puback | Pubrec | Pubrel | Pubcomp | Disconnect | Auth {
  switch (packet.type) {
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
    case PacketType.DISCONNECT:
    case PacketType.AUTH:
      return true
    default:
      return false
  }
}

function ackOf(packetType: 4 | 5 | 6 | 7, packetId: number): Packet {
  switch (packetType) {
    case 4:
      return new Puback(packetId)
    case 5:
      return new Pubrec(packetId)
    case 6:
      return new Pubrel(packetId)
    default:
      return new Pubcomp(packetId)
  }
}

/** Name of the protocol whose servers begin with these bytes; null when it may be MQTT. */
function foreignProtocol(bytes: Uint8Array): string | null {
  // A record of TLS: an alert or a handshake, version 3.x.
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) return 'TLS'
  const text = String.fromCharCode(...bytes.subarray(0, 5))
  if (text === 'HTTP/') return 'HTTP'
  return text.startsWith('SSH-') ? 'SSH' : null
}
