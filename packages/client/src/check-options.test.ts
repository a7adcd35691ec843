import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkConnectOptions, checkSubscribeOptions } from './check-options.ts'
import { OptionError } from './errors.ts'
import type { ConnectOptions, SubscribeOptions } from './options.ts'

const says = (pattern: RegExp): ((error: unknown) => boolean) => {
  return (error) => error instanceof OptionError && pattern.test(error.message)
}
const connect = (options: object): void => checkConnectOptions(options as ConnectOptions)
const subscribe = (options: object): void => checkSubscribeOptions([], options as SubscribeOptions)

test('names of MQTT.js, and mistyped ones, are refused with what was meant', () => {
  assert.throws(
    () => connect({ keepalive: 10 }),
    says(/^there is no option keepalive; did you mean keepAliveSeconds\?$/),
  )
  assert.throws(() => connect({ clean: false }), says(/did you mean cleanStart/))
  assert.throws(() => connect({ reconnectPeriod: 0 }), says(/did you mean reconnect\?/))
  assert.throws(() => connect({ host: 'x' }), says(/^there is no option host$/))
  assert.throws(() => connect({ queue: { max: 1 } }), says(/there is no option queue\.max/))
  assert.throws(() => connect({ will: { topic: 'a', message: 'b' } }), says(/will\.message/))
  assert.throws(() => connect({ tls: { ALPNProtocols: [] } }), says(/tls\.ALPNProtocols; did you mean alpnProtocols/))
  assert.throws(() => subscribe({ rap: true }), says(/there is no option rap/))
  connect({ url: 'mqtt://x', reconnect: false, queue: { overflow: 'error' } })
})

test('values out of their list are refused with the list', () => {
  assert.throws(() => connect({ protocolVersion: 6 }), says(/^protocolVersion must be 5 or 4 or 3, not 6$/))
  assert.throws(
    () => connect({ queue: { overflow: 'drop' } }),
    says(/queue\.overflow must be "error" or "drop-oldest"/),
  )
  for (const wrong of [{ qos: 3 }, { ack: true }, { overflow: 'drop' }, { decode: 'yaml' }, { onInvalid: 'drop' }]) {
    assert.throws(() => subscribe(wrong), says(/ must be /))
  }
  for (const bufferMax of [0, 1.5, Number.NaN, '7'])
    assert.throws(() => subscribe({ bufferMax }), says(/^bufferMax must be/))
  subscribe({ decode: { '~standard': {} }, onInvalid: () => {}, bufferMax: 1 })
  subscribe({ decode: () => 1 })
})
