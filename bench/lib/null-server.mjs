/**
 * An MQTT server that does next to nothing, so that a benchmark of clients measures the client: accepts any CONNECT,
 * grants any SUBSCRIBE, acknowledges QoS 1 PUBLISHes and drops them. A client that subscribes to `flood/QOS/SIZE` gets
 * PUBLISHes of that QoS and payload size without end, at QoS 1 never more than 500 unacknowledged. It relies on
 * well-formed packets of its clients.
 *
 *     node null-server.mjs          prints its port, on 127.0.0.1
 */
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'
import { Connack, Decoder, encode, Publish, Suback, Unsuback } from '../../packages/protocol/dist/mod.js'

const WINDOW = 500
const CHUNK_MESSAGES = 250

class Peer {
  version = 4
  rest = null
  flood = null

  constructor(socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('drain', () => this.feed())
    socket.on('error', () => {})
    socket.on('close', () => {
      this.flood = null
    })
  }

  send(packet) {
    this.socket.write(encode(packet, this.version))
  }

  onData(chunk) {
    const bytes = this.rest === null ? chunk : Buffer.concat([this.rest, chunk])
    this.rest = null
    const acks = []
    let p = 0
    while (p < bytes.length) {
      let length = 0
      let at = p + 1
      let shift = 0
      while (at < bytes.length && bytes[at] > 0x7f) {
        length |= (bytes[at++] & 0x7f) << shift
        shift += 7
      }
      if (at >= bytes.length) break
      length |= bytes[at++] << shift
      if (at + length > bytes.length) break
      this.onPacket(bytes, p, at, at + length, acks)
      p = at + length
    }
    if (p < bytes.length) this.rest = Buffer.from(bytes.subarray(p))
    if (acks.length > 0) this.socket.write(Buffer.from(acks))
    if (this.flood !== null) this.feed()
  }

  onPacket(bytes, start, body, end, acks) {
    const type = bytes[start] >> 4
    if (type === 3) {
      if ((bytes[start] & 6) === 0) return
      const id = body + 2 + bytes.readUInt16BE(body)
      acks.push(0x40, 2, bytes[id], bytes[id + 1])
    } else if (type === 4) this.flood.unacknowledged--
    else this.onRarePacket(type, bytes.subarray(start, end))
  }

  onRarePacket(type, bytes) {
    if (type === 12) this.socket.write(Uint8Array.of(0xd0, 0))
    if (type === 14) this.socket.end()
    if (type !== 1 && type !== 8 && type !== 10) return
    const decoder = new Decoder({ role: 'server', isConnected: type !== 1, protocolVersion: this.version })
    decoder.push(bytes)
    const packet = decoder.read()
    if (type === 1) {
      this.version = packet.protocolVersion
      this.send(new Connack(false, 0))
    } else if (type === 8) {
      this.send(
        new Suback(
          packet.packetId,
          packet.subscriptions.map(({ qos }) => qos),
        ),
      )
      const [, qos, size] = packet.subscriptions[0].topicFilter.split('/')
      const identifiers = packet.properties.subscriptionIdentifiers
      this.begin(packet.subscriptions[0].topicFilter, Number(qos), Number(size), identifiers)
    } else {
      this.flood = null
      this.send(
        new Unsuback(
          packet.packetId,
          packet.topicFilters.map(() => 0),
        ),
      )
    }
  }

  begin(topic, qos, size, subscriptionIdentifiers) {
    const properties = subscriptionIdentifiers === undefined ? {} : { subscriptionIdentifiers }
    const message = Publish.of({
      topic,
      qos,
      packetId: qos === 0 ? 0 : 1,
      payload: new Uint8Array(size).fill(97),
      properties,
    })
    const one = Buffer.from(encode(message, this.version))
    // Offset of its Packet Identifier.
    const idAt = one.length - size - 2 - (this.version === 5 ? (subscriptionIdentifiers === undefined ? 1 : 3) : 0)
    this.flood = { one, idAt, qos, unacknowledged: 0, nextId: 1, chunk: Buffer.concat(Array(CHUNK_MESSAGES).fill(one)) }
    this.feed()
  }

  feed() {
    const { flood, socket } = this
    while (flood !== null && flood === this.flood && !socket.writableNeedDrain && !socket.destroyed) {
      if (flood.qos === 0) {
        socket.write(flood.chunk)
        continue
      }
      const count = Math.min(CHUNK_MESSAGES, WINDOW - flood.unacknowledged)
      if (count === 0) return
      const chunk = Buffer.from(flood.chunk.subarray(0, count * flood.one.length))
      for (let i = 0; i < count; i++) {
        chunk.writeUInt16BE(flood.nextId, i * flood.one.length + flood.idAt)
        flood.nextId = flood.nextId === 65_535 ? 1 : flood.nextId + 1
      }
      flood.unacknowledged += count
      socket.write(chunk)
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = createServer((socket) => new Peer(socket))
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
}
