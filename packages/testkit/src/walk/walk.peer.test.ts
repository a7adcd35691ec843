/** The random walk as a test: a minute of it on our broker as it comes, what it found before, and what it sees on another broker. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipWithout } from '../peers/find.ts'
import { type Found, replay, runWalk } from './run.ts'
import { parse, print } from './script.ts'

const casesFolder: string = fileURLToPath(new URL('../../src/fuzz/cases/session/', import.meta.url))

const describe = ({ kind, count, text, script, trace }: Found): string =>
  `${kind}, ${count} times: ${text}\n${trace.slice(-60).join('\n')}\n${print(script)}`

test('a minute of a random walk over sessions, with restarts, finds nothing', { timeout: 600_000 }, async () => {
  const { operations, restarts, findings } = await runWalk({
    target: 'recado',
    operations: 1_000_000,
    seconds: 60,
    seed: 12,
    lanes: 16,
    restartEvery: 3_000,
    shrinkSeconds: 60,
  })
  assert.deepEqual(findings.map(describe), [])
  assert.ok(operations > 0)
  console.log(`${operations} operations, ${restarts} restarts`)
})

for (const name of readdirSync(casesFolder)) {
  test(`what was found once is found no more: ${name}`, { timeout: 300_000 }, async () => {
    const found = await replay('recado', parse(readFileSync(join(casesFolder, name), 'utf8')))
    assert.deepEqual([...found], [])
  })
}

test('the random walk sees a broker that lets more than Receive Maximum be in flight', {
  timeout: 300_000,
  skip: skipWithout('mosquitto'),
}, async () => {
  const { findings } = await runWalk({
    target: 'mosquitto',
    operations: 4_000,
    seconds: 0,
    seed: 12,
    lanes: 8,
    restartEvery: 0,
    shrinkSeconds: 0,
  })
  const kinds = findings.map(({ kind }) => kind)
  assert.ok(kinds.includes('receive-maximum'), `${kinds}`)
})
