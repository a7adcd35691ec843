import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from '../testing/api.ts'

/** Reads a stream of events until there are so many. */
async function readEvents(url: string, token: string, count: number, whenOpen: () => Promise<unknown>) {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let text = ''
  const eventsIn = (): RegExpMatchArray[] => [...text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)]
  let isOpen = false
  while (eventsIn().length < count) {
    const { value } = await reader.read()
    text += decoder.decode(value, { stream: true })
    if (isOpen) continue
    isOpen = true
    await whenOpen()
  }
  await reader.cancel()
  return eventsIn().map(([, name, data]) => [name, JSON.parse(data!)] as const)
}

test('messages of a filter can be watched, the retained ones first, and nobody is subscribed by it', async (context) => {
  const { broker, port, tokenOf, ask } = await serve(context)
  await broker.publish({ topic: 'a/1', payload: 'before', retain: true })
  await broker.publish({ topic: 'b/1', payload: 'other', retain: true })
  const url = `http://127.0.0.1:${port}/api/v1/messages?topicFilter=a/%23&retained=true&payloadBytes=4`
  const events = await readEvents(url, tokenOf('operator'), 2, async () => {
    assert.equal(broker.metrics().subscriptions, 0)
    await broker.publish({ topic: 'b/1', payload: 'x' })
    await broker.publish({
      ...{ topic: 'a/2', payload: Uint8Array.of(255, 1), qos: 1 },
      properties: { contentType: 'x/y', correlationData: Uint8Array.of(1) },
    })
  })
  const shown = events.map(([name, { atMs, ...rest }]) => [name, typeof atMs, rest])
  assert.deepEqual(shown, [
    [
      'message',
      'number',
      {
        ...{ clientId: null, topic: 'a/1', qos: 0, retain: true, isRetained: true, properties: {} },
        payload: { text: 'befo', base64: 'YmVmbw==', bytes: 6, isWhole: false },
      },
    ],
    [
      'message',
      'number',
      {
        ...{ clientId: null, topic: 'a/2', qos: 1, retain: false, isRetained: false },
        properties: { contentType: 'x/y', correlationData: 'AQ==' },
        payload: { text: null, base64: '/wE=', bytes: 2, isWhole: true },
      },
    ],
  ])
  const viewer = tokenOf('viewer')
  assert.equal((await ask('/api/v1/messages?topicFilter=a', { token: viewer })).status, 403)
  const { items } = (await ask('/api/v1/audit', { token: tokenOf('operator') })).json()
  assert.ok(items.some(({ what }: { what: string }) => what === 'watches messages of "a/#"'))
})
