import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from '@recado/broker'
import { brokerOptionsFrom, socketsFor } from './broker-options.ts'
import { type Config, loadConfig } from './config.ts'

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )
const NONE = Number.MAX_SAFE_INTEGER

test('rates belong to the listener above them, and the broker takes them', () => {
  const config = load(`listener 1883
max_message_rate 100
max_byte_rate 200000
rate_limit_grace 5
connect_timeout 3
listener 1884
listener_message_rate 1000
listener_byte_rate 5000000
listener_connection_rate 50
`)
  assert.deepEqual(config.warnings, [])
  const [first, second] = config.listeners.map((listener) => socketsFor(listener, config)[0]!.limits!)
  assert.equal(first!.messagesPerSecondMax, 100)
  assert.equal(first!.bytesPerSecondMax, 200_000)
  assert.equal(first!.rateGraceMs, 5_000)
  assert.equal(first!.connectTimeoutMs, 3_000)
  assert.equal(first!.listenerMessagesPerSecondMax, undefined)
  assert.equal(second!.messagesPerSecondMax, undefined)
  assert.equal(second!.listenerMessagesPerSecondMax, 1_000)
  assert.equal(second!.listenerBytesPerSecondMax, 5_000_000)
  assert.equal(second!.listenerConnectionsPerSecondMax, 50)
})

test('limits of the whole broker; 0 is none; a memory limit that is too low to run is raised', () => {
  const given = brokerOptionsFrom(
    load(`memory_limit 500000000
max_connections_per_address 20
max_pending_connections 300
max_subscriptions 7
listener 1883
`),
  ).limits!
  assert.equal(given.memoryBytesMax, 500_000_000)
  assert.equal(given.connectionsPerAddressMax, 20)
  assert.equal(given.pendingConnectionsMax, 300)
  assert.equal(given.subscriptionsMax, 7)
  const none = brokerOptionsFrom(load('listener 1883\n')).limits!
  assert.equal(none.memoryBytesMax, NONE)
  assert.equal(none.connectionsPerAddressMax, NONE)
  const low = brokerOptionsFrom(load('memory_limit 1000\nlistener 1883\n')).limits!
  assert.equal(low.memoryBytesMax, 64 * 1024 * 1024)
  createBroker({ limits: given })
  createBroker({ limits: none })
})
