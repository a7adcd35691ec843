/** The crash run as a test: 20 rounds on our broker, and a few on Mosquitto, which show that the run finds what is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../peers/find.ts'
import { runCrash } from './run.ts'

test('a broker that is killed 20 times and more loses nothing, repeats no QoS 2 message and keeps the order', {
  timeout: 300_000,
}, async () => {
  const findings: string[] = []
  const summary = await runCrash({ broker: 'recado', rounds: 20, seed: 3, onFinding: (text) => findings.push(text) })
  assert.ok(summary.ok, `${JSON.stringify(summary)}\n${findings.join('\n')}`)
  assert.equal(summary.rounds, 20)
  assert.ok(summary.kills >= 20)
  assert.ok(summary.startupKills > 0)
  assert.ok(summary.wills > 0, `${summary.wills} Wills`)
  assert.ok(summary.acknowledged > 100, `${summary.acknowledged} acknowledged`)
  assert.equal(summary.acknowledged, summary.published)
})

test('the crash run sees what a broker loses that does not write before it acknowledges', {
  timeout: 300_000,
  skip: skipWithout('mosquitto'),
}, async () => {
  const findings: string[] = []
  const summary = await runCrash({ broker: 'mosquitto', rounds: 3, seed: 3, onFinding: (text) => findings.push(text) })
  assert.equal(summary.ok, false)
  assert.ok(summary.lost > 0)
  assert.match(findings.join('\n'), /acknowledged messages on crash\/.* were lost/)
})
