import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '@recado/client'
import { serve } from '../testing/api.ts'

test('a level has topics that are retained and topics that were published to, each once', async (context) => {
  const { ask, mqttPort, tokenOf } = await serve(context)
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`)
  await client.publish('a/both', '1', { qos: 1, retain: true })
  await client.publish('a/both/below', '1', { qos: 1 })
  await client.publish('a/passing', '1', { qos: 1 })
  await client.publish('a/passing', '2', { qos: 1 })
  await client.close()
  const token = tokenOf('viewer')
  const level = async (below: string): Promise<unknown> =>
    (await ask(`/api/v1/topics?below=${below}`, { token })).json()
  assert.deepEqual(await level(''), {
    items: [{ name: 'a', topic: 'a', hasMessage: false, hasBelow: true, messages: 1, published: 3 }],
    next: null,
  })
  assert.deepEqual(await level('a'), {
    items: [
      { name: 'both', topic: 'a/both', hasMessage: true, hasBelow: true, messages: 1, published: 2 },
      { name: 'passing', topic: 'a/passing', hasMessage: false, hasBelow: false, messages: 0, published: 1 },
    ],
    next: null,
  })
})
