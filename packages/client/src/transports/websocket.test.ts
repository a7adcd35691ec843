import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decoder } from '@recado/protocol'
import { NotSupportedError, UnreachableError } from '../errors.ts'
import { parseServerUrl } from '../servers.ts'
import type { WebSocketConstructor, WebSocketLike } from './transport.ts'
import { dialWebSocket, type WebSocketTransport } from './websocket.ts'

type Listener = (event: object) => void

class FakeWebSocket implements WebSocketLike {
  static last: FakeWebSocket
  binaryType = 'blob'
  readyState = 0
  bufferedAmount = 0
  protocol = 'mqtt'
  readonly url: string
  readonly protocols: string[] | undefined
  readonly sent: Uint8Array[] = []
  closedWith: number | undefined | null = null
  readonly #listeners = new Map<string, Set<Listener>>()

  constructor(url: string, protocols?: string[]) {
    this.url = url
    this.protocols = protocols
    FakeWebSocket.last = this
  }

  send(data: Uint8Array): void {
    this.sent.push(data)
  }

  close(code?: number): void {
    this.closedWith = code
    this.readyState = 2
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener as Listener))
  }

  removeEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.get(type)?.delete(listener as Listener)
  }

  emit(type: string, event: object = {}): void {
    if (type === 'open') this.readyState = 1
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener(event)
  }

  listeners(type: string): number {
    return this.#listeners.get(type)?.size ?? 0
  }
}

const address = parseServerUrl('ws://host:1/mqtt')
const webSocket = FakeWebSocket as unknown as WebSocketConstructor
const signal = new AbortController().signal
const message = (...bytes: number[]): object => ({ data: Uint8Array.from(bytes).buffer })

interface Events {
  chunks: number[][]
  closed: (Error | null)[]
  drains: number
}

async function opened(): Promise<{ socket: FakeWebSocket; transport: WebSocketTransport; events: Events }> {
  const dialled = dialWebSocket(address, { webSocket }, signal)
  const socket = FakeWebSocket.last
  socket.emit('open')
  const transport = (await dialled) as WebSocketTransport
  const events: Events = { chunks: [], closed: [], drains: 0 }
  return { socket, transport, events }
}

function start(transport: WebSocketTransport, events: Events): void {
  transport.start({
    onData: (chunk) => void events.chunks.push([...chunk]),
    onDrain: () => void events.drains++,
    onClose: (error) => void events.closed.push(error),
  })
}

test('opens with the subprotocol mqtt [MQTT-6.0.0-3] and reads binary frames, none before start [MQTT-6.0.0-1]', async () => {
  const { socket, transport, events } = await opened()
  assert.deepEqual([socket.url, socket.protocols, socket.binaryType], ['ws://host:1/mqtt', ['mqtt'], 'arraybuffer'])
  socket.emit('message', message(1, 2))
  start(transport, events)
  socket.emit('message', message(3))
  assert.deepEqual(events.chunks, [[1, 2], [3]])
})

test('a text frame ends the connection [MQTT-6.0.0-1]', async () => {
  const { socket, transport, events } = await opened()
  start(transport, events)
  socket.emit('message', { data: 'text' })
  assert.deepEqual(events.chunks, [])
  assert.ok(socket.readyState >= 2)
})

test('frames are pieces of one stream: a packet over several, several in one [MQTT-6.0.0-2]', async () => {
  const { socket, transport } = await opened()
  const decoder = new Decoder({ role: 'client', protocolVersion: 4 })
  const types: number[] = []
  transport.start({
    onData(chunk) {
      decoder.push(chunk)
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) types.push(packet.type)
    },
    onDrain: () => undefined,
    onClose: () => undefined,
  })
  socket.emit('message', message(0x20))
  socket.emit('message', message(2, 0, 0, 0xd0))
  socket.emit('message', message(0, 0xd0, 0, 0x30, 3, 0, 1))
  assert.deepEqual(types, [2, 13, 13])
  socket.emit('message', message(0x74))
  assert.deepEqual(types, [2, 13, 13, 3])
})

test('pause holds what comes until resume', async () => {
  const { socket, transport, events } = await opened()
  start(transport, events)
  transport.pause()
  socket.emit('message', message(1))
  socket.emit('message', message(2))
  assert.deepEqual(events.chunks, [])
  transport.resume()
  assert.deepEqual(events.chunks, [[1], [2]])
})

test('a full send buffer is told, and that it has emptied', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { socket, transport, events } = await opened()
  start(transport, events)
  assert.equal(transport.write(Uint8Array.of(1)), true)
  socket.bufferedAmount = 10_000_000
  assert.equal(transport.write(Uint8Array.of(2)), false)
  t.mock.timers.tick(100)
  assert.equal(events.drains, 0)
  socket.bufferedAmount = 0
  t.mock.timers.tick(100)
  assert.equal(events.drains, 1)
})

test('the end is reported once: in good order, with an error, and by destroy', async () => {
  const cases: [(socket: FakeWebSocket, transport: WebSocketTransport) => void, boolean][] = [
    [(socket) => socket.emit('close', { code: 1000 }), true],
    [(socket) => socket.emit('close', { code: 1006 }), false],
    [(_socket, transport) => transport.destroy(), true],
    [(socket) => socket.emit('message', { data: 'text' }), false],
  ]
  for (const [end, isClean] of cases) {
    const { socket, transport, events } = await opened()
    start(transport, events)
    end(socket, transport)
    socket.emit('close', { code: 1006 })
    socket.emit('message', message(1))
    await Promise.resolve()
    assert.equal(events.closed.length, 1)
    assert.equal(events.closed[0] === null, isClean)
    assert.deepEqual(events.chunks, [])
  }
})

test('a failed handshake is an UnreachableError; an abort leaves no listener; no class is a NotSupportedError', async () => {
  const failed = dialWebSocket(address, { webSocket }, signal)
  FakeWebSocket.last.emit('error', { message: 'no' })
  await assert.rejects(failed, UnreachableError)
  const abort = new AbortController()
  const aborted = dialWebSocket(address, { webSocket }, abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(aborted, /enough/)
  assert.equal(FakeWebSocket.last.listeners('open'), 0)
  if (!('WebSocket' in globalThis)) await assert.rejects(dialWebSocket(address, {}, signal), NotSupportedError)
})
