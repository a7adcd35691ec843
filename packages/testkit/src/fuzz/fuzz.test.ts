/** Every target: its kept findings once more, and a short run from a fixed seed. The long ones are `npm run fuzz`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { casesOf } from './cases.ts'
import { fuzz, verdict } from './fuzz.ts'
import { Finding, type FuzzTarget } from './target.ts'
import { targets } from './targets.ts'

const SHORT_RUNS: Readonly<Record<string, number>> = { decoder: 60_000, core: 1_500 }

for (const target of isMainThread ? targets : []) {
  describe(`fuzz target ${target.name}`, () => {
    test('what was found once is found no more', () => {
      for (const { name, what, input } of casesOf(target.name)) {
        const again = verdict(target, input)
        assert.equal(again, null, `${name} (${what})`)
      }
    })

    test('a short run from seed 1 finds nothing', () => {
      const { findings } = fuzz({ target, runs: SHORT_RUNS[target.name] ?? 5_000, seed: 1, guided: false })
      assert.deepEqual(
        findings.map(({ what, input }) => `${what}: ${Buffer.from(input).toString('hex')}`),
        [],
      )
    })
  })
}

/** Breaks on three bytes in a row, each behind a branch of its own: blind mutation hardly gets there. */
const needle: FuzzTarget = {
  name: 'needle',
  doc: '',
  seeds: () => [new Uint8Array(40).fill(0x61)],
  run(input) {
    for (let i = 0; i + 3 < input.length; i++) {
      if (input[i] === 0x51) {
        if (input[i + 1] === 0x9c) {
          if (input[i + 2] === 0xe7) throw new Finding(`needle at ${i}`)
        }
      }
    }
  },
  covers: ['/fuzz/fuzz.test.js'],
  inputBytesMax: 60,
  inputMsMax: 10_000,
}

const seven = (): ReturnType<typeof fuzz> => fuzz({ target: needle, runs: 400_000, seed: 7 })

if (isMainThread) {
  describe('the fuzzer itself', () => {
    const first = seven()

    test('guided by coverage it finds a needle, and makes the input as short as it can be', () => {
      const { findings, corpus } = first
      assert.equal(findings.length, 1)
      assert.match(findings[0]!.what, /needle/)
      assert.ok(findings[0]!.input.length <= 5, Buffer.from(findings[0]!.input).toString('hex'))
      assert.ok(corpus > 1)
    })

    test('the same seed makes the same run', async () => {
      // In a thread of its own: V8 counts blocks anew only for code that it compiles anew.
      const worker = new Worker(new URL(import.meta.url))
      const [findings] = await once(worker, 'message')
      assert.deepEqual(findings, first.findings)
    })
  })
} else parentPort!.postMessage(seven().findings)
