import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker, type MetricValues } from '@recado/broker'
import { loadTopics, sysTopics } from './sys-topics.ts'
import { SysTree } from './sys-tree.ts'
import type { Vitals } from './vitals.ts'

const vitals: Vitals = {
  heapBytes: 1_000,
  residentBytes: 2_000,
  eventLoop: { meanMs: 0.123, p99Ms: 1, maxMs: 2, utilization: 0.5 },
  disk: { fileBytes: 10, freeBytes: 20 },
}

/** A tree on a clock that stands at 1,700,000,003 s, with what it has published. */
class Rig {
  readonly published: string[][] = []
  readonly metrics: MetricValues = createBroker().metrics()
  readonly due: { atMs: number; work: () => void }[] = []
  vitals: Vitals = vitals
  others: [topic: string, text: string][] = []
  nowMs: number = 1_700_000_003_400
  steadyMs: number = 0
  readonly tree: SysTree

  constructor(hasStore = true) {
    this.tree = new SysTree({
      version: 'recado version 1.2.3',
      hasStore,
      metrics: () => ({ ...this.metrics }),
      vitals: () => this.vitals,
      others: () => this.others,
      publish: (topic, payload) => void this.published.push([topic, payload]),
      nowMs: () => this.nowMs,
      steadyMs: () => this.steadyMs,
      after: (ms, work) => {
        const timer = { atMs: this.nowMs + ms, work }
        this.due.push(timer)
        return () => void this.due.splice(this.due.indexOf(timer), 1)
      },
    })
  }

  /** Goes to the next time something is due, `lateMs` later; returns what is published then. */
  next(lateMs = 0): string[][] {
    const { atMs, work } = this.due.shift()!
    this.steadyMs += atMs + lateMs - this.nowMs
    this.nowMs = atMs + lateMs
    this.published.length = 0
    work()
    return [...this.published]
  }

  take(topic: string): string | undefined {
    return this.published.findLast(([name]) => name === topic)?.[1]
  }
}

test('everything is there from the start, with its aliases, and load averages at 0.00', () => {
  const rig = new Rig()
  rig.metrics.clients = 3
  rig.metrics.sessions = 5
  rig.tree.every(10)
  assert.equal(rig.published.length, 2 + sysTopics.flatMap(({ names }) => names).length + 3 * loadTopics.length)
  assert.equal(rig.take('$SYS/broker/version'), 'recado version 1.2.3')
  assert.equal(rig.take('$SYS/broker/uptime'), '0 seconds')
  for (const name of ['connected', 'active']) assert.equal(rig.take(`$SYS/broker/clients/${name}`), '3')
  for (const name of ['disconnected', 'inactive']) assert.equal(rig.take(`$SYS/broker/clients/${name}`), '2')
  assert.equal(rig.take('$SYS/broker/load/bytes/received/15min'), '0.00')
  assert.equal(rig.take('$SYS/broker/recado/event-loop/delay/mean'), '0.12')
  assert.equal(rig.take('$SYS/broker/recado/store/free'), '20')
})

test('a broker without a store has no topics about it', () => {
  const rig = new Rig(false)
  rig.tree.every(10)
  assert.equal(rig.published.filter(([topic]) => topic!.includes('/recado/store/')).length, 0)
})

test('updates come at seconds that are multiples of the interval, with what has changed only, and uptime', () => {
  const rig = new Rig()
  rig.tree.every(10)
  assert.deepEqual(rig.next(), [['$SYS/broker/uptime', '6 seconds']])
  assert.equal(rig.nowMs, 1_700_000_010_000)
  rig.metrics.messagesReceived = 50
  assert.deepEqual(rig.next(250), [
    ['$SYS/broker/uptime', '16 seconds'],
    ['$SYS/broker/load/publish/received/1min', '45.96'],
    ['$SYS/broker/load/publish/received/5min', '9.83'],
    ['$SYS/broker/load/publish/received/15min', '3.31'],
    ['$SYS/broker/publish/messages/received', '50'],
  ])
  rig.next()
  assert.equal(rig.nowMs, 1_700_000_030_000, 'being late once moves nothing')
})

test('a timer that is early, and a clock that is put back, lead to no second update', () => {
  const rig = new Rig()
  rig.tree.every(10)
  assert.deepEqual(rig.next(-2), [])
  assert.deepEqual(rig.next(), [['$SYS/broker/uptime', '6 seconds']])
  rig.nowMs -= 3_600_000
  assert.deepEqual(rig.next(-3_600_000), [], 'an hour back: the next multiple is another one')
  assert.equal(rig.next().length, 1)
  assert.equal(rig.nowMs % 10_000, 0)
})

test('what only grows never goes back', () => {
  const rig = new Rig()
  rig.metrics.sessions = 7
  rig.tree.every(10)
  rig.metrics.sessions = 2
  rig.vitals = { ...vitals, heapBytes: 500 }
  rig.next()
  assert.equal(rig.take('$SYS/broker/clients/total'), '2')
  assert.equal(rig.take('$SYS/broker/heap/current'), '500')
  assert.equal(rig.take('$SYS/broker/clients/maximum'), undefined)
  assert.equal(rig.take('$SYS/broker/heap/maximum'), undefined)
})

test('batches are averaged over the interval, and a disk that does not answer changes nothing', () => {
  const rig = new Rig()
  rig.tree.every(10)
  Object.assign(rig.metrics, { storeBatches: 4, storeRows: 10, storeMs: 6 })
  rig.vitals = { ...vitals, disk: null }
  rig.next()
  assert.equal(rig.take('$SYS/broker/recado/store/batch/rows'), '2.50')
  assert.equal(rig.take('$SYS/broker/recado/store/batch/milliseconds'), '1.50')
  assert.equal(rig.take('$SYS/broker/recado/store/file'), undefined)
  rig.next()
  assert.equal(rig.take('$SYS/broker/recado/store/batch/rows'), '0.00')
})

test('another interval holds at once, 0 takes all topics away, and all of them come back', () => {
  const rig = new Rig()
  rig.tree.every(10)
  const count = rig.published.length
  rig.tree.every(3)
  rig.next()
  assert.equal(rig.nowMs % 3_000, 0)
  assert.equal(rig.due.length, 1)
  rig.published.length = 0
  rig.tree.every(0)
  assert.equal(rig.due.length, 0)
  assert.equal(rig.published.length, count)
  assert.ok(rig.published.every(([, payload]) => payload === ''))
  rig.published.length = 0
  rig.tree.every(5)
  assert.equal(rig.published.length, count)
  rig.tree.stop()
  assert.equal(rig.due.length, 0)
})

test('each topic has one name of its own and a sentence', () => {
  const names = sysTopics.flatMap((topic) => topic.names)
  assert.equal(new Set(names).size, names.length)
  for (const { names, help } of sysTopics) assert.match(help, /^[A-Z].*\.$/, names[0])
})

test('topics that come and go are published when they change, and removed when they are gone', () => {
  const rig = new Rig()
  rig.tree.updateOthers()
  assert.deepEqual(rig.published, [])
  rig.others = [['$SYS/broker/recado/bridge/b/state', 'waiting']]
  rig.tree.every(10)
  assert.equal(rig.take('$SYS/broker/recado/bridge/b/state'), 'waiting')
  rig.published.length = 0
  rig.others = [['$SYS/broker/recado/bridge/b/state', 'connected']]
  rig.tree.updateOthers()
  rig.tree.updateOthers()
  rig.others = []
  rig.tree.updateOthers()
  assert.deepEqual(rig.published, [
    ['$SYS/broker/recado/bridge/b/state', 'connected'],
    ['$SYS/broker/recado/bridge/b/state', ''],
  ])
})
