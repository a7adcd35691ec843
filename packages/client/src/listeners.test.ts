import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError, Publish } from '@recado/protocol'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const boom = (): never => {
  throw new Error('boom')
}

test('what a listener throws, or rejects with, goes to onHandlerError, and the client goes on', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const told: unknown[] = []
  client.onHandlerError = (error) => void told.push((error as Error).message)
  client.onState(boom)
  const stop = client.onState((async () => boom()) as unknown as () => void)
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept()
  await connecting
  await turn()
  // Connecting and connected, of both.
  assert.deepEqual(told.splice(0), ['boom', 'boom', 'boom', 'boom'])
  stop()
  for (const listener of [boom, (async () => boom()) as unknown as () => void]) {
    client.onMessage = listener
    server.send(Publish.of({ topic: 'a', qos: 0 }))
    await turn()
    assert.deepEqual(told.splice(0), ['boom'])
  }
  assert.equal(client.connected, true)
  client.destroy()
  await turn()
  assert.deepEqual(told, ['boom'])
})

test('what trace throws goes to onHandlerError: no message or connection is lost for it', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ trace: boom })
  const told: unknown[] = []
  client.onHandlerError = (error) => void told.push((error as Error).message)
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept()
  await connecting
  await client.publish('a', 'x')
  assert.equal((await server.expect(3)).topic, 'a')
  assert.deepEqual(told, ['boom', 'boom', 'boom'])
  client.destroy()
})

test('a listener that is none is refused when it is set, and the one before stays', () => {
  const client = new SimulatedWorld().client() as unknown as Record<string, unknown>
  const listener = (): void => {}
  for (const name of ['onMessage', 'onHandlerError', 'onInvalidMessage', 'onUndelivered', 'onStoreError']) {
    assert.equal(client[name], null)
    client[name] = listener
    for (const wrong of [5, 'x', {}, true]) {
      assert.throws(
        () => {
          client[name] = wrong
        },
        (error) => {
          assert.ok(error instanceof OptionError)
          assert.match(error.message, new RegExp(`^${name} must be a function or null, not `))
          return true
        },
      )
    }
    assert.equal(client[name], listener)
    client[name] = null
    assert.equal(client[name], null)
  }
})
