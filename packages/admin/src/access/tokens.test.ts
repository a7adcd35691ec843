import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { serve } from '../testing/api.ts'
import { TokenFile } from './tokens.ts'

const token = { name: 'ci', role: 'viewer', expiresAtMs: null, createdBy: 'ada' } as const
const skip = process.geteuid?.() === 0 ? false : 'only root can give files away'
const NOBODY = 65_534
const skipOnWindows = process.platform === 'win32' ? 'Windows has no limit for the size of a file' : false

test('root makes tokens in a file that the user of the folder can read', { skip }, (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-tokens-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'api-tokens.json')
  chownSync(folder, NOBODY, NOBODY)
  const file = new TokenFile(path)
  const { uid, gid, mode } = (file.create(token), statSync(path))
  assert.deepEqual([uid, gid, mode & 0o777], [NOBODY, NOBODY, 0o600])
  // One that root has made before, and that the broker could not read.
  chownSync(path, 0, 0)
  file.create(token)
  assert.equal(statSync(path).uid, NOBODY)
  // In a folder of root the file stays whose it was.
  chownSync(folder, 0, 0)
  file.create(token)
  assert.equal(statSync(path).uid, NOBODY)
})

test('a disk that takes only a part of the file refuses the token, and the others stay', {
  skip: skipOnWindows,
}, (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-tokens-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'api-tokens.json')
  const module = new URL('./tokens.js', import.meta.url).href
  const script = `import { TokenFile } from ${JSON.stringify(module)}
    const file = new TokenFile(${JSON.stringify(path)})
    for (let made = 0; ; made++) {
      try {
        file.create(${JSON.stringify(token)})
      } catch (error) {
        console.log(JSON.stringify([made, error.message]))
        break
      }
    }`
  // Files of this process can have 1 KiB: a few tokens, and a part of one more.
  const command = `trap '' XFSZ; ulimit -f 1; exec "$0" --input-type=module -e "$1"`
  const { stdout, stderr } = spawnSync('bash', ['-c', command, process.execPath, script], { encoding: 'utf8' })
  assert.equal(stderr, '')
  const [made, message] = JSON.parse(stdout) as [made: number, message: string]
  assert.ok(message.startsWith(`${path} cannot be written: EFBIG`), message)
  assert.deepEqual(readdirSync(folder), ['api-tokens.json'])
  const { length } = new TokenFile(path).list()
  assert.deepEqual([length, length > 1], [made, true])
})

test('a file of tokens that cannot be used is told once in the log, and in the answer without its path', async (context) => {
  const { ask, tokens, tokenOf, lines } = await serve(context)
  const text = tokenOf('viewer')
  assert.equal((await ask('/api/v1/server', { token: text })).status, 200)
  writeFileSync(tokens.path, 'nonsense')
  tokens.list()
  for (let i = 0; i < 2; i++) {
    const { status, text: answer } = await ask('/api/v1/server', { token: text })
    assert.equal(status, 401)
    assert.match(answer, /cannot read its file of tokens/)
    assert.ok(!answer.includes(tokens.path))
  }
  const told = lines.filter((line) => line.startsWith('error api.tokens'))
  assert.deepEqual(told.length, 1)
  assert.match(told[0]!, /is no file of tokens/)
})
