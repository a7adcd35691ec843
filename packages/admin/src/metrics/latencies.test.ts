import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ApplicationMessage, ClientInfo, MessageWatch, Watching } from '@recado/broker'
import { MessageCountdown } from '@recado/broker/testing'
import { Decisions } from '../why/decisions.ts'
import { Histogram, SECONDS_BOUNDS } from './histogram.ts'
import { Latencies } from './latencies.ts'
import { Watches } from './watches.ts'

const client = { clientId: 'a' } as ClientInfo
const messageOf = (more: Partial<ApplicationMessage> = {}): ApplicationMessage =>
  ({ topic: 't', qos: 1, retain: false, payload: new Uint8Array(), ...more }) as ApplicationMessage
const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a histogram counts each value in the bucket of the least bound that is not below it', () => {
  const histogram = new Histogram('x', 'y')
  for (const seconds of [0, 0.000_1, 0.000_11, 10, 11]) histogram.observe(seconds)
  histogram.observe(1, 3)
  const at = (bound: number): number => histogram.buckets[SECONDS_BOUNDS.indexOf(bound)]!
  assert.deepEqual([at(0.000_1), at(0.000_25), at(1), at(10), histogram.buckets.at(-1)], [2, 1, 3, 1, 1])
  assert.deepEqual([histogram.count, histogram.sum], [8, 24.000_21])
})

test('the time is that of the end of the turn, for each subscriber, and for the acknowledgement', async () => {
  let nowMs = 1_000
  const latencies = new Latencies(() => nowMs)
  const message = messageOf()
  assert.equal(latencies.published(client, message), true)
  latencies.delivered(client, message)
  latencies.delivered(client, message)
  nowMs = 1_020
  await endOfTurn()
  latencies.acknowledged(message)
  latencies.delivered(client, message)
  nowMs = 1_500
  await endOfTurn()
  latencies.committed(30)
  const { deliver, acknowledge, commit } = latencies
  assert.deepEqual([deliver.count, deliver.sum], [3, 0.54])
  assert.deepEqual([acknowledge.count, acknowledge.sum], [1, 0.5])
  assert.deepEqual([commit.count, commit.sum], [1, 0.03])
  assert.equal(latencies.published(client, messageOf({ retain: true })), false)
  latencies.delivered(client, messageOf())
  await endOfTurn()
  assert.equal(deliver.count, 3)
})

test('about a hundred messages a second are followed, and all when there are fewer', () => {
  const latencies = new Latencies()
  const followed = (messages: number): number => {
    let count = 0
    for (let i = 0; i < messages; i++) if (latencies.published(client, messageOf())) count++
    latencies.tick(1)
    return count
  }
  followed(50_000)
  const busy = followed(50_000)
  assert.ok(busy >= 99 && busy <= 101, String(busy))
  followed(20)
  assert.equal(followed(20), 20)
})

/** Watches of a broker of which there is only the countdown; `publish` publishes so many messages to it. */
function watched(
  context: TestContext,
  latencies: Latencies,
  decisions: Decisions | null,
): { watches: Watches; publish: (messages: number) => number } {
  let countdown: MessageCountdown | null = null
  const broker = {
    watch(watch: MessageWatch): Watching {
      countdown = new MessageCountdown(watch)
      return Object.assign(countdown, { end: () => undefined })
    },
  }
  const watches = new Watches(broker, latencies, decisions)
  context.after(() => watches.stop())
  const publish = (messages: number): number => {
    let followed = 0
    for (let i = 0; i < messages; i++) if (countdown!.next(client, messageOf())) followed++
    return followed
  }
  return { watches, publish }
}

test('of the messages that are looked at, about a hundred a second are followed', (context) => {
  const { watches, publish } = watched(context, new Latencies(), null)
  const followed = (messages: number): number => {
    const count = publish(messages)
    watches.tick(1)
    return count
  }
  followed(100_000)
  followed(100_000)
  const steady = followed(100_000)
  assert.ok(steady >= 95 && steady <= 105, String(steady))
})

for (const hasSpans of [false, true]) {
  const beside = hasSpans ? ', beside spans that see all' : ''
  test(`of many messages about a thousand a second are looked at, also in the first second${beside}; what they stand for is all`, (context) => {
    const decisions = new Decisions(1)
    const { watches, publish } = watched(context, new Latencies(), decisions)
    let seen = 0
    if (hasSpans) {
      watches.spans = {
        published: () => ++seen < 0,
        delivered: () => undefined,
        acknowledged: () => undefined,
        committed: () => undefined,
      }
    }
    const looked = (messages: number): number => {
      const noted = context.mock.method(decisions, 'published')
      publish(messages)
      const { length } = noted.mock.calls
      noted.mock.restore()
      watches.tick(1)
      return length
    }
    assert.equal(looked(100), 100)
    const burst = looked(500_000)
    assert.ok(burst > 2_000 && burst < 2_600, String(burst))
    const steady = looked(500_000)
    assert.ok(steady >= 950 && steady <= 1_050, String(steady))
    const { messages } = decisions.lastOf('t')!
    assert.ok(messages > 980_000 && messages < 1_020_000, String(messages))
    assert.equal(seen, hasSpans ? 1_000_100 : 0)
    watches.spans = null
    // After a second with few messages they are all looked at again.
    looked(5)
    assert.equal(looked(20), 20)
  })
}
