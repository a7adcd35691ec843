/** Several observers of one broker, added and removed while it runs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from './broker.ts'
import { Observers } from './observers.ts'
import type { Observer } from './ports.ts'

const dropped = { clientId: 'a', topic: 't', qos: 0, reason: 'expired' } as const

function scene(): { observers: Observers; told: (Observer | null)[]; tell: () => void } {
  const told: (Observer | null)[] = []
  const observers = new Observers((merged) => told.push(merged))
  return { observers, told, tell: () => observers.merged?.['message.dropped']?.(dropped) }
}

test('all are told, in the order in which they came, until they are removed', () => {
  const { observers, tell } = scene()
  const heard: string[] = []
  const listen = (name: string): Observer => ({ 'message.dropped': () => heard.push(name) })
  const remove = observers.add(listen('first'))
  observers.add(listen('second'))
  observers.own = listen('own')
  tell()
  assert.deepEqual(heard.splice(0), ['own', 'first', 'second'])
  remove()
  remove()
  tell()
  assert.deepEqual(heard, ['own', 'second'])
})

test('an event that nobody listens to has no handler, and without observers there is none to ask', () => {
  const { observers, told } = scene()
  assert.equal(observers.merged, null)
  const one = observers.add({ 'session.ended': () => {} })
  const other = observers.add({ 'client.connected': () => {} })
  assert.deepEqual(Object.keys(observers.merged!), ['session.ended', 'client.connected'])
  one()
  assert.deepEqual(Object.keys(observers.merged!), ['client.connected'])
  other()
  assert.equal(observers.merged, null)
  assert.equal(told.length, 4)
  assert.equal(told.at(-1), null)
})

test('one that throws is reported to all, and keeps no other from being told', () => {
  const { observers, tell } = scene()
  const heard: string[] = []
  observers.add({
    'message.dropped': () => {
      throw new Error('mine')
    },
    'hook.failed': () => {
      throw new Error('and again')
    },
  })
  observers.add({
    'message.dropped': () => heard.push('dropped'),
    'hook.failed': ({ hook, error }) => heard.push(`${hook}: ${(error as Error).message}`),
  })
  tell()
  assert.deepEqual(heard, ['observer message.dropped: mine', 'dropped'])
})

test('one that is removed while it is told hears no later event', () => {
  const { observers, tell } = scene()
  let heard = 0
  const remove = observers.add({
    'message.dropped': () => {
      heard++
      remove()
    },
  })
  observers.add({ 'message.dropped': () => {} })
  tell()
  tell()
  assert.equal(heard, 1)
})

test('a broker tells observers that are added while it runs, beside its own', async () => {
  const heard: string[] = []
  const note = (who: string): Observer => ({ 'message.published': ({ message }) => heard.push(who + message.topic) })
  const broker = createBroker({ observer: note('own ') })
  await broker.publish({ topic: '1' })
  const remove = broker.observe(note('added '))
  await broker.publish({ topic: '2' })
  broker.reconfigure({ observer: null })
  await broker.publish({ topic: '3' })
  remove()
  await broker.publish({ topic: '4' })
  assert.deepEqual(heard, ['own 1', 'own 2', 'added 2', 'added 3'])
  assert.throws(() => broker.observe({ 'message.droped': () => {} } as never), /did you mean .*message\.dropped/)
  await broker.close()
})
