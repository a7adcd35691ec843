/**
 * The routines of `examples/arm64-assembly`, cross-compiled and run under qemu: equal to the C of `examples/c-sockets` for
 * random input, byte for byte the wire cases of `@recado/protocol`, a message to a live broker, and the figures of its
 * README.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { wireCases } from '@recado/protocol/wire-cases'
import { startBroker } from '../peers/broker.ts'
import { run } from '../peers/child.ts'
import { peerPath, skipWithout } from '../peers/find.ts'
import { BuiltExample, examplePath } from './build.ts'

const skip = skipWithout('make', 'arm64-cc', 'qemu-aarch64')

suite('examples/arm64-assembly', { skip, timeout: 300_000 }, () => {
  let example: BuiltExample
  let qemu: string
  before(async () => {
    example = await BuiltExample.make('arm64-assembly')
    qemu = peerPath('qemu-aarch64')
  })
  after(() => example?.remove())

  test('the routines agree with C for random input', async () => {
    assert.deepEqual(await run(qemu, [example.program('check-arm64'), 'random', '5000', '11']), ['5000 runs'])
  })

  test('every PUBLISH of the wire cases is found and encoded byte by byte', async () => {
    const cases = wireCases.filter(({ version, maximumPacketSize }) => version === 4 && maximumPacketSize === undefined)
    const input = cases.map(({ bytes }) => Buffer.from(bytes).toString('hex')).join('\n')
    const answers = await run(qemu, [example.program('check-arm64'), 'wire'], { input: `${input}\n` })
    assert.equal(answers.length, cases.length)
    let publishes = 0
    for (const [i, { name, bytes, packet, encodesAs }] of cases.entries()) {
      if (packet === undefined || (bytes[0] ?? 0) >> 4 !== 3) continue
      publishes++
      assert.equal(answers[i], Buffer.from(encodesAs ?? bytes).toString('hex'), name)
    }
    assert.ok(publishes >= 10)
  })

  test('publish-arm64 publishes to a live broker, and says why when it cannot', async () => {
    const broker = await startBroker()
    const program = example.program('publish-arm64')
    const args = ['127.0.0.1', String(broker.port), 'casa/sala/temperatura', '25°C']
    await run(qemu, [program, ...args])
    await assert.rejects(run(qemu, [program, ...args.slice(0, 2), 'casa/+', 'x']), /not a Topic Name/)
    await broker.stop()
    await assert.rejects(run(qemu, [program, ...args]), /no connection: is the broker running\?/)
  })

  test('its README has the numbers of instructions that qemu counts', async () => {
    const readme = readFileSync(examplePath('arm64-assembly/README.md'), 'utf8')
    const rows = [...readme.matchAll(/^\| `(\w+)` \|[^|]*\| (\d+) \| (\d+) \|/gm)]
    assert.equal(rows.length, 5)
    const folder = mkdtempSync(join(tmpdir(), 'recado-arm64-'))
    try {
      // Loop and call cost the same for both, and a new compiler may change C by some.
      for (const [, routine = '', c, assembly] of rows) {
        const measured = [await instructions(folder, routine, 'c'), await instructions(folder, routine, 'asm')]
        assert.ok(Math.abs((measured[0] ?? 0) - Number(c)) <= Number(c) * 0.2 + 4, `${routine} in C: ${measured[0]}`)
        assert.ok(Math.abs((measured[1] ?? 0) - Number(assembly)) <= 4, `${routine} in assembly: ${measured[1]}`)
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  /** Instructions of one call, from the difference of two runs: with -singlestep each is a line of qemu's log. */
  async function instructions(folder: string, routine: string, language: 'c' | 'asm'): Promise<number> {
    const counts: number[] = []
    for (const calls of [10, 60]) {
      const log = join(folder, 'log')
      const trace = ['-singlestep', '-d', 'exec,nochain', '-D', log]
      await run(qemu, [...trace, example.program('check-arm64'), 'loop', routine, language, String(calls)])
      counts.push(readFileSync(log, 'latin1').split('\n').length)
    }
    return ((counts[1] ?? 0) - (counts[0] ?? 0)) / 50
  }
})
