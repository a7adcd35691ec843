import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientInfo, Observer, ReceivedPacket } from '@recado/broker'
import type { LogStyle } from './config/log.ts'
import { DropSums } from './drop-sums.ts'
import { Logger, type LogType } from './log.ts'
import { observerFor } from './observe.ts'

const client: ClientInfo = {
  clientId: 'abc',
  username: undefined,
  protocolVersion: 4,
  remoteAddress: '127.0.0.1:5555',
  listener: '*:1883',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
}
const allTypes: LogType[] = ['error', 'warning', 'notice', 'information', 'debug', 'subscribe', 'unsubscribe']

function watch(
  types: LogType[] = allTypes,
  connectionMessages = true,
  style: LogStyle = 'recado',
): { observer: Observer; lines: string[]; clock: { nowMs: number }; drops: DropSums; fire(): void; timers: number[] } {
  const lines: string[] = []
  const clock = { nowMs: 1_700_000_000_000 }
  const logger = new Logger(
    {
      destinations: [['stderr']],
      types: new Set(types),
      style,
      mosquittoVersion: '2.1',
      facility: null,
      syslogFormat: 'rfc3164',
      timestamp: false,
      timestampFormat: null,
      connectionMessages,
    },
    { stdout: { write: () => true }, stderr: { write: (text) => lines.push(text.trimEnd()) } },
    () => clock.nowMs,
  )
  const onFatal = (): void => void lines.push('the process ends')
  const due: (() => void)[] = []
  const timers: number[] = []
  const after = (work: () => void, ms: number): void => {
    timers.push(ms)
    due.push(work)
  }
  const drops = new DropSums(logger, () => clock.nowMs, after)
  const fire = (): void => {
    for (const work of due.splice(0)) work()
  }
  return { observer: observerFor(logger, connectionMessages, onFatal, drops), lines, clock, drops, fire, timers }
}

const connected = {
  client,
  cleanStart: true,
  sessionPresent: false,
  keepAliveSeconds: 60,
  sessionExpirySeconds: 0,
  will: null,
}

test('connecting and disconnecting are told with Reason Codes and causes (log_style recado)', () => {
  const { observer, lines } = watch(['error', 'notice'])
  observer['connection.opened']?.({ remoteAddress: '127.0.0.1:5555', listener: '*:1883' })
  observer['client.connected']?.(connected)
  observer['client.connected']?.({ ...connected, cleanStart: false, client: { ...client, username: 'ada' } })
  observer['session.taken-over']?.({ clientId: 'abc', remoteAddress: '127.0.0.1:6' })
  observer['client.disconnected']?.({ client, byClient: true, reasonCode: 0, why: 'Normal disconnection' })
  observer['client.disconnected']?.({ client, byClient: true, reasonCode: 4, why: 'Disconnect with Will Message' })
  observer['client.disconnected']?.({ client, byClient: false, reasonCode: 0x8d, why: 'silence' })
  observer['client.disconnected']?.({ client, byClient: false, reasonCode: 0x80, why: 'the connection was closed' })
  observer['session.ended']?.({ clientId: 'abc', why: 'expired' })
  assert.deepEqual(lines, [
    'New connection from 127.0.0.1:5555 on *:1883.',
    'New client connected from 127.0.0.1:5555 as abc (p4, c1, k60).',
    "New client connected from 127.0.0.1:5555 as abc (p4, c0, k60, u'ada').",
    'Client abc already connected, closing old connection.',
    'Client abc disconnected.',
    'Client abc disconnected: Disconnect with Will Message (0x04).',
    'Client abc has exceeded timeout, disconnecting.',
    'Client abc disconnected: the connection was closed (0x80).',
    'Expiring client abc due to timeout.',
  ])
})

test('a refusal says why and from where', () => {
  const { observer, lines } = watch()
  observer['connection.refused']?.({
    remoteAddress: '10.0.0.9:1',
    listener: '*:1883',
    clientId: '',
    reasonCode: 0x87,
    why: 'not authorized',
  })
  assert.deepEqual(lines, ['Client <unknown> from 10.0.0.9:1 refused: not authorized (0x87).'])
})

test('a store that fails, comes back or has damaged rows is told', () => {
  const { observer, lines } = watch(['error', 'notice'])
  observer['store.failed']?.({ error: new Error('cannot write in /data: the disk is full') })
  observer['store.recovered']?.({})
  assert.match(lines[0] ?? '', /^cannot write in \/data: the disk is full\. What must be kept is refused until/)
  assert.match(lines[1] ?? '', /^The store writes again/)
  for (let row = 0; row < 50; row++) observer['store.row-damaged']?.({ table: 3, row, error: new Error('cut off') })
  assert.equal(lines[2], 'DATA LOST: row 0 of table 3 is damaged and was passed over: cut off.')
  assert.match(lines[11] ?? '', /Further ones are not told\.$/)
  assert.equal(lines.length, 12)
})

test('what is not logged is not observed', () => {
  const quiet = watch(['error'])
  assert.deepEqual(Object.keys(quiet.observer).sort(), [
    'core.failed',
    'hook.failed',
    'memory.level',
    'message.dropped',
    'session.ended',
    'store.failed',
    'store.recovered',
    'store.row-damaged',
  ])
  const silent = watch(['error', 'notice'], false)
  assert.equal(silent.observer['client.connected'], undefined)
  assert.equal(watch(['notice']).observer['message.published'], undefined)
})

test('subscriptions are told by their own log types', () => {
  const { observer, lines } = watch(['subscribe', 'unsubscribe'])
  observer['subscription.made']?.({ client, topicFilter: 'a/#', qos: 1, reasonCode: 1, retained: 'sent' })
  observer['subscription.made']?.({ client, topicFilter: 'b', qos: 1, reasonCode: 0x87, retained: 'refused' })
  observer['subscription.ended']?.({ client, topicFilter: 'a/#' })
  assert.deepEqual(lines, ['abc 1 a/#', 'abc refused (Not Authorized) b', 'abc a/#'])
})

test('debug tells each packet, and what belongs to it in lines that begin with a tab', () => {
  const { observer, lines } = watch(['debug', 'notice', 'subscribe', 'unsubscribe'], true, 'mosquitto')
  observer['client.connected']?.({
    ...connected,
    will: { topic: 'w\tx', payload: Buffer.from('bye'), qos: 1, retain: true, properties: {} },
  })
  const received = (packet: Omit<ReceivedPacket, 'isRefused'>, isRefused = false): void =>
    observer['packet.received']?.({ client, packet: { ...packet, isRefused } })
  received({ type: 1 })
  observer['packet.sent']?.({ client, packet: { type: 2, reasonCode: 0, sessionPresent: true } })
  received({ type: 8, packetId: 1 })
  observer['subscription.made']?.({ client, topicFilter: 'a/#', qos: 1, reasonCode: 1, retained: 'sent' })
  received({ type: 10, packetId: 2, topicFilters: ['a/#', 'none'] })
  observer['subscription.ended']?.({ client, topicFilter: 'a/#' })
  assert.deepEqual(lines, [
    'New client connected from 127.0.0.1:5555 as abc (p4, c1, k60).',
    'Will message specified (3 bytes) (r1, q1).',
    '\tw\\x09x',
    'Sending CONNACK to abc (1, 0)',
    'Received SUBSCRIBE from abc',
    '\ta/# (QoS 1)',
    'abc 1 a/#',
    'Received UNSUBSCRIBE from abc',
    '\ta/#',
    'abc a/#',
    '\tnone',
    'abc none',
  ])
})

test('a line of the log that does not reach its reader is not another line', () => {
  const { observer, lines } = watch()
  observer['message.dropped']?.({ clientId: 'abc', topic: '$SYS/broker/log/N', qos: 2, reason: 'queue-full' })
  assert.deepEqual(lines, [])
})

test("the first message that finds no room is told in Mosquitto's words, and the sum of those after it in ours", () => {
  const { observer, lines, clock, fire } = watch(['notice', 'warning'], true, 'mosquitto')
  const drop = (): void => observer['message.dropped']?.({ clientId: 'abc', topic: 't', qos: 1, reason: 'queue-full' })
  for (let count = 0; count < 3; count++) drop()
  clock.nowMs += 10_000
  fire()
  assert.deepEqual(lines, [
    'Outgoing messages are being dropped for client abc.',
    'Messages for client abc are being dropped: queue-full (2 since the last such line).',
  ])
})

test('drops are summed up per client', () => {
  const { observer, lines, clock } = watch()
  const drop = (): void => observer['message.dropped']?.({ clientId: 'abc', topic: 't', qos: 1, reason: 'queue-full' })
  drop()
  for (let count = 0; count < 1_000_000; count++) drop()
  clock.nowMs += 10_000
  drop()
  assert.deepEqual(lines, [
    'Messages for client abc are being dropped: queue-full (1 since the last such line).',
    'Messages for client abc are being dropped: queue-full (1000001 since the last such line).',
  ])
  observer['message.dropped']?.({ clientId: '', topic: 't', qos: 1, reason: 'store-failed' })
  assert.equal(lines[2], 'Messages are being dropped: store-failed (1 since the last such line).')
})

test('drops that nobody follows up are told ten seconds later, or at the end', () => {
  const { observer, lines, clock, drops, fire, timers } = watch()
  const drop = (clientId: string): void =>
    observer['message.dropped']?.({ clientId, topic: 't', qos: 1, reason: 'queue-full' })
  const line = (clientId: string, count: number): string =>
    `Messages for client ${clientId} are being dropped: queue-full (${count} since the last such line).`
  for (const clientId of ['a', 'a', 'a', 'b']) drop(clientId)
  assert.deepEqual(timers, [10_000])
  clock.nowMs += 10_000
  fire()
  assert.deepEqual(lines.splice(0), [line('a', 1), line('b', 1), line('a', 2)])
  clock.nowMs += 5_000
  drop('a')
  clock.nowMs += 4_000
  fire()
  assert.deepEqual(lines, [], 'not before ten seconds are over')
  assert.equal(timers.length, 3, 'but it is looked at again')
  drops.flush()
  drops.flush()
  assert.deepEqual(lines.splice(0), [line('a', 1)])
  clock.nowMs += 60_000
  fire()
  assert.equal(timers.length, 3, 'nothing is left to tell')
})

test('drops of more clients than are summed up are told in one line, and none is lost', () => {
  const { observer, lines } = watch()
  const drop = (clientId: string): void =>
    observer['message.dropped']?.({ clientId, topic: 't', qos: 1, reason: 'queue-full' })
  for (let round = 0; round < 3; round++) for (let i = 0; i < 1_000; i++) drop(`c${i}`)
  lines.length = 0
  drop('another')
  assert.deepEqual(lines, [
    'Messages for 1000 clients are being dropped: queue-full (2000 since the last such lines).',
    'Messages for client another are being dropped: queue-full (1 since the last such line).',
  ])
})

test('a fault of the core is one line with its stack, that says what ends', () => {
  const { observer, lines } = watch()
  const error = new Error('boom')
  observer['core.failed']?.({ where: 'deliver', clientId: 'abc', error, isFatal: false })
  observer['core.failed']?.({ where: 'timer', clientId: '', error, isFatal: false })
  observer['core.failed']?.({ where: 'batch', clientId: '', error, isFatal: true })
  assert.match(lines[0] ?? '', /\(deliver\): the connection of abc ends, everything else goes on.*: Error: boom\\x0a/)
  assert.match(lines[1] ?? '', /\(timer\): what it was doing is given up, everything else goes on/)
  assert.match(lines[2] ?? '', /\(batch\): .*the broker ends, to be started anew from the disk: Error: boom/)
  assert.deepEqual(lines.slice(3), ['the process ends'])
})

test('a hook that throws is one line with its stack', () => {
  const { observer, lines } = watch()
  observer['hook.failed']?.({ hook: 'authorize.publish', error: new Error('boom') })
  observer['hook.failed']?.({ hook: 'authorize.publish', error: 'thrown text' })
  assert.match(lines[0] ?? '', /^authorize\.publish failed: Error: boom\\x0a/)
  assert.equal(lines[1], 'authorize.publish failed: thrown text')
})
