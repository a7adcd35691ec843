/** The soak run as a test, short: it shows that the run works, and nothing is lost in it. What leaks needs longer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawSoak } from './chart.ts'
import { runSoak } from './run.ts'

test('a soak of 12 seconds with a restart loses nothing and draws what it measured', { timeout: 180_000 }, async () => {
  const findings: string[] = []
  const { report, columns } = await runSoak({ seconds: 12, seed: 1, onFinding: (text) => findings.push(text) })
  assert.equal(report.violations, 0, findings.join('\n'))
  assert.ok(report.restarts.length > 0)
  for (const { done, samples } of Object.values(report.brokers)) {
    assert.ok(Number(done['acknowledged']) > 20, JSON.stringify(done))
    assert.ok(samples.some(({ latencyP50Ms }) => latencyP50Ms !== null))
  }
  // Counting objects takes long, and may not come to its turn on a busy machine.
  const counted = report.brokers.steady.samples.flatMap(({ live }) => (live === null ? [] : [live]))
  for (const live of counted) assert.ok(live['Session']! > 0, JSON.stringify(live))
  const chart = drawSoak(columns, { title: 't', note: 'n', minutes: 0.2, restarts: report.restarts })
  assert.match(chart, /own memory/)
  if (counted.length > 0) assert.match(chart, /heap in use/)
  assert.match(chart, /<polyline class="line" points="[\d., ]+"/)
})
