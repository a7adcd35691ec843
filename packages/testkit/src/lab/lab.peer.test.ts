/**
 * The network laboratory, shortly: three cells at once, on faults of half a second. The long ones, and their figures, are
 * `npm run lab`.
 */
import '../own-network.ts'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Condition } from './conditions.ts'
import { SERVER_NAME, skipWithoutLab } from './line.ts'
import { type Cell, keyOf } from './plan.ts'
import { readResults, runLab } from './run.ts'

const short: Omit<Condition, 'name' | 'events'> = {
  title: { en: 'short', es: 'breve' },
  messages: 20,
  intervalMs: 50,
  payloadBytes: 700,
  keepAliveSeconds: 60,
}
/** By name, lossy, with small packets, and cut for half a second. */
const cut: Condition = {
  ...short,
  name: 'short-cut',
  host: SERVER_NAME,
  line: 'line both delay=5 jitter=4 loss=2 dup=5 reorder=5 mtu=576 icmp=1 rate=1000000',
  events: [
    { atMs: 300, line: 'line both cut=1' },
    { atMs: 800, line: 'line both cut=0' },
  ],
}
/** The connection is forgotten, and nobody is told. */
const nat: Condition = {
  ...short,
  name: 'short-nat',
  line: 'nat 3600000',
  events: [{ atMs: 300, line: 'forget' }],
  keepAliveSeconds: 1,
}
const clock: Condition = {
  ...short,
  name: 'short-clock',
  clock: 'device',
  events: [
    { atMs: 300, clockSeconds: 3_600 },
    { atMs: 600, clockSeconds: -3_600 },
  ],
}
const cells: Cell[] = [
  { condition: cut, server: 'recado', device: 'recado', qos: 1, tls: false },
  { condition: nat, server: 'recado', device: 'recado', qos: 1, tls: false },
  { condition: clock, server: 'aedes', device: 'paho-c', qos: 2, tls: true },
]

test('on a bad line nothing is lost, a forgotten connection is noticed, and what has a result is not run again', {
  skip: skipWithoutLab(),
  timeout: 400_000,
}, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-lab-test-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'results.jsonl')
  const failures: string[] = []
  const options = {
    cells,
    file,
    isFresh: false,
    jobs: 3,
    seed: 18,
    budgetMs: Number.POSITIVE_INFINITY,
    onFailure: (key: string, why: string) => failures.push(`${key}: ${why}`),
  }
  await runLab(options)
  assert.deepEqual(failures, [])
  const results = readResults(file)
  assert.deepEqual([...results.keys()].sort(), cells.map(keyOf).sort())
  for (const { key, isConnected, up, down, packetsPerMessage } of results.values()) {
    assert.ok(isConnected, key)
    for (const { sent, lost, disordered } of [up, down])
      assert.deepEqual([key, sent, lost, disordered], [key, 20, 0, 0])
    // 700 bytes do not fit into 576.
    assert.ok(packetsPerMessage > (key.startsWith('short-cut') ? 2 : 1), key)
  }
  const { up, down, reconnects } = results.get(keyOf(cells[2]!))!
  assert.deepEqual([up.duplicated, down.duplicated, reconnects], [0, 0, 0])
  const forgotten = results.get(keyOf(cells[1]!))!
  assert.ok(forgotten.reconnects >= 1 && forgotten.deviceNoticedMs !== null && forgotten.recoveredMs !== null)

  const again = await runLab(options)
  assert.deepEqual([again.before, again.results.length, again.left], [3, 0, 0])
})
