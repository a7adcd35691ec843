import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '@recado/protocol'
import type { Logger } from './log.ts'
import { reloadAll } from './reload.ts'

const logInto = (lines: string[]): Logger =>
  ({ log: (_type: string, name: string, text: string) => lines.push(`${name} ${text}`) }) as unknown as Logger

test('a part that cannot be read again keeps what it had, and the others are read', async () => {
  const lines: string[] = []
  const parts = [
    {
      what: 'password file /a',
      reload: () => {
        throw new MqttError('ERR_MQTT_PASSWORD_FILE', '/a:2: no hash')
      },
    },
    { what: 'ACL file /b', reload: async () => undefined },
  ]
  await reloadAll(parts, logInto(lines))
  assert.deepEqual(lines, [
    'config.reload-failed SIGHUP: password file /a stays as it was: /a:2: no hash',
    'config.reloaded SIGHUP: ACL file /b read again.',
  ])
})

test('a bug in a part is not taken for a file that cannot be read', async () => {
  const bug = {
    what: 'x',
    reload: () => {
      throw new TypeError('undefined is not a function')
    },
  }
  await assert.rejects(reloadAll([bug], logInto([])), TypeError)
})
