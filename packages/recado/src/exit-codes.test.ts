import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '@recado/protocol'
import { ConfigError } from './config/parse.ts'
import { exitCodeOf, openingAccess } from './exit-codes.ts'

test('what went wrong has the exit code of Mosquitto 2.1', () => {
  assert.equal(exitCodeOf(new ConfigError('a.conf', 1, 'x')), 3)
  assert.equal(exitCodeOf(new MqttError('ERR_RECADO_ENVIRONMENT', 'x')), 3)
  assert.equal(exitCodeOf(new MqttError('ERR_RECADO_PID_FILE', 'x')), 14)
  assert.equal(exitCodeOf(new MqttError('ERR_MQTT_LISTEN', 'x')), 1)
  assert.equal(exitCodeOf(new Error('x')), 1)
  const ofTls = new ConfigError('a.conf', 1, 'x', { kind: 'tls', name: 'certfile', value: '/c' })
  assert.deepEqual([exitCodeOf(ofTls), exitCodeOf(ofTls, '2.1')], [3, 1])
})

test('what decides about access and cannot be opened has a code of its own, whatever its error is', async () => {
  const error = new ConfigError('a.conf', 1, 'password_file /none cannot be read')
  await assert.rejects(
    openingAccess(() => Promise.reject(error)),
    error,
  )
  assert.equal(exitCodeOf(error), 13)
  assert.equal(await openingAccess(async () => 5), 5)
})
