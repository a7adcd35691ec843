/** A bridge on a line of 64 kbit/s with 5 % loss, in simulated time: it stays up, bounded, and usable for QoS 1. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from '@recado/broker'
import type { Transport, TransportHandler } from '@recado/client/low-level'
import { SimulatedWorld, turn } from '@recado/client/testing'
import { Connack, Decoder, encode, type Packet, Pingresp, Puback, Suback } from '@recado/protocol'
import { bridgesFrom } from '../config/bridges.ts'
import { parseConfigFile } from '../config/parse.ts'
import { Bridge } from './bridge.ts'

const BYTES_PER_SECOND = 8_000
const TICK_MS = 100
/** A segment that is lost comes again this much later, and all behind it. */
const RESEND_MS = 1_000
/** Segments of a second, and how many of twenty are lost. */
const SEGMENT_BYTES = (BYTES_PER_SECOND * TICK_MS) / 1_000
const LOST_OF = 20
/** Bytes that the system of the sender keeps for the network. */
const SYSTEM_BYTES = 64 * 1024

/** Line to a remote broker that acknowledges at once. What it sends back has room on the line. */
class SlowLine implements Transport {
  readonly received: Packet[] = []
  mostBytes = 0
  #waiting: Uint8Array[] = []
  #bytes = 0
  #handler: TransportHandler | null = null
  #isOver = false
  #isFull = false
  #segments = 0
  readonly #decoder = new Decoder({ role: 'server', protocolVersion: 4 })
  readonly #world: SimulatedWorld

  constructor(world: SimulatedWorld) {
    this.#world = world
    this.#tick(TICK_MS)
  }

  start(handler: TransportHandler): void {
    this.#handler = handler
  }

  write(bytes: Uint8Array): boolean {
    this.#waiting.push(bytes.slice())
    this.#bytes += bytes.length
    this.mostBytes = Math.max(this.mostBytes, this.#bytes)
    this.#isFull = this.#bytes > SYSTEM_BYTES
    return !this.#isFull
  }

  #tick(ms: number): void {
    this.#world.setTimer(() => {
      if (this.#isOver) return
      this.#carry()
      this.#tick(++this.#segments % LOST_OF === 0 ? RESEND_MS : TICK_MS)
    }, ms)
  }

  #carry(): void {
    for (let room = SEGMENT_BYTES; room > 0 && this.#waiting.length > 0; ) {
      const [first] = this.#waiting as [Uint8Array]
      const part = first.subarray(0, room)
      if (part.length === first.length) this.#waiting.shift()
      else this.#waiting[0] = first.subarray(room)
      room -= part.length
      this.#bytes -= part.length
      this.#decoder.push(part.slice())
      for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) this.#answer(packet)
    }
    if (!this.#isFull || this.#bytes > 0) return
    this.#isFull = false
    this.#handler?.onDrain()
  }

  #answer(packet: Packet): void {
    this.received.push(packet)
    const answer =
      packet.type === 1
        ? new Connack(false, 0)
        : packet.type === 3 && packet.qos === 1
          ? new Puback(packet.packetId)
          : packet.type === 8
            ? new Suback(packet.packetId, [1])
            : packet.type === 12
              ? new Pingresp()
              : null
    if (answer !== null) this.#handler?.onData(encode(answer, 4))
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    this.destroy()
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#handler?.onClose(null)
  }
}

test('a line of 64 kbit/s with 5 % loss carries QoS 1 in time under four times as much QoS 0', async (t) => {
  const lines: SlowLine[] = []
  class SlowWorld extends SimulatedWorld {
    override readonly dial = async (): Promise<Transport> => {
      const line = new SlowLine(this)
      lines.push(line)
      return line
    }
  }
  const world = new SlowWorld()
  const text = 'connection b\naddress hub\nnotifications false\nrestart_timeout 1\ntopic a/# out 1\n'
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  const broker = createBroker()
  const bridge = new Bridge(bridgesFrom(parsed.bridges, [], 'edge').bridges[0]!, {
    environment: world,
    relay: (options) => broker.relay(options),
    dialOptions: () => ({}),
    publish: () => {},
    changed: () => {},
    log: () => {},
  })
  bridge.open()
  bridge.start()
  t.after(async () => {
    bridge.stop(false)
    await turn()
    await broker.close()
  })
  const sentMs: number[] = []
  const flood = new Uint8Array(1_000)
  let mostQueued = 0
  const lateMs: number[] = []
  const seen = new Set<number>()
  const look = (): void => {
    mostQueued = Math.max(mostQueued, bridge.figures.queuedMessages)
    for (const line of lines) {
      for (const packet of line.received) {
        if (packet.type !== 3 || packet.qos !== 1) continue
        const number = Number(new TextDecoder().decode(packet.payload))
        if (seen.has(number)) continue
        seen.add(number)
        lateMs.push(world.now() - sentMs[number]!)
      }
    }
  }
  const seconds = 180
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < (4 * BYTES_PER_SECOND) / flood.length; i++)
      await broker.publish({ topic: 'a/0', payload: flood })
    sentMs.push(world.now())
    await broker.publish({ topic: 'a/1', payload: String(second), qos: 1 })
    await world.advance(1_000)
    look()
  }
  for (let second = 0; second < 60; second++) {
    await world.advance(1_000)
    look()
  }
  assert.equal(seen.size, seconds, 'every message of QoS 1 has crossed')
  assert.equal(bridge.figures.queuedMessages + bridge.figures.inFlight, 0)
  // The first burst is as large as on any line; then the bridge knows this one.
  const later = lateMs.slice(90)
  assert.ok(Math.max(...later) < 30_000, `${Math.max(...later)} ms`)
  assert.equal(bridge.figures.connections, 1)
  assert.ok(mostQueued <= seconds && Math.max(...lines.map(({ mostBytes }) => mostBytes)) < 512 * 1024)
  const carried = lines.flatMap(({ received }) => received).filter((packet) => packet.type === 3).length
  const most = ((seconds * BYTES_PER_SECOND) / flood.length) * (LOST_OF / (LOST_OF + RESEND_MS / TICK_MS - 1))
  assert.ok(carried > most / 2, `${carried} messages have crossed, of ${most}`)
})
