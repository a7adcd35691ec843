/**
 * Nanoseconds per packet of the codec's hot path, beside mqtt-packet (which comes with the devDependency `mqtt`).
 *
 *     npm run build && node bench/micro/codec.mjs [rounds]
 *
 * Each figure is the best of several rounds (noise only ever adds), contenders interleaved, in one process. Decoding
 * runs over a 64 KiB chunk of packets, as a socket under load gives it; encoding fills a 64 KiB slab. `PUBLISH 64 B` is
 * a Topic Name of 14 bytes and a payload of 64 bytes; `many topics` takes 500 Topic Names in turn.
 */
import { createRequire } from 'node:module'
import {
  ByteWriter,
  Connect,
  Decoder,
  encode,
  encodeProperties,
  encodeTo,
  encodeTopicField,
  NO_PROPERTIES,
  Puback,
  Publish,
  Suback,
  Subscribe,
  TopicCache,
  writeAck,
  writePublish,
} from '../../packages/protocol/dist/mod.js'

const require = createRequire(import.meta.url)
const mqttPacket = require('mqtt-packet')

const rounds = Number(process.argv[2] ?? 12)
const CHUNK = 65_536
const payload = new Uint8Array(64).fill(0x78)
const topicCache = new TopicCache()
let sink = 0

function topicsOf(count) {
  return Array.from({ length: count }, (_, i) => `bench/pair/${String(i).padStart(3, '0')}`)
}

/** A chunk of whole packets and their number. */
function chunkOf(packetOf, version) {
  const parts = []
  let size = 0
  for (let i = 0; ; i++) {
    const bytes = encode(packetOf(i), version)
    if (size + bytes.length > CHUNK) return { chunk: Buffer.concat(parts), count: i }
    parts.push(bytes)
    size += bytes.length
  }
}

function publishOf(version, qos, topics, properties) {
  return (i) =>
    Publish.of({
      topic: topics[i % topics.length],
      payload,
      qos,
      packetId: qos === 0 ? 0 : 1 + (i % 65_535),
      properties: version === 5 ? (properties ?? NO_PROPERTIES) : NO_PROPERTIES,
    })
}

function connectOf(protocolVersion) {
  return new Connect({ protocolVersion, cleanStart: true, keepAliveSeconds: 0, clientId: 'bench' })
}

// --- contenders: each returns a function that handles one chunk ----------------------------------------------------------

function recadoDecode({ chunk }, version, cache) {
  const decoder = new Decoder({ role: 'server', topicCache: cache })
  decoder.push(encode(connectOf(version), version))
  decoder.read()
  return () => {
    decoder.push(chunk)
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) sink += packet.packetId
  }
}

function peerDecode({ chunk }, version) {
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on('packet', (packet) => {
    sink += packet.messageId ?? 0
  })
  parser.on('error', (error) => {
    throw error
  })
  return () => parser.parse(chunk)
}

function recadoEncode(topics, version, qos, count, properties) {
  const writer = new ByteWriter(CHUNK)
  const fields = topics.map(encodeTopicField)
  const propertyField = encodeProperties(properties ?? NO_PROPERTIES, 3)
  return () => {
    writer.reset()
    for (let i = 0; i < count; i++) {
      writePublish(
        writer,
        version,
        fields[i % fields.length],
        qos,
        false,
        false,
        1 + (i & 0x3fff),
        propertyField,
        payload,
        0,
        payload.length,
      )
    }
    sink += writer.length
  }
}

function recadoAck(count) {
  const writer = new ByteWriter(CHUNK)
  return () => {
    writer.reset()
    for (let i = 0; i < count; i++) writeAck(writer, 4, 1 + i)
    sink += writer.length
  }
}

/** Stream that mqtt-packet writes to: it counts and drops. */
const stream = {
  cork() {},
  uncork() {},
  on() {},
  once() {},
  removeListener() {},
  write(part) {
    sink += part.length
    return true
  },
}

function peerEncode(packetOf, version, count) {
  const packets = Array.from({ length: count }, (_, i) => packetOf(i))
  return () => {
    for (const packet of packets) mqttPacket.writeToStream(packet, stream, { protocolVersion: version })
  }
}

/** Encodes one packet to one array, as `encode` does. */
function peerGenerate(packetOf, version, count) {
  const packets = Array.from({ length: count }, (_, i) => packetOf(i))
  return () => {
    for (const packet of packets) sink += mqttPacket.generate(packet, { protocolVersion: version }).length
  }
}

/** Waits between rounds for mqtt-packet's corking, which ends with the next tick. */
const breathe = () => new Promise((resolve) => setImmediate(resolve))

async function bestOf(run, count) {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const times = 40
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) run()
    const ns = Number(process.hrtime.bigint() - start) / times / count
    if (ns < best) best = ns
    await breathe()
  }
  return best
}

async function compare(name, count, ours, theirs) {
  // Warm both before either is measured, so that none is measured with only its own shapes seen.
  for (let i = 0; i < 60; i++) {
    ours()
    theirs?.()
    if (i % 20 === 0) await breathe()
  }
  const a = await bestOf(ours, count)
  const b = theirs ? await bestOf(theirs, count) : null
  const row = [name.padEnd(44), `${a.toFixed(0).padStart(6)} ns`]
  if (b !== null) row.push(`${b.toFixed(0).padStart(9)} ns`, `${(b / a).toFixed(1).padStart(6)} x`)
  console.log(row.join(' '))
}

console.log(`node ${process.version}, best of ${rounds} rounds, ns per packet`)
console.log(['packet'.padEnd(44), '   recado', ' mqtt-packet'].join(' '))
const one = topicsOf(1)
const many = topicsOf(500)
const someProperties = {
  messageExpiryIntervalSeconds: 60,
  contentType: 'text/plain',
  userProperties: [['key', 'value']],
}
for (const version of [4, 5]) {
  for (const qos of [0, 1]) {
    const c = chunkOf(publishOf(version, qos, one), version)
    await compare(
      `decode PUBLISH 64 B QoS ${qos} v${version}`,
      c.count,
      recadoDecode(c, version, topicCache),
      peerDecode(c, version),
    )
  }
  const c = chunkOf(publishOf(version, 1, many), version)
  await compare(
    `decode PUBLISH 64 B QoS 1 v${version}, many topics`,
    c.count,
    recadoDecode(c, version, topicCache),
    peerDecode(c, version),
  )
}
{
  const c = chunkOf(publishOf(4, 0, one), 4)
  await compare('decode PUBLISH 64 B QoS 0 v4, no cache', c.count, recadoDecode(c, 4, undefined), peerDecode(c, 4))
  const p = chunkOf(publishOf(5, 1, one, someProperties), 5)
  await compare('decode PUBLISH 64 B QoS 1 v5, 3 properties', p.count, recadoDecode(p, 5, topicCache), peerDecode(p, 5))
  for (const version of [4, 5]) {
    const a = chunkOf((i) => new Puback(1 + i), version)
    await compare(`decode PUBACK v${version}`, a.count, recadoDecode(a, version, topicCache), peerDecode(a, version))
  }
}
const count = 700
for (const version of [4, 5]) {
  for (const qos of [0, 1]) {
    const packetOf = (i) => ({
      cmd: 'publish',
      topic: one[0],
      payload: Buffer.from(payload),
      qos,
      messageId: 1 + (i & 0x3fff),
      retain: false,
      dup: false,
    })
    await compare(
      `encode PUBLISH 64 B QoS ${qos} v${version}`,
      count,
      recadoEncode(one, version, qos, count),
      peerEncode(packetOf, version, count),
    )
  }
}
await compare(
  'encode PUBACK',
  count,
  recadoAck(count),
  peerEncode((i) => ({ cmd: 'puback', messageId: 1 + i }), 4, count),
)
{
  const writes = chunkOf(publishOf(5, 1, many, someProperties), 5).count
  const packets = Array.from({ length: writes }, (_, i) => publishOf(5, 1, many, someProperties)(i))
  const properties = { messageExpiryInterval: 60, contentType: 'text/plain', userProperties: { key: 'value' } }
  const peerOf = (i) => ({
    cmd: 'publish',
    topic: many[i % many.length],
    payload: Buffer.from(payload),
    qos: 1,
    messageId: 1 + i,
    retain: false,
    dup: false,
    properties,
  })
  const writer = new ByteWriter(2 * CHUNK)
  await compare(
    'encodeTo() PUBLISH 64 B QoS 1 v5, 3 properties',
    writes,
    () => {
      writer.reset()
      for (const packet of packets) encodeTo(writer, packet, 5)
      sink += writer.length
    },
    peerEncode(peerOf, 5, writes),
  )
  await compare(
    'encode() PUBLISH 64 B QoS 1 v5, 3 properties',
    writes,
    () => {
      for (const packet of packets) sink += encode(packet, 5).length
    },
    peerGenerate(peerOf, 5, writes),
  )
}

/** Number in a round of packets that come once in a connection. */
const TIMES = 500

function repeated(call) {
  return () => {
    for (let i = 0; i < TIMES; i++) call()
  }
}

for (const version of [4, 5]) {
  const subscription = {
    topicFilter: 'site/+/device/#',
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  }
  const c = chunkOf((i) => new Subscribe(1 + i, [subscription]), version)
  await compare(`decode SUBSCRIBE v${version}`, c.count, recadoDecode(c, version, topicCache), peerDecode(c, version))
  const connect = new Connect({
    protocolVersion: version,
    cleanStart: true,
    keepAliveSeconds: 60,
    clientId: 'device-12345',
    username: 'ada',
    password: Buffer.from('secret'),
  })
  const bytes = Buffer.from(encode(connect, version))
  await compare(
    `decode CONNECT v${version}, with its decoder`,
    TIMES,
    repeated(() => {
      const decoder = new Decoder({ role: 'server', topicCache })
      decoder.push(bytes)
      sink += decoder.read().keepAliveSeconds
    }),
    repeated(() => {
      const parser = mqttPacket.parser({ protocolVersion: version })
      parser.on('packet', (packet) => {
        sink += packet.keepalive
      })
      parser.parse(bytes)
    }),
  )
  const suback = new Suback(7, [1])
  const peer = { cmd: 'suback', messageId: 7, granted: [1], reasonCode: 0 }
  await compare(
    `encode() SUBACK v${version}`,
    TIMES,
    repeated(() => {
      sink += encode(suback, version).length
    }),
    repeated(() => {
      sink += mqttPacket.generate(peer, { protocolVersion: version }).length
    }),
  )
}
if (sink === 0) throw new Error('nothing was done')
