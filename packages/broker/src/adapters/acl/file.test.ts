import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ClientInfo } from '../../ports.ts'
import { AclFile } from './file.ts'

function file(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-acl-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'acl')
  writeFileSync(path, text)
  return path
}

const client = (clientId: string, username?: string): ClientInfo => ({
  clientId,
  username,
  protocolVersion: 5,
  remoteAddress: '',
  listener: '',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
})

test('the rules of a client are worked out once, and anew after a reload', async (context) => {
  const path = file(context, 'topic read a')
  const acl = await AclFile.open({ path })
  const a = client('a')
  assert.equal(acl.mayReceive(a, 'a'), true)
  const { memo } = a
  assert.equal(acl.publish(a, 'a'), false)
  assert.equal(a.memo, memo)
  writeFileSync(path, 'topic write a')
  assert.equal(acl.mayReceive(a, 'a'), true)
  await acl.reload()
  assert.equal(acl.mayReceive(a, 'a'), false)
  assert.equal(acl.publish(a, 'a'), true)
})

test('a file that cannot be read again changes nothing', async (context) => {
  const path = file(context, 'topic read a')
  const acl = await AclFile.open({ path })
  writeFileSync(path, 'topic read b\nnonsense')
  await assert.rejects(acl.reload(), {
    code: 'ERR_MQTT_ACL_FILE',
    message: `${path}:2: "nonsense" is unknown: a line begins with user, topic or pattern`,
  })
  assert.equal(acl.mayReceive(client('a'), 'a'), true)
  assert.equal(acl.mayReceive(client('a'), 'b'), false)
  rmSync(path)
  await assert.rejects(acl.reload(), { code: 'ERR_MQTT_ACL_FILE', message: /cannot be read: ENOENT/ })
})

test('every subscription and every Will is taken at first: what is received and published is asked about later', async (context) => {
  const acl = await AclFile.open({ path: file(context, '') })
  assert.equal(acl.subscribe(), true)
  assert.equal(acl.will(), true)
  assert.equal(acl.mayPublish(client('a'), 'w'), false)
})
