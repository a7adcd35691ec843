import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PacketIdMap } from './packet-ids.ts'
import { Flow, type InFlight, Sender } from './sender.ts'

interface Item extends InFlight {
  name: string
}

function message(name = 'm'): Item {
  return { packetId: 0, flow: Flow.Idle, flightOrder: 0, name }
}

test('QoS 1: PUBLISH takes an identifier, PUBACK frees it [MQTT-4.3.2-1] [MQTT-4.3.2-3]', () => {
  const sender = new Sender<Item>(10)
  const item = message()
  assert.equal(sender.send(item, 1), 1)
  assert.equal(item.packetId, 1)
  assert.equal(item.flow, Flow.AwaitPuback)
  assert.equal(sender.inflight, 1)
  assert.equal(sender.get(1), item)
  assert.equal(sender.handlePuback(1), item)
  assert.equal(item.flow, Flow.Idle)
  assert.equal(sender.inflight, 0)
  assert.equal(sender.get(1), null)
  assert.equal(sender.handlePuback(1), null)
})

test('QoS 2: PUBREC asks for PUBREL, PUBCOMP frees the identifier [MQTT-4.3.3-1] [MQTT-4.3.3-4] [MQTT-4.3.3-5]', () => {
  const sender = new Sender<Item>(10)
  const item = message()
  sender.send(item, 2)
  assert.equal(item.flow, Flow.AwaitPubrec)
  assert.equal(sender.handlePubrec(1, 0), item)
  assert.equal(item.flow, Flow.AwaitPubcomp)
  assert.equal(sender.inflight, 1)
  assert.equal(sender.handlePubcomp(1), item)
  assert.equal(item.flow, Flow.Idle)
  assert.equal(sender.inflight, 0)
})

test('a PUBREC of 0x80 or above ends the flow: no PUBREL [MQTT-4.3.3-4]', () => {
  const sender = new Sender<Item>(1)
  const item = message()
  sender.send(item, 2)
  assert.equal(sender.handlePubrec(1, 0x97), item)
  assert.equal(item.flow, Flow.Idle)
  assert.equal(sender.inflight, 0)
  assert.equal(sender.hasQuota(), true)
})

test('a PUBREC of 0x10 is a success like 0x00 [MQTT-4.3.3-4]', () => {
  const sender = new Sender<Item>(1)
  const item = message()
  sender.send(item, 2)
  assert.equal(sender.handlePubrec(1, 0x10)?.flow, Flow.AwaitPubcomp)
})

test('a second PUBREC asks for PUBREL again, also when it says failure [MQTT-4.3.3-6]', () => {
  const sender = new Sender<Item>(10)
  const item = message()
  sender.send(item, 2)
  sender.handlePubrec(1, 0)
  const order = item.flightOrder
  assert.equal(sender.handlePubrec(1, 0), item)
  assert.equal(sender.handlePubrec(1, 0x80), item)
  assert.equal(item.flow, Flow.AwaitPubcomp)
  assert.equal(item.flightOrder, order)
})

test('an acknowledgement of the wrong kind or for an unknown identifier is told apart and changes nothing', () => {
  const sender = new Sender<Item>(10)
  const one = message()
  const two = message()
  sender.send(one, 1)
  sender.send(two, 2)
  assert.equal(sender.handlePubrec(1, 0), null)
  assert.equal(sender.handlePubcomp(1), null)
  assert.equal(sender.handlePuback(2), null)
  assert.equal(sender.handlePubcomp(2), null)
  for (const id of [0, 3, 65_535]) {
    assert.equal(sender.handlePuback(id), null)
    assert.equal(sender.handlePubrec(id, 0), null)
    assert.equal(sender.handlePubcomp(id), null)
  }
  sender.handlePubrec(2, 0)
  assert.equal(sender.handlePuback(2), null)
  assert.equal(one.flow, Flow.AwaitPuback)
  assert.equal(two.flow, Flow.AwaitPubcomp)
  assert.equal(sender.inflight, 2)
})

test('no more than the Receive Maximum may be outstanding; PUBACK, PUBCOMP and a failed PUBREC give quota back [MQTT-4.9.0-2] [MQTT-3.3.4-9]', () => {
  const sender = new Sender<Item>(2)
  sender.send(message(), 1)
  assert.equal(sender.hasQuota(), true)
  sender.send(message(), 2)
  assert.equal(sender.hasQuota(), false)
  sender.handlePuback(1)
  assert.equal(sender.hasQuota(), true)
  sender.send(message(), 2)
  sender.handlePubrec(2, 0)
  assert.equal(sender.hasQuota(), false)
  sender.handlePubcomp(2)
  assert.equal(sender.hasQuota(), true)
  sender.send(message(), 2)
  assert.equal(sender.hasQuota(), false)
  sender.handlePubrec(3, 0x80)
  assert.equal(sender.hasQuota(), true)
})

test('after a new connection all is resent in order, PUBRELs in the order of their PUBRECs [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-4]', () => {
  const sender = new Sender<Item>(10)
  for (const name of ['a', 'b', 'c', 'd', 'e']) sender.send(message(name), name === 'c' ? 1 : 2)
  sender.handlePubrec(4, 0)
  sender.handlePubrec(1, 0)
  sender.resume()
  assert.equal(sender.hasQuota(), false)
  const resent: string[] = []
  for (let item = sender.nextResend(); item !== null; item = sender.nextResend()) resent.push(item.name)
  assert.deepEqual(resent, ['b', 'c', 'e', 'd', 'a'])
  assert.equal(sender.hasQuota(), true)
  assert.equal(sender.send(message('new'), 1), 6)
})

test('a smaller Receive Maximum on a new connection paces the resends, and new messages wait for them [MQTT-3.3.4-9]', () => {
  const sender = new Sender<Item>(10)
  const items = ['a', 'b', 'c'].map(message)
  for (const item of items) sender.send(item, 1)
  sender.receiveMaximum = 1
  sender.resume()
  assert.equal(sender.nextResend(), items[0])
  assert.equal(sender.nextResend(), null)
  assert.equal(sender.hasQuota(), false)
  // It is acknowledged though not yet sent again: the other side may have had it all along
  assert.equal(sender.handlePuback(3), items[2])
  assert.equal(sender.nextResend(), null)
  assert.equal(sender.handlePuback(1), items[0])
  assert.equal(sender.nextResend(), items[1])
  assert.equal(sender.nextResend(), null)
  assert.equal(sender.hasQuota(), false)
  assert.equal(sender.handlePuback(2), items[1])
  assert.equal(sender.hasQuota(), true)
  assert.equal(sender.inflight, 0)
})

test('what recovery restores is in flight, and its identifiers are passed over [MQTT-2.2.1-4]', () => {
  const sender = new Sender<Item>(10)
  const one = { ...message('one'), packetId: 1, flow: Flow.AwaitPubcomp }
  const two = { ...message('two'), packetId: 2, flow: Flow.AwaitPuback }
  sender.restore(two)
  sender.restore(one)
  assert.deepEqual(sender.inOrder(), [two, one])
  assert.equal(sender.send(message(), 1), 3)
  assert.equal(sender.handlePubcomp(1), one)
  assert.equal(sender.handlePuback(2), two)
  assert.equal(sender.inflight, 1)
})

test('remove and clear free identifiers and quota', () => {
  const sender = new Sender<Item>(2)
  const items = [message(), message()]
  for (const item of items) sender.send(item, 2)
  sender.remove(items[0]!)
  sender.remove(items[0]!)
  sender.remove(message())
  assert.equal(sender.inflight, 1)
  assert.equal(sender.hasQuota(), true)
  assert.equal(sender.handlePubrec(1, 0), null)
  sender.resume()
  sender.clear()
  assert.equal(items[1]!.flow, Flow.Idle)
  assert.equal(sender.inflight, 0)
  assert.equal(sender.hasQuota(), true)
  assert.equal(sender.nextResend(), null)
})

test('identifiers shared with SUBSCRIBE are neither given out twice nor taken for messages [MQTT-2.2.1-3]', () => {
  const subscribe = { filter: 'a' }
  const ids = new PacketIdMap<Item | { filter: string }>()
  const sender = new Sender<Item, { filter: string }>(10, ids)
  assert.equal(ids.allocate(subscribe), 1)
  assert.equal(sender.send(message(), 1), 2)
  assert.equal(sender.get(1), null)
  assert.equal(sender.handlePuback(1), null)
  assert.equal(sender.handlePubrec(1, 0), null)
  assert.equal(sender.inOrder().length, 1)
  sender.clear()
  assert.equal(ids.get(1), subscribe)
  assert.equal(ids.size, 1)
})

test('does what a list does under any sequence of packets and connections [MQTT-4.6.0-1] [MQTT-4.9.0-2]', () => {
  const step = fc.record({
    do: fc.constantFrom(
      'send1',
      'send1',
      'send2',
      'send2',
      'puback',
      'pubrec',
      'fail',
      'pubcomp',
      'remove',
      'resume',
      'pump',
    ),
    id: fc.integer({ min: 1, max: 12 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 120 }), (maximum, steps) => {
      const sender = new Sender<Item>(maximum)
      /** In the order of resending; `sent` means sent on this connection. */
      let list: { item: Item; flow: number; sent: boolean }[] = []
      let lastId = 0
      for (const { do: what, id } of steps) {
        const entry = list.find(({ item }) => item.packetId === id)
        const outstanding = list.filter(({ sent }) => sent).length
        const drop = (): void => {
          list = list.filter((other) => other !== entry)
        }
        const expect = (flow: number): Item | null => (entry?.flow === flow ? entry.item : null)
        if (what === 'send1' || what === 'send2') {
          const quota = outstanding < maximum && list.every(({ sent }) => sent)
          // A list of resends is known to be at its end only when it is asked for the next one
          if (quota) assert.equal(sender.nextResend(), null)
          assert.equal(sender.hasQuota(), quota)
          if (!quota) continue
          const item = message()
          lastId = (lastId % 65_535) + 1
          assert.equal(sender.send(item, what === 'send1' ? 1 : 2), lastId)
          list.push({ item, flow: what === 'send1' ? Flow.AwaitPuback : Flow.AwaitPubrec, sent: true })
        } else if (what === 'puback') {
          assert.equal(sender.handlePuback(id), expect(Flow.AwaitPuback))
          if (entry?.flow === Flow.AwaitPuback) drop()
        } else if (what === 'pubcomp') {
          assert.equal(sender.handlePubcomp(id), expect(Flow.AwaitPubcomp))
          if (entry?.flow === Flow.AwaitPubcomp) drop()
        } else if (what === 'fail') {
          assert.equal(sender.handlePubrec(id, 0x87), expect(Flow.AwaitPubrec) ?? expect(Flow.AwaitPubcomp))
          if (entry?.flow === Flow.AwaitPubrec) drop()
        } else if (what === 'pubrec') {
          assert.equal(sender.handlePubrec(id, 0), expect(Flow.AwaitPubrec) ?? expect(Flow.AwaitPubcomp))
          if (entry?.flow === Flow.AwaitPubrec) {
            drop()
            list.push({ item: entry.item, flow: Flow.AwaitPubcomp, sent: true })
          }
        } else if (what === 'remove') {
          if (entry !== undefined) sender.remove(entry.item)
          drop()
        } else if (what === 'resume') {
          sender.resume()
          for (const other of list) other.sent = false
        } else {
          const next = list.find(({ sent }) => !sent)
          const gated = next !== undefined && next.flow !== Flow.AwaitPubcomp && outstanding >= maximum
          assert.equal(sender.nextResend(), next === undefined || gated ? null : next.item)
          if (next !== undefined && !gated) next.sent = true
        }
        assert.equal(sender.inflight, list.length)
        assert.deepEqual(
          sender.inOrder().map((item) => item.packetId),
          list.map(({ item }) => item.packetId),
        )
        for (const { item, flow } of list) {
          assert.equal(item.flow, flow)
          assert.equal(sender.get(item.packetId), item)
        }
      }
    }),
    { numRuns: 1000 },
  )
})
