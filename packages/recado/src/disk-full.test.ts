/* docs/durability.md, "When something is wrong", row by row: a real broker on a disk that is full, and has room again. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  Disconnect,
  encode,
  type Packet,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Publish,
  Pubrec,
  type QoS,
  ReasonCode,
  Suback,
  Subscribe,
} from '@recado/protocol'
import { freePort, Program } from './testing/program.ts'

const KEPT = { sessionExpiryIntervalSeconds: 3600 }
const TOO_MUCH = 4 * 1024 * 1024

/** A disk of 16 MiB; null: this user may not mount one. */
function smallDisk(context: TestContext): string | null {
  if (process.getuid?.() !== 0) return null
  const path = mkdtempSync(join(tmpdir(), 'recado-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path], { stdio: 'ignore' })
  context.after(() => {
    if (status === 0) spawnSync('umount', ['-l', path])
    rmdirSync(path)
  })
  return status === 0 ? path : null
}

function fillUp(path: string): void {
  writeFileSync(path, '')
  const piece = Buffer.alloc(4096)
  try {
    for (;;) appendFileSync(path, piece)
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
  }
}

class Client {
  readonly #socket: Socket
  readonly #version: ProtocolVersion
  readonly #received: Packet[] = []
  #wake: () => void = () => {}

  constructor(port: number, version: ProtocolVersion = 5) {
    this.#version = version
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const decoder = new Decoder({ role: 'client', protocolVersion: version })
    this.#socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk)
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) this.#received.push(packet)
      this.#wake()
    })
    this.#socket.on('error', () => {})
  }

  send(packet: Packet): this {
    this.#socket.write(encode(packet, this.#version))
    return this
  }

  async next(): Promise<Packet> {
    while (this.#received.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#received.shift()!
  }

  async connect(clientId: string, options: Partial<ConnectOptions> = {}): Promise<number> {
    const connect = { protocolVersion: this.#version, clientId, cleanStart: true, keepAliveSeconds: 0, ...options }
    const answer = await this.send(new Connect(connect)).next()
    assert.ok(answer instanceof Connack)
    return answer.reasonCode
  }

  async publish(topic: string, qos: QoS, retain = false, payload: Uint8Array = Buffer.from('m')): Promise<number> {
    const answer = await this.send(Publish.of({ topic, qos, retain, payload, packetId: 1 })).next()
    assert.ok(answer instanceof Puback || answer instanceof Pubrec)
    return answer.reasonCode
  }

  async subscribe(topicFilter: string): Promise<number> {
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 as const }
    this.send(new Subscribe(9, [{ topicFilter, qos: 1, ...options }]))
    const answer = await this.next()
    assert.ok(answer instanceof Suback)
    return answer.reasonCodes[0]!
  }
}

test('a disk that is full: each is told what docs/durability.md says, and all goes on when there is room', async (context) => {
  const disk = smallDisk(context)
  if (disk === null) {
    context.skip('this user may not mount a tmpfs')
    return
  }
  const port = await freePort()
  const config = [`persistence_location ${disk}/data`, 'max_packet_size 8000000']
  const broker = await Program.start(context, port, config)
  const sleeper = new Client(port)
  assert.equal(await sleeper.connect('sleeper', { properties: KEPT }), 0)
  assert.equal(await sleeper.subscribe('t/#'), 1)
  sleeper.send(new Disconnect())
  const [publisher, watcher, old] = [new Client(port), new Client(port), new Client(port, 4)]
  for (const [client, clientId] of [
    [publisher, 'publisher'],
    [watcher, 'watcher'],
    [old, 'old'],
  ] as const)
    assert.equal(await client.connect(clientId), 0)
  assert.equal(await watcher.subscribe('x'), 1)
  assert.equal(await publisher.publish('t/1', 1), 0)

  fillUp(join(disk, 'filler'))
  // Of the batch that fails.
  assert.equal(await publisher.publish('t/2', 1, false, new Uint8Array(TOO_MUCH)), ReasonCode.QuotaExceeded)
  for (const qos of [1, 2] as const) {
    assert.equal(await publisher.publish('t/3', qos), ReasonCode.QuotaExceeded)
    assert.equal(await publisher.publish('u', qos, true), ReasonCode.QuotaExceeded)
  }
  assert.equal(await new Client(port).connect('new', { properties: KEPT }), ReasonCode.QuotaExceeded)
  const will = { topic: 'w', payload: new Uint8Array(0), qos: 0 as const, retain: false, properties: {} }
  assert.equal(await new Client(port).connect('mortal', { will }), ReasonCode.QuotaExceeded)
  assert.equal(await new Client(port).connect('nothing to keep'), 0)
  const back = new Client(port)
  assert.equal(await back.connect('sleeper', { cleanStart: false, properties: KEPT }), 0)
  const first = await back.next()
  assert.ok(first instanceof Publish && first.topic === 't/1')
  back.send(new Puback(first.packetId))
  // It is not on the disk, and goes out all the same.
  const second = await back.next()
  assert.ok(second instanceof Publish && second.topic === 't/2')
  assert.equal(await back.subscribe('y'), ReasonCode.QuotaExceeded)
  // Before MQTT 5.0: no answer.
  old.send(Publish.of({ topic: 't/4', qos: 1, retain: false, payload: new Uint8Array(1), packetId: 1 }))
  assert.ok((await old.send(new Pingreq()).next()) instanceof Pingresp)
  assert.equal(await publisher.publish('x', 1), 0)
  assert.ok((await watcher.next()) instanceof Publish)

  rmSync(join(disk, 'filler'))
  while (!/The store writes again/.test(broker.err)) await once(broker.child.stderr!, 'data')
  assert.equal(await publisher.publish('u', 1, true), ReasonCode.NoMatchingSubscribers)
  assert.equal(await new Client(port).connect('new', { properties: KEPT, will }), 0)
  await broker.stop('SIGKILL')
})

test('a disk that fills up in the middle of messages ends no broker, and one that was killed starts on it', async (context) => {
  for (let round = 0; round < 3; round++) {
    const disk = smallDisk(context)
    if (disk === null) {
      context.skip('this user may not mount a tmpfs')
      return
    }
    // What is written last differs from round to round.
    writeFileSync(join(disk, 'filler'), Buffer.alloc(12_000_000 + round * 70_000))
    const port = await freePort()
    const config = [`persistence_location ${disk}/data`]
    const broker = await Program.start(context, port, config)
    const sleeper = new Client(port)
    assert.equal(await sleeper.connect('sleeper', { properties: KEPT }), 0)
    assert.equal(await sleeper.subscribe('t/#'), 1)
    sleeper.send(new Disconnect())
    const publisher = new Client(port)
    assert.equal(await publisher.connect('publisher'), 0)
    let kept = 0
    for (let i = 0; i < 300; i++) {
      const reasonCode = await publisher.publish(`t/${i}`, 1, false, new Uint8Array(20_000 + round * 1_111))
      if (reasonCode === 0) kept++
      else assert.equal(reasonCode, ReasonCode.QuotaExceeded)
    }
    assert.ok(kept > 50 && kept < 300, `${kept} messages`)
    assert.match(broker.err, /cannot write in .*: the disk is full/)
    // What the C library prints by itself would stand in the middle of a line.
    assert.doesNotMatch(broker.err, /Write error/)
    await broker.stop('SIGKILL')

    const next = await Program.start(context, await freePort(), config)
    const back = new Client(next.port)
    assert.equal(await back.connect('sleeper', { cleanStart: false, properties: KEPT }), 0)
    for (let i = 0; i < kept; i++) {
      const message = await back.next()
      assert.ok(message instanceof Publish && message.topic === `t/${i}`)
      back.send(new Puback(message.packetId))
    }
    await next.stop('SIGKILL')
  }
})
