import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientSuite, mosquittoVersion, startMosquitto } from './mod.ts'

const version = mosquittoVersion()
if (version !== null) clientSuite(`mosquitto ${version}`, startMosquitto)
else {
  test('client on mosquitto', { skip: process.env['CI'] === 'true' ? false : 'mosquitto is not installed' }, () => {
    assert.fail('CI=true, and mosquitto is not installed: apt-get install mosquitto')
  })
}
