import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '@recado/client'
import { Pubcomp, Publish, Pubrec, Pubrel } from '@recado/protocol'
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
  const handOut = (by: number) => session.handedOut(arrivals, by, publish as unknown as Message, 'm')
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
