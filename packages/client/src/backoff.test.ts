import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, ReasonCode } from '@recado/protocol'
import { Backoff } from './backoff.ts'
import type { Environment } from './environment.ts'
import { ConnectionRefusedError } from './errors.ts'
import { SimulatedWorld } from './testing/simulated.ts'

const pauses = (random: () => number, count: number, minMs = 250, maxMs = 30_000): number[] => {
  const backoff = new Backoff({ random } as Environment, { minMs, maxMs, stableMs: 20_000 })
  return Array.from({ length: count }, () => backoff.next().delayMs)
}

test('pauses grow whatever is drawn, stay within minimum and maximum, and are not the same for all', () => {
  const least = pauses(() => 0, 20)
  const most = pauses(() => 0.999, 20)
  assert.equal(least[0], 250)
  for (const [i, pause] of least.entries()) {
    assert.ok(i === 0 || pause > least[i - 1]! || pause === 15_000, `${pause} after ${least[i - 1]}`)
    assert.ok(pause < most[i]! && most[i]! <= 30_000, `${pause} and ${most[i]}`)
  }
  assert.equal(least.at(-1), 15_000)
  assert.deepEqual(
    pauses(() => 0.5, 3, 1_000, 1_000),
    [1_000, 1_000, 1_000],
  )
  assert.deepEqual(
    pauses(() => 0.5, 2, 0, 0),
    [0, 0],
  )
})

test('servers that send us round in a circle cost one connection each, and count as one failure', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ retryFirst: true, reconnect: { attemptsMax: 2 } })
  const hosts: string[] = []
  const connecting = assert.rejects(client.connect(), ConnectionRefusedError)
  const refuse = async (serverReference: string): Promise<void> => {
    const server = await world.connection()
    hosts.push(server.address.host)
    await server.expect(1)
    server.send(new Connack(false, ReasonCode.UseAnotherServer, { serverReference }))
  }
  await refuse('other:1')
  const home = `${hosts[0]}:1883`
  await refuse(home)
  for (let round = 0; round < 2; round++) {
    await world.advance(30_000)
    // One that sends us to itself.
    await refuse(home)
  }
  await connecting
  assert.deepEqual(hosts, [hosts[0], 'other', hosts[0], hosts[0]])
})
