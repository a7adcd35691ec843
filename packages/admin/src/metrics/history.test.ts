import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from '@recado/broker'
import { History } from './history.ts'

test('the history is told from a time on, with the rates that it has as a whole', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval', 'Date'], now: 1_000_000 })
  const broker = createBroker()
  const history = new History(broker)
  for (let second = 1; second <= 5; second++) context.mock.timers.tick(1_000)
  const whole = history.read(1, ['messagesReceived', 'clients'])
  assert.deepEqual(whole.atMs, [1_001_000, 1_002_000, 1_003_000, 1_004_000, 1_005_000])
  const part = history.read(1, ['messagesReceived', 'clients'], 1_003_000)
  assert.deepEqual(part.atMs, [1_004_000, 1_005_000])
  assert.deepEqual(part.series['messagesReceived'], whole.series['messagesReceived']!.slice(3))
  assert.deepEqual(history.read(1, ['clients'], 1_005_000), { atMs: [], series: { clients: [] } })
  history.stop()
  context.mock.timers.reset()
  await broker.close()
})
