import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Publish, Subscribe } from '@recado/protocol'
import { DebugLog } from './debug-log.ts'

test('messages of QoS 0 that are sent are counted, as libmosquitto does; those that come have no number', () => {
  const lines: string[] = []
  const { trace } = new DebugLog('one', (line) => void lines.push(line))
  const message = Publish.of({ topic: 'a', qos: 0 })
  const subscription = {
    topicFilter: 'r',
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const
  trace('sent', new Subscribe(1, [subscription]))
  trace('sent', message)
  trace('sent', message)
  trace('received', message)
  trace('sent', Publish.of({ topic: 'a', qos: 1, packetId: 9 }))
  assert.deepEqual(
    lines.map((line) => /[mM](?:id: )?\d+/.exec(line)?.[0]),
    ['Mid: 1', 'm2', 'm3', 'm0', 'm9'],
  )
})
