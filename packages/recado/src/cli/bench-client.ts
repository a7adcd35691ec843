/**
 * One connection of `recado bench`: MQTT by `@recado/protocol` straight on a socket, many thousands of them in a
 * process.
 *
 * Not `@recado/client`, which keeps queues, promises and a reconnecting session for each connection: here all
 * connections share one read buffer, one writer and one topic cache, a chunk is parsed in place and answered with one
 * write, and nothing is allocated per message but the decoder's packet. (Measured, see docs/performance.md.) There is
 * no reconnecting: a lost connection is a finding.
 *
 * Called by `bench-run.ts`, which owns the `Fleet`. Invariant: `onReady` or `onFailed` is called exactly once, then
 * `onLost` at most once.
 */
import { connect, type Socket } from 'node:net'
import {
  ByteWriter,
  type Connack,
  Connect,
  connectReturnCodeOf,
  Decoder,
  Disconnect,
  encodeTo,
  encodeTopicField,
  NO_PROPERTIES,
  PacketType,
  Pingreq,
  type Publish,
  type QoS,
  reasonCodeName,
  Subscribe,
  TopicCache,
  writeAck,
  writePublish,
} from '@recado/protocol'
import type { BenchOptions } from './bench-options.ts'
import { nowUs, type PayloadHeader, readPayloadHeader, writePayloadHeader } from './bench-payload.ts'
import type { Counts, LatencyHistogram } from './bench-report.ts'
import { Arrival, MessageStream } from './bench-stream.ts'

const READ_BYTES = 256 * 1024
const WRITE_BYTES = 64 * 1024
/** Number of bytes waiting in its socket above which a publisher pauses. */
const BLOCKED_BYTES = 64 * 1024
/** Delay in microseconds that is within the timer's resolution, and not the server's. */
const TIMER_SLACK_US = 2_000
const NO_PROPERTY_FIELD = new Uint8Array(1)
const SESSION_EXPIRY_SECONDS = 3_600
const KEY_BASE = 2 ** 32

/** State and callbacks that the clients share. */
export interface Fleet {
  readonly options: BenchOptions
  readonly address: string
  readonly shared: SharedBuffers
  readonly counts: Counts
  readonly connectTimes: LatencyHistogram
  readonly latencies: LatencyHistogram
  readonly ackTimes: LatencyHistogram
  onReady(client: BenchClient): void
  onFailed(client: BenchClient, why: string): void
  onLost(client: BenchClient, why: string): void
  /** Called with a message that comes for the first time; its payload has `publisher` and `run`. */
  onDelivered(run: number, publisher: number): void
  /** Called for an acknowledgement, or room in the socket: the client may publish more. */
  onRoom(client: BenchClient): void
}

export class SharedBuffers {
  readonly read: Uint8Array = new Uint8Array(READ_BYTES)
  readonly writer: ByteWriter = new ByteWriter(WRITE_BYTES)
  readonly topicCache: TopicCache = new TopicCache()
  readonly header: PayloadHeader = { run: 0, publisher: 0, sequence: 0, sentUs: 0 }
}

const State = { Connecting: 0, Subscribing: 1, Ready: 2, Closed: 3 } as const

export class BenchClient {
  readonly index: number
  readonly clientId: string
  readonly #fleet: Fleet
  readonly #filter: string | null
  /** Streams that received messages are counted in; those of a whole group for a Shared Subscription. */
  readonly #streams: Map<number, MessageStream>
  readonly #isShared: boolean
  #socket: Socket | null = null
  #decoder: Decoder
  #state: number = State.Connecting
  #openedUs = 0
  #lastKey = -1
  #lastStream: MessageStream | null = null

  /** Topic Name in its wire form; set before the first `publish`. */
  #topicField: Uint8Array | null = null
  #freeIds: Uint16Array | null = null
  #freeCount = 0
  #sentUs: Float64Array | null = null
  /** Number of messages sent. */
  published = 0
  /** Number of messages that it should have sent by now, at a fixed rate. */
  due = 0
  /** Number of deliveries of its messages, to all subscribers in this process. */
  delivered = 0
  /** Number of deliveries that are not waited for any more. */
  writtenOff = 0
  /** Number of subscribers of this process that get each of its messages. */
  copies = 0
  /** Whether it is in the run's list of clients that may publish. */
  isListed = false

  /** @param filter Topic Filter to subscribe to; null for none */
  constructor(
    fleet: Fleet,
    index: number,
    clientId: string,
    filter: string | null,
    streams: Map<number, MessageStream> | null,
  ) {
    this.#fleet = fleet
    this.index = index
    this.clientId = clientId
    this.#filter = filter
    this.#streams = streams ?? new Map()
    this.#isShared = streams !== null
    this.#decoder = new Decoder({
      role: 'client',
      protocolVersion: fleet.options.protocolVersion,
      topicCache: fleet.shared.topicCache,
    })
  }

  get isReady(): boolean {
    return this.#state === State.Ready
  }

  get isClosed(): boolean {
    return this.#state === State.Closed
  }

  get openedUs(): number {
    return this.#openedUs
  }

  open(): void {
    const { options, address, shared } = this.#fleet
    const { localAddresses } = options
    this.#openedUs = nowUs()
    const socket = connect({
      host: address,
      port: options.port,
      noDelay: true,
      onread: {
        buffer: shared.read,
        callback: (length, buffer) => {
          this.#onData((buffer as Uint8Array).subarray(0, length))
          return true
        },
      },
      ...(localAddresses.length === 0 ? {} : { localAddress: localAddresses[this.index % localAddresses.length]! }),
    })
    this.#socket = socket
    socket.on('connect', () => this.#sendConnect())
    socket.on('drain', () => this.#fleet.onRoom(this))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message))
    socket.on('close', () => this.#end('closed by the server'))
    socket.resume()
  }

  /** Sends DISCONNECT and ends the connection. */
  close(): void {
    const socket = this.#socket
    const wasOpen = this.#state === State.Ready
    this.#state = State.Closed
    if (socket === null || socket.destroyed) return
    if (!wasOpen) {
      socket.destroy()
      return
    }
    encodeTo(this.#fleet.shared.writer, new Disconnect(), this.#fleet.options.protocolVersion)
    this.#flush()
    socket.end()
  }

  /** Resolves when its socket is closed, which may be now. */
  whenClosed(): Promise<void> {
    const socket = this.#socket
    if (socket === null || socket.closed) return Promise.resolve()
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }

  destroy(): void {
    this.#state = State.Closed
    this.#socket?.destroy()
  }

  ping(): void {
    if (this.#state !== State.Ready) return
    encodeTo(this.#fleet.shared.writer, new Pingreq(), this.#fleet.options.protocolVersion)
    this.#flush()
  }

  /** Fails the connection, for instance because it took too long. */
  fail(why: string): void {
    this.#end(why)
    this.#socket?.destroy()
  }

  /** Streams of received messages, with the missing ones; those of the whole group for a Shared Subscription. */
  streams(): Iterable<MessageStream> {
    return this.#streams.values()
  }

  // --- publishing ---------------------------------------------------------------------------------------------------

  preparePublishing(topic: string): void {
    const { qos, inflightMax } = this.#fleet.options
    this.#topicField = encodeTopicField(topic)
    if (qos === 0) return
    this.#freeIds = new Uint16Array(inflightMax)
    this.#sentUs = new Float64Array(inflightMax + 1)
    for (let i = 0; i < inflightMax; i++) this.#freeIds[i] = inflightMax - i
    this.#freeCount = inflightMax
  }

  /** Number of messages that this connection may send now. */
  get room(): number {
    if (this.#state !== State.Ready || this.#socket!.writableLength > BLOCKED_BYTES) return 0
    return this.#freeIds === null ? Number.POSITIVE_INFINITY : this.#freeCount
  }

  /**
   * Writes `count` messages in one write; no more than `room`. `scheduledUs` is the time at which the next one is due,
   * and each later one is due `intervalUs` after it; 0 means now.
   */
  publish(count: number, run: number, payload: Uint8Array, scheduledUs: number, intervalUs: number): void {
    const { options, shared, counts } = this.#fleet
    const { writer } = shared
    const { qos, protocolVersion } = options
    const now = nowUs()
    let scheduled = scheduledUs
    for (let i = 0; i < count; i++) {
      const sentUs = scheduledUs === 0 || now - scheduled < TIMER_SLACK_US ? now : scheduled
      let packetId = 0
      if (qos > 0) {
        packetId = this.#freeIds![--this.#freeCount]!
        this.#sentUs![packetId] = sentUs
      }
      writePayloadHeader(payload, run, this.index, this.published, sentUs)
      writePublish(
        writer,
        protocolVersion,
        this.#topicField!,
        qos,
        options.retain,
        false,
        packetId,
        NO_PROPERTY_FIELD,
        payload,
        0,
        payload.length,
      )
      this.published++
      scheduled += intervalUs
      if (writer.length >= WRITE_BYTES) this.#flush()
    }
    counts.published += count
    this.#flush()
  }

  // --- packets ------------------------------------------------------------------------------------------------------

  #sendConnect(): void {
    const { options, shared } = this.#fleet
    const { protocolVersion, cleanStart, username, password } = options
    const keepsSession = protocolVersion === 5 && !cleanStart
    encodeTo(
      shared.writer,
      new Connect({
        protocolVersion,
        cleanStart,
        keepAliveSeconds: options.keepAliveSeconds,
        clientId: this.clientId,
        username,
        password: password === undefined ? undefined : Buffer.from(password),
        properties: keepsSession ? { sessionExpiryIntervalSeconds: SESSION_EXPIRY_SECONDS } : NO_PROPERTIES,
      }),
      protocolVersion,
    )
    this.#flush()
  }

  #onData(chunk: Uint8Array): void {
    if (this.#state === State.Closed) return
    const decoder = this.#decoder
    decoder.push(chunk)
    const now = nowUs()
    try {
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
        switch (packet.type) {
          case PacketType.PUBLISH:
            this.#handlePublish(packet, now)
            break
          case PacketType.PUBACK:
          case PacketType.PUBCOMP:
            this.#handleAcknowledged(packet.packetId, now)
            break
          case PacketType.PUBREC:
            if (packet.reasonCode >= 0x80) this.#handleAcknowledged(packet.packetId, now)
            else writeAck(this.#fleet.shared.writer, PacketType.PUBREL, packet.packetId)
            break
          case PacketType.PUBREL:
            writeAck(this.#fleet.shared.writer, PacketType.PUBCOMP, packet.packetId)
            break
          case PacketType.CONNACK:
            this.#handleConnack(packet, now)
            break
          case PacketType.SUBACK:
            this.#handleSuback(packet.reasonCodes[0]!)
            break
          case PacketType.DISCONNECT:
            this.fail(`DISCONNECT: ${reasonCodeName(packet.reasonCode)}`)
            break
          default:
            break
        }
        if (this.isClosed) break
      }
    } catch (error) {
      // The server's bytes are not MQTT: a finding, not a failure of ours.
      this.fail((error as Error).message)
    }
    this.#flush()
  }

  #handleConnack(connack: Connack, now: number): void {
    const { options, shared, connectTimes, counts } = this.#fleet
    if (connack.reasonCode !== 0) {
      const { reasonCode } = connack
      const why =
        options.protocolVersion === 5 ? reasonCodeName(reasonCode) : `return code ${connectReturnCodeOf(reasonCode)}`
      this.fail(`refused: ${why}`)
      return
    }
    connectTimes.record(now - this.#openedUs)
    counts.connected++
    if (this.#filter === null) {
      this.#ready()
      return
    }
    this.#state = State.Subscribing
    const subscription = {
      topicFilter: this.#filter,
      qos: options.qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    }
    encodeTo(shared.writer, new Subscribe(1, [subscription]), options.protocolVersion)
  }

  #handleSuback(reasonCode: number): void {
    if (reasonCode >= 0x80) {
      this.#fleet.counts.connected--
      this.fail(`SUBSCRIBE refused: ${reasonCodeName(reasonCode as Parameters<typeof reasonCodeName>[0])}`)
    } else this.#ready()
  }

  #ready(): void {
    this.#state = State.Ready
    this.#fleet.onReady(this)
  }

  #handlePublish(publish: Publish, now: number): void {
    const { counts, shared, latencies } = this.#fleet
    counts.received++
    const qos: QoS = publish.qos
    if (qos === 1) writeAck(shared.writer, PacketType.PUBACK, publish.packetId)
    else if (qos === 2) writeAck(shared.writer, PacketType.PUBREC, publish.packetId)
    const { header } = shared
    if (!readPayloadHeader(publish.buffer, publish.payloadStart, publish.payloadEnd, header)) {
      counts.foreign++
      return
    }
    const key = header.run * KEY_BASE + header.publisher
    let stream = this.#lastStream
    if (key !== this.#lastKey) {
      stream = this.#streams.get(key) ?? null
      if (stream === null) {
        stream = new MessageStream()
        this.#streams.set(key, stream)
      }
      this.#lastKey = key
      this.#lastStream = stream
    }
    const arrival = stream!.accept(header.sequence)
    if (arrival === Arrival.Duplicate) {
      counts.duplicated++
      return
    }
    if (arrival === Arrival.Late && !this.#isShared) counts.outOfOrder++
    latencies.record(now - header.sentUs)
    this.#fleet.onDelivered(header.run, header.publisher)
  }

  #handleAcknowledged(packetId: number, now: number): void {
    const sentUs = this.#sentUs?.[packetId] ?? 0
    if (sentUs === 0) {
      this.fail('acknowledged what was not sent')
      return
    }
    this.#fleet.ackTimes.record(now - sentUs)
    this.#sentUs![packetId] = 0
    this.#freeIds![this.#freeCount++] = packetId
    this.#fleet.onRoom(this)
  }

  #flush(): void {
    const { writer } = this.#fleet.shared
    if (writer.length === 0) return
    const bytes = writer.bytes.subarray(0, writer.length)
    writer.length = 0
    const socket = this.#socket!
    if (socket.destroyed) return
    socket.write(bytes)
    // The socket keeps the buffer until the peer reads: the next write needs another one.
    if (socket.writableLength > 0) writer.bytes = new Uint8Array(WRITE_BYTES)
  }

  #end(why: string): void {
    if (this.#state === State.Closed) return
    const wasReady = this.#state === State.Ready
    this.#state = State.Closed
    if (wasReady) this.#fleet.onLost(this, why)
    else this.#fleet.onFailed(this, why)
  }
}
