import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddressCounts, networkOf } from './address-counts.ts'

test('an IPv4 address is a network, whatever the port', () => {
  assert.equal(networkOf('192.0.2.1:50000'), '192.0.2.1')
  assert.equal(networkOf(''), '')
})

test('of IPv6 the first 64 bits are the network, however the address is written', () => {
  for (const [address, network] of [
    ['[2001:db8:1:2:3:4:5:6]:1', '2001:db8:1:2'],
    ['[2001:db8:1:2::6]:1', '2001:db8:1:2'],
    ['[2001:0db8:0001:0002::6]:1', '2001:db8:1:2'],
    ['[2001:db8::6]:1', '2001:db8:0:0'],
    ['[2001:db8::1:0:0:6]:1', '2001:db8:0:0'],
    ['[::1]:1', '0:0:0:0'],
    ['[::]:1', '0:0:0:0'],
    ['[fe80::1%eth0]:1', 'fe80:0:0:0'],
    ['[2001:db8:1::]:1', '2001:db8:1:0'],
    ['[64:ff9b::192.0.2.33]:1', '64:ff9b:0:0'],
  ] as const) {
    assert.equal(networkOf(address), network, address)
  }
})

test('counts connections and forgets networks without any', () => {
  const counts = new AddressCounts(2)
  assert.ok(counts.add('192.0.2.1:1'))
  assert.ok(counts.add('192.0.2.1:2'))
  assert.ok(!counts.add('192.0.2.1:3'))
  assert.ok(counts.add('192.0.2.2:1'))
  counts.remove('192.0.2.1:1')
  assert.ok(counts.add('192.0.2.1:4'))
  for (const address of ['192.0.2.1:1', '192.0.2.1:2', '192.0.2.2:1']) counts.remove(address)
  assert.equal(counts.size, 0)
  for (let i = 0; i < 10; i++) assert.ok(counts.add(''), 'a unix socket has no address')
})
