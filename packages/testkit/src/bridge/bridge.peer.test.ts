/** Bridge runs as tests: two Mosquittos, which show that the run finds what is lost. `npm run bridge` is the long form. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { skipWithout } from '../peers/find.ts'
import { runBridge } from './run.ts'
import { skipWithoutSites } from './sites.ts'

const skip = skipWithoutSites() || skipWithout('mosquitto')

describe('a bridge between two brokers on a line that fails', { skip, timeout: 180_000 }, () => {
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
