import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker, type Limits } from '@recado/broker'
import { brokerOptionsFrom, socketsFor } from './broker-options.ts'
import { type Config, loadConfig } from './config.ts'
import { defaultMemoryBytes } from './machine.ts'

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
  const none = brokerOptionsFrom(load('memory_limit 0\nlistener 1883\n')).limits!
  assert.equal(none.memoryBytesMax, NONE)
  assert.equal(none.connectionsPerAddressMax, NONE)
  const low = brokerOptionsFrom(load('memory_limit 1000\nlistener 1883\n')).limits!
  assert.equal(low.memoryBytesMax, 64 * 1024 * 1024)
  createBroker({ limits: given })
  createBroker({ limits: none })
})

test('every limit of bytes is passed on, 0 is none, and the broker takes it', () => {
  const options = [
    'max_connect_size connectBytesMax 200000',
    'max_property_size propertyBytesMax 1000',
    'max_control_size controlPacketBytesMax 2000',
    'max_packet_filters packetFiltersMax 70',
    'max_clientid_size nameBytesMax 23',
    'max_filter_size filterBytesMax 100',
    'max_topic_levels topicLevelsMax 8',
    'max_inflight_bytes inflightBytesMax 5000',
    'max_stored_bytes storedBytesMax 2000000',
    'max_memory_queued_bytes memoryQueueBytesMax 2000000',
    'max_retained_messages retainedMessagesMax 7',
    'max_retained_bytes retainedBytesMax 8000',
    'max_will_bytes willBytesMax 9000',
    'max_delayed_messages delayedMessagesMax 6',
    'max_delayed_bytes delayedBytesMax 9100',
    'max_alias_bytes aliasBytesMax 9500',
    'max_session_bytes sessionBytesMax 2000000',
    'max_unfinished_bytes unfinishedBytesMax 70000',
    'max_output_bytes outputTotalBytesMax 80000',
    'max_client_output_bytes outputBytesMax 70001',
    'max_anonymous_queued_messages anonymousQueueMessagesMax 3',
    'max_anonymous_queued_bytes anonymousQueueBytesMax 4000',
  ].map((line) => line.split(' ') as [string, keyof Limits, string])
  const lines = (of: (value: string) => string): string =>
    options.map(([option, , value]) => `${option} ${of(value)}\n`).join('')
  const given = createBroker(brokerOptionsFrom(load(lines((value) => value)))).limits
  for (const [option, limit, value] of options) assert.equal(given[limit], Number(value), option)
  const none = createBroker(brokerOptionsFrom(load(lines(() => '0')))).limits
  for (const [option, limit] of options) assert.ok(none[limit] >= 65_535, option)
})

test('whoever limits queues in Mosquitto’s words limits those of anonymous clients alike', () => {
  const limitsOf = (text: string): Partial<Limits> => brokerOptionsFrom(load(text)).limits!
  const byDefault = limitsOf('')
  assert.equal(byDefault.anonymousQueueMessagesMax, 10_000)
  const given = limitsOf('max_queued_messages 50000\nmax_queued_bytes 0\n')
  assert.equal(given.anonymousQueueMessagesMax, 50_000)
  assert.equal(given.anonymousQueueBytesMax, NONE)
  const both = limitsOf('max_queued_messages 50000\nmax_anonymous_queued_messages 5\n')
  assert.equal(both.anonymousQueueMessagesMax, 5)
})

test('by default half of the memory of the machine or the container is the limit, and what is in memory a part of it', () => {
  const GB = 1e9
  assert.equal(defaultMemoryBytes(8 * GB, 0, 4 * GB), 4 * GB)
  assert.equal(defaultMemoryBytes(64 * GB, 0, 4 * GB), 4 * GB)
  assert.equal(defaultMemoryBytes(64 * GB, GB, 4 * GB), GB / 2)
  assert.equal(defaultMemoryBytes(GB, 2 ** 64, 4 * GB), GB / 2)
  const small = brokerOptionsFrom(load('memory_limit 100000000\n')).limits!
  assert.equal(small.retainedBytesMax, 25_000_000)
  assert.equal(small.unfinishedBytesMax, 12_500_000)
  const told = brokerOptionsFrom(load('memory_limit 100000000\nmax_retained_bytes 80000000\n')).limits!
  assert.equal(told.retainedBytesMax, 80_000_000)
})
