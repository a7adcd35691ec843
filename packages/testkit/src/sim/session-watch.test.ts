import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '@recado/client'
import { Connack, Pubcomp, Publish, Pubrec, Pubrel } from '@recado/protocol'
import { SessionWatch } from './session-watch.ts'

function watch() {
  const failures: string[] = []
  const session = new SessionWatch(
    (_, text) => failures.push(text),
    () => {},
    () => 0,
    () => null,
  )
  const arrivals = session.processStarts()
  const publish = Publish.of({ topic: 't', qos: 2, packetId: 8, payload: new TextEncoder().encode('m') })
  const handOut = (by: number, packet = publish, payload = 'm') =>
    session.handedOut(arrivals, by, packet as unknown as Message, payload)
  session.gets(publish)
  return { failures, session, publish, handOut }
}

test('a message that the server gives up before PUBREC is handed out to every subscription all the same', () => {
  const { failures, session, handOut } = watch()
  handOut(1).done(true, false)
  session.gets(new Pubrel(8))
  handOut(2).done(false, false)
  assert.deepEqual(failures, [])
  handOut(2)
  assert.deepEqual(failures, ['PUBLISH 8 m: handed out twice'])
})

test('a message whose flow has ended is not handed out again', () => {
  const { failures, session, handOut } = watch()
  handOut(1).done(true, false)
  session.sends(new Pubrec(8))
  session.gets(new Pubrel(8))
  handOut(2)
  assert.deepEqual(failures, ['PUBLISH 8 m: handed out twice'])
})

test('no PUBREC may follow the PUBCOMP of a message that the server has given up, until the next one comes', () => {
  const { failures, session, publish, handOut } = watch()
  session.gets(new Pubrel(8))
  session.sends(new Pubcomp(8))
  handOut(1).done(true, false)
  session.sends(new Pubrec(8))
  assert.deepEqual(failures.splice(0), ['PUBREC 8 after PUBCOMP, which has ended its flow'])
  session.gets(publish)
  handOut(1).done(true, false)
  session.sends(new Pubrec(8))
  assert.deepEqual(failures, [])
})

test('messages of two processes leave in the order in which these have opened the store (seed 40054982)', () => {
  for (const [openings, payloads, isRight] of [
    [[1, 2], ['1a', '1b', '2a', '2b'], true],
    [[2, 1], ['2a', '2b', '1a', '1b'], true],
    [[1, 2], ['2a', '1a'], false],
    [[2, 1], ['1a', '2a'], false],
    [[2, 1], ['2b', '2a'], false],
    [[2, 1], ['2a', '1b', '1a'], false],
  ] as const) {
    const failures: string[] = []
    const session = new SessionWatch(
      (_, text) => failures.push(text),
      () => {},
      () => 0,
      () => null,
    )
    for (const process of ['1', '2']) {
      session.processStarts()
      for (const name of ['a', 'b']) session.published(`${process}${name}`, 1, null)
    }
    for (const process of openings) session.storeIsOpen(process)
    for (const [i, payload] of payloads.entries())
      session.sends(Publish.of({ topic: 't', qos: 1, packetId: i + 1, payload: new TextEncoder().encode(payload) }))
    assert.equal(failures.length === 0, isRight, `${payloads}: ${failures[0]}`)
  }
})

test('a handler that was busy gets messages of a session that has ended, and then those of the next one (seed 70031640)', () => {
  for (const [payloads, isRight] of [
    ['m n m n', true],
    ['m m n', true],
    ['m n m n n', false],
    ['m n n m', false],
    ['m m m', false],
  ] as const) {
    const { failures, session, publish, handOut } = watch()
    const next = Publish.of({ topic: 't', qos: 2, packetId: 9, payload: new TextEncoder().encode('n') })
    session.gets(next)
    session.gets(new Connack(false, 0))
    for (const each of [publish, next]) session.gets(each)
    for (const payload of payloads.split(' ')) handOut(1, payload === 'm' ? publish : next, payload)
    assert.equal(failures.length === 0, isRight, `${payloads}: ${failures}`)
  }
})
