/** One network connection below the client, with a server that the test plays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connect, Pingresp } from '@recado/protocol'
import { Connection } from './connection.ts'
import { serverAddress } from './servers.ts'
import { SimulatedWorld, turn } from './testing/mod.ts'

test('each PINGRESP answers the PINGREQ in its place, one of the keep alive too', async () => {
  const world = new SimulatedWorld()
  const transport = await world.dial(serverAddress('mqtt', 'h', 1883), {}, new AbortController().signal)
  const server = await world.connection()
  const handler = { handlePacket() {}, handleDrain() {}, handleClosed() {} }
  const connection = new Connection(transport, world, 4, 1_000, null, handler)
  connection.start()
  connection.send(new Connect({ protocolVersion: 4, cleanStart: true, keepAliveSeconds: 10, clientId: 'c' }))
  await turn()
  await server.accept()
  connection.establish(handler, 10)
  await world.advance(9_000)
  await server.expect(12)
  const answered: string[] = []
  connection.ping(() => answered.push('first'))
  connection.ping(() => answered.push('second'))
  await turn()
  for (const expected of [[], ['first'], ['first', 'second']]) {
    server.send(new Pingresp())
    assert.deepEqual(answered, expected)
  }
  connection.destroy()
})
