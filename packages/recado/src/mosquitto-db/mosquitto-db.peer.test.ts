/**
 * `mosquitto.db` both ways with Debian's Mosquitto: what it wrote comes along, and what we write it reads, message by message.
 *
 * Clients here speak raw packets, so that messages can be left in every state: queued, sent, received and not completed.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { accepts } from '@recado/client/testing'
import {
  Connect,
  Decoder,
  Disconnect,
  encode,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Subscribe,
} from '@recado/protocol'
import { peerPath, skipWithout } from '@recado/testkit'
import { freePort, Program, printed, run, temporaryFolder } from '../testing/program.ts'

const skip = skipWithout('mosquitto')
const options = { skip, timeout: 300_000 }

/** A client that sends what it is told to, and acknowledges nothing by itself. */
class RawClient {
  readonly sessionPresent: boolean
  readonly #socket: Socket
  readonly #packets: Packet[]
  readonly #version: ProtocolVersion

  private constructor(socket: Socket, packets: Packet[], version: ProtocolVersion, sessionPresent: boolean) {
    this.#socket = socket
    this.#packets = packets
    this.#version = version
    this.sessionPresent = sessionPresent
  }

  static async open(
    port: number,
    clientId: string,
    version: ProtocolVersion,
    properties: Properties = version === 5 ? { sessionExpiryIntervalSeconds: 3600 } : {},
  ): Promise<RawClient> {
    const socket = connectSocket(port, '127.0.0.1')
    await once(socket, 'connect')
    const packets: Packet[] = []
    const decoder = new Decoder({ role: 'client', protocolVersion: version })
    socket.on('error', () => {}) // the broker is stopped while clients are connected
    socket.on('data', (chunk) => {
      decoder.push(Uint8Array.from(chunk))
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) packets.push(packet)
      socket.emit('packets')
    })
    const connect = new Connect({
      protocolVersion: version,
      cleanStart: false,
      keepAliveSeconds: 60,
      clientId,
      username: version === 5 ? 'ada' : undefined,
      properties,
    } as ConstructorParameters<typeof Connect>[0])
    socket.write(encode(connect, version))
    const first = new RawClient(socket, packets, version, false)
    const connack = await first.next(PacketType.CONNACK)
    assert.equal(connack.type === PacketType.CONNACK && connack.reasonCode, 0)
    return new RawClient(socket, packets, version, connack.type === PacketType.CONNACK && connack.sessionPresent)
  }

  /** The next packet, which must be of that type. */
  async next(type: number): Promise<Packet> {
    while (this.#packets.length === 0) await once(this.#socket, 'packets')
    const packet = this.#packets.shift()!
    assert.equal(packet.type, type)
    return packet
  }

  async nextPublish(): Promise<Publish> {
    return (await this.next(PacketType.PUBLISH)) as Publish
  }

  send(packet: Packet): void {
    this.#socket.write(encode(packet, this.#version))
  }

  publish(
    topic: string,
    payload: string,
    qos: QoS,
    packetId: number,
    retain = false,
    properties: Properties = {},
  ): void {
    const bytes = new TextEncoder().encode(payload)
    this.send(new Publish(topic, qos, retain, false, packetId, properties, null, bytes, 0, bytes.length))
  }

  async subscribe(topicFilter: string, qos: QoS, extra: object = {}, properties: Properties = {}): Promise<void> {
    const subscription = { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0, ...extra }
    this.send(new Subscribe(1, [subscription as ConstructorParameters<typeof Subscribe>[1][0]], properties))
    await this.next(PacketType.SUBACK)
  }

  /** Ends the connection with DISCONNECT, so that no Will or takeover is in the way. */
  async leave(): Promise<void> {
    this.#socket.end(encode(new Disconnect(0), this.#version))
    await once(this.#socket, 'close')
  }
}

class Mosquitto {
  readonly port: number
  readonly #child: ChildProcess
  log = ''

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.#child = child
    child.stderr!.on('data', (chunk) => {
      this.log += chunk
    })
  }

  /** Keeps its database in `folder`. */
  static async start(context: TestContext, folder: string): Promise<Mosquitto> {
    const port = await freePort()
    const file = join(folder, 'mosquitto.conf')
    const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence true', 'user root']
    writeFileSync(file, `${[...lines, 'max_inflight_messages 2', `persistence_location ${folder}/`].join('\n')}\n`)
    const child = spawn(peerPath('mosquitto'), ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
    context.after(() => child.kill('SIGKILL'))
    const mosquitto = new Mosquitto(port, child)
    while (!(await accepts(port))) {
      assert.equal(child.exitCode, null, mosquitto.log)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return mosquitto
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}

const payloadOf = (publish: Publish): string => new TextDecoder().decode(publish.payload)
const shown = (publish: Publish): [string, string, number, boolean, number] => [
  publish.topic,
  payloadOf(publish),
  publish.qos,
  publish.dup,
  publish.packetId,
]

/** Leaves messages in every state in a Mosquitto that keeps its data in `folder`, and stops it. */
async function fill(context: TestContext, folder: string): Promise<void> {
  const mosquitto = await Mosquitto.start(context, folder)
  const { port } = mosquitto
  const old = await RawClient.open(port, 'old', 4)
  await old.subscribe('q1/#', 1)
  await old.subscribe('q2/#', 2)
  await old.leave()
  const modern = await RawClient.open(port, 'modern', 5)
  await modern.subscribe('q1/#', 2, { noLocal: true, retainAsPublished: true }, { subscriptionIdentifiers: [7] })
  const publisher = await RawClient.open(port, 'publisher', 5)
  const properties: Properties = {
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Uint8Array.of(1, 2),
    userProperties: [['unit', 'K']],
    messageExpiryIntervalSeconds: 1000,
  }
  for (let id = 1; id <= 4; id++) {
    publisher.publish(`q1/${id}`, `one ${id}`, 1, id, false, properties)
    await publisher.next(PacketType.PUBACK)
  }
  // modern has two in flight, unacknowledged; old, which is away, four in its queue.
  await modern.nextPublish()
  await modern.nextPublish()
  // A QoS 2 message of each stage for a client that is connected: PUBREC not sent, and PUBCOMP not sent.
  const stages = await RawClient.open(port, 'stages', 4)
  await stages.subscribe('stage/#', 2)
  for (const name of ['a', 'b']) {
    const packetId = name === 'a' ? 11 : 12
    publisher.publish(`stage/${name}`, name, 2, packetId)
    await publisher.next(PacketType.PUBREC)
    publisher.send(new Pubrel(packetId))
    await publisher.next(PacketType.PUBCOMP)
  }
  const a = await stages.nextPublish()
  await stages.nextPublish()
  stages.send(new Pubrec(a.packetId))
  await stages.next(PacketType.PUBREL)
  // A client that has sent a QoS 2 message and not released it.
  const sender = await RawClient.open(port, 'sender', 4)
  sender.publish('q2/unreleased', 'not yet', 2, 77)
  await sender.next(PacketType.PUBREC)
  publisher.publish('kept/a', 'retained', 1, 20, true, { contentType: 'x' })
  await publisher.next(PacketType.PUBACK)
  publisher.publish('kept/gone', 'deleted', 1, 21, true)
  await publisher.next(PacketType.PUBACK)
  publisher.publish('kept/gone', '', 1, 22, true)
  await publisher.next(PacketType.PUBACK)
  await mosquitto.stop()
}

test(
  'what Mosquitto kept, in every state, is delivered by a broker that starts with its folder',
  options,
  async (context) => {
    const folder = temporaryFolder(context)
    await fill(context, folder)
    const before = readFileSync(join(folder, 'mosquitto.db'))
    const port = await freePort()
    const config = ['allow_anonymous true', `persistence_location ${folder}`, 'log_dest stderr']
    const broker = await Program.start(context, port, config)
    assert.match(
      broker.err,
      /mosquitto\.db was imported: 5 sessions, 4 subscriptions, 7 messages waiting, 4 in flight, 1 retained message\./,
    )
    assert.doesNotMatch(broker.err, /damaged/)
    assert.match(broker.err, /1 QoS 2 message that clients had sent and not released was passed on now/)
    assert.deepEqual(readFileSync(join(folder, 'mosquitto.db')), before, 'the file is left as it is')

    const old = await RawClient.open(port, 'old', 4)
    assert.equal(old.sessionPresent, true)
    for (let id = 1; id <= 4; id++) {
      const publish = await old.nextPublish()
      assert.deepEqual(shown(publish).slice(0, 4), [`q1/${id}`, `one ${id}`, 1, false])
      old.send(new Puback(publish.packetId))
    }
    assert.deepEqual(shown(await old.nextPublish()).slice(0, 4), ['q2/unreleased', 'not yet', 2, false])

    const modern = await RawClient.open(port, 'modern', 5)
    assert.equal(modern.sessionPresent, true)
    for (let id = 1; id <= 4; id++) {
      const publish = await modern.nextPublish()
      assert.deepEqual(shown(publish).slice(0, 4), [`q1/${id}`, `one ${id}`, 1, id <= 2])
      const { messageExpiryIntervalSeconds = 0, ...properties } = publish.properties
      assert.ok(messageExpiryIntervalSeconds > 800 && messageExpiryIntervalSeconds <= 1000)
      assert.deepEqual(properties, {
        contentType: 'text/plain',
        responseTopic: 'answer',
        correlationData: Uint8Array.of(1, 2),
        userProperties: [['unit', 'K']],
        subscriptionIdentifiers: [7],
      })
      modern.send(new Puback(publish.packetId))
    }

    const stages = await RawClient.open(port, 'stages', 4)
    const again = [await stages.next(PacketType.PUBREL), await stages.nextPublish()] as const
    assert.equal(again[0].type, PacketType.PUBREL)
    assert.deepEqual(shown(again[1]).slice(0, 4), ['stage/b', 'b', 2, true])
    if (again[0].type === PacketType.PUBREL) stages.send(new Pubcomp(again[0].packetId))

    const sender = await RawClient.open(port, 'sender', 4)
    sender.send(new Pubrel(77))
    await sender.next(PacketType.PUBCOMP)

    const late = await RawClient.open(port, 'late', 5)
    await late.subscribe('kept/#', 1)
    const kept = await late.nextPublish()
    assert.deepEqual(
      [kept.topic, payloadOf(kept), kept.retain, kept.properties.contentType],
      ['kept/a', 'retained', true, 'x'],
    )

    // The second start finds data of ours and imports nothing.
    await broker.stop('SIGTERM')
    const second = await Program.start(context, await freePort(), config)
    assert.doesNotMatch(second.err, /was imported/)
  },
)

test('an export as mosquitto.db is read by Mosquitto, with all that was waiting', options, async (context) => {
  const folder = temporaryFolder(context)
  await fill(context, folder)
  const data = join(folder, 'data')
  assert.equal((await run('import', data, join(folder, 'mosquitto.db'))).code, 0)
  const back = join(folder, 'back')
  mkdirSync(back)
  const { code, err } = await run('export', '--format', 'mosquitto.db', data, join(back, 'mosquitto.db'))
  assert.equal(code, 0)
  assert.match(err, /1 QoS 2 message of clients not released yet/)
  assert.match(err, /5 sessions, 4 subscriptions, 11 messages waiting or in flight, 1 retained message in /)
  // What went around is the same.
  const again = join(folder, 'again')
  assert.equal((await run('import', again, join(back, 'mosquitto.db'))).code, 0)
  const withoutReceived = (text: string): string =>
    text.replace(',"receivedPacketIds":[77]', '').replace(/"disconnectedAt":"[^"]*"/g, '')
  assert.equal(
    withoutReceived(await printed('export', again, '-')),
    withoutReceived(await printed('export', data, '-')),
  )

  const mosquitto = await Mosquitto.start(context, back)
  const { port } = mosquitto
  const old = await RawClient.open(port, 'old', 4)
  assert.equal(old.sessionPresent, true)
  for (let id = 1; id <= 4; id++) {
    const publish = await old.nextPublish()
    assert.deepEqual(shown(publish).slice(0, 3), [`q1/${id}`, `one ${id}`, 1])
    old.send(new Puback(publish.packetId))
  }
  assert.deepEqual(shown(await old.nextPublish()).slice(0, 3), ['q2/unreleased', 'not yet', 2])
  const modern = await RawClient.open(port, 'modern', 5)
  for (let id = 1; id <= 4; id++) {
    const publish = await modern.nextPublish()
    assert.deepEqual(shown(publish).slice(0, 3), [`q1/${id}`, `one ${id}`, 1])
    assert.equal(publish.properties.contentType, 'text/plain')
    modern.send(new Puback(publish.packetId))
  }
  const late = await RawClient.open(port, 'late', 5)
  await late.subscribe('kept/#', 1)
  const kept = await late.nextPublish()
  assert.deepEqual([kept.topic, payloadOf(kept), kept.retain], ['kept/a', 'retained', true])
})

test(
  'a damaged mosquitto.db loses only what is damaged, and never keeps the broker from starting',
  options,
  async (context) => {
    const folder = temporaryFolder(context)
    await fill(context, folder)
    const whole = readFileSync(join(folder, 'mosquitto.db'))
    // Each cut and each overwritten place: what is left is imported, or refused in one line.
    let partial = 0
    async function importDamaged(kind: 'cut' | 'flip' | 'zeros', at: number): Promise<void> {
      const bytes = kind === 'cut' ? whole.subarray(0, at) : Buffer.from(whole)
      if (kind === 'flip') bytes[at] = bytes[at]! ^ 0xff
      if (kind === 'zeros') bytes.fill(0, at)
      const file = join(folder, `damaged-${kind}-${at}.db`)
      writeFileSync(file, bytes)
      const target = join(folder, `out-${kind}-${at}`)
      const { code, err } = await run('import', target, file)
      assert.ok(code === 0 || (code === 1 && err.split('\n').length === 2), `${kind} ${at}: ${err}`)
      assert.equal(existsSync(join(target, 'recado.mdb')), code === 0)
      if (code === 0 && /is damaged/.test(err)) partial++
    }
    // Several at once: an import waits for the disk most of its time.
    const places = Array.from({ length: Math.ceil((whole.length - 1) / 29) }, (_, i) => 1 + 29 * i)
    while (places.length > 0) {
      const some = places.splice(0, 4)
      await Promise.all(
        some.flatMap((at) => (['cut', 'flip', 'zeros'] as const).map((kind) => importDamaged(kind, at))),
      )
    }
    assert.ok(partial > 25)
    const start = join(folder, 'start')
    mkdirSync(start)
    writeFileSync(join(start, 'mosquitto.db'), Buffer.alloc(4096))
    const broker = await Program.start(context, await freePort(), [`persistence_location ${start}`, 'log_dest stderr'])
    assert.match(broker.err, /begins with zeros, .* the broker starts empty/)
    cpSync(join(start, 'mosquitto.db'), join(folder, 'copy'))
  },
)

test(
  'of two brokers that are started at once with the data of a Mosquitto one imports it, and the other says who has it',
  options,
  async (context) => {
    const folder = temporaryFolder(context)
    await fill(context, folder)
    const config = [`persistence_location ${folder}`, 'log_dest stderr']
    const ports = [await freePort(), await freePort()]
    const programs = ports.map((port) => Program.spawn(context, port, config))
    // One of them ends, whichever comes second; the other runs.
    const [code, loser] = await Promise.race(programs.map(async (program) => [await program.ended(), program] as const))
    assert.equal(code, 1)
    assert.match(loser.err, /is in use by process|is used by/)
    const winner = programs.find((program) => program !== loser)!
    while (!/ running$/m.test(winner.err)) await once(winner.child.stderr!, 'data')
    assert.match(winner.err + loser.err, /was imported: 5 sessions/)
    await winner.stop('SIGTERM')
  },
)
