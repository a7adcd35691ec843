/**
 * Bridge runs as tests: two of our brokers, which lose nothing, and two Mosquittos, which show that the run finds what is
 * lost. `npm run bridge` is the long form.
 */
import '../own-network.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { skipWithout } from '../peers/find.ts'
import { runBridge } from './run.ts'
import { skipWithoutSites } from './sites.ts'

const skip = skipWithoutSites() || skipWithout('mosquitto')

// At once: a bridge waits most of its time, for a line that is out or for its next attempt.
describe('a bridge between two brokers on a line that fails', { skip, timeout: 600_000, concurrency: true }, () => {
  for (const [name, version] of [
    ['3.1.1', 4],
    ['5.0', 5],
  ] as const) {
    test(`${name}: through cuts and kills of both our brokers nothing is lost, nothing at QoS 2 comes twice`, async () => {
      const findings: string[] = []
      const { lost, duplicatesQos2, duplicatesQos0, disordered, corrupted, unknown, retainedWrong, sessionsLost } =
        await runBridge({
          ...{ near: 'recado', far: 'recado', version, cuts: 4, kills: 2, seed: 7 },
          onFinding: (text) => findings.push(text),
        })
      const violations = { lost, duplicatesQos2, duplicatesQos0, disordered, corrupted, unknown, retainedWrong }
      assert.deepEqual(
        { ...violations, sessionsLost },
        {
          ...{ lost: 0, duplicatesQos2: 0, duplicatesQos0: 0, disordered: 0, corrupted: 0, unknown: 0 },
          ...{ retainedWrong: 0, sessionsLost: 0 },
        },
        findings.join('\n'),
      )
    })
  }

  test('without a fault everything crosses, once and in order, between two Mosquittos too', async () => {
    const summary = await runBridge({ near: 'mosquitto', far: 'mosquitto', version: 4, cuts: 0, kills: 0, seed: 1 })
    assert.ok(summary.ok, JSON.stringify(summary))
    assert.equal(summary.received0, summary.published0)
    assert.ok(summary.acknowledged > 100, JSON.stringify(summary))
  })

  test('the run sees what two Mosquittos lose', async () => {
    const findings: string[] = []
    const summary = await runBridge({
      ...{ near: 'mosquitto', far: 'mosquitto', version: 4, cuts: 2, kills: 2, seed: 1 },
      onFinding: (text) => findings.push(text),
    })
    assert.equal(summary.ok, false)
    assert.ok(summary.lost > 0, JSON.stringify(summary))
    assert.match(findings.join('\n'), /acknowledged messages on b\/q[12]\/.* were lost/)
  })
})
