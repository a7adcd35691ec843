/** Medians, ratios and the chart, on runs made up for it: node --test bench/lib/ */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawChart } from './chart.mjs'
import { fromMqload, judge, median, summarize, tableOf } from './results.mjs'
import { scenarioNames, scenarios, sets } from './scenarios.mjs'

const run = (contestant, at, rate, more = {}) => ({
  contestant,
  at,
  rate,
  kind: 'rate',
  cpuUs: 1,
  noise: 0,
  brokerCpu: 99,
  ...more,
})

test('the median of an even number is between the middle two', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(median([]), null)
})

test('a ratio is to the baseline run nearest in time, so that a machine that slows down does not change it', () => {
  const runs = [run('mosquitto', 0, 100), run('recado', 1, 400), run('mosquitto', 10, 50), run('recado', 11, 200)]
  const [baseline, recado] = summarize(runs, 'mosquitto')
  assert.equal(baseline.ratios.rate, 1)
  assert.equal(recado.ratios.rate, 4)
  assert.equal(recado.medians.rate, 300)
})

test('a failed run is said and does not count', () => {
  const [row] = summarize([run('recado', 0, 10), { contestant: 'recado', at: 1, failed: 'no answer' }], 'recado')
  assert.equal(row.runs, 1)
  assert.deepEqual(row.notes, ['1 failed: no answer'])
})

test('a broker that was not busy has a lower bound, unless others took the CPU', () => {
  const notesOf = (more) => summarize([run('recado', 0, 10, more)], 'recado')[0].notes.join()
  assert.equal(notesOf({}), '')
  assert.match(notesOf({ brokerCpu: 50 }), /lower bound/)
  assert.match(notesOf({ brokerCpu: 50, noise: 120 }), /^noisy: others took 120% of a CPU$/)
})

test('latency of a saturating run is left out: it only says how long the queue is', () => {
  const json = { scenario: 'pairs', recv_per_s: 5, broker_us_per_msg: 2, lat_p50_us: 7, lat_p99_us: 9 }
  assert.equal(fromMqload('rate', json).p50, undefined)
  assert.equal(fromMqload('paced', json).p50, 7)
  assert.deepEqual(fromMqload('rate', { failed: 'x' }), { failed: 'x' })
})

test('goals are at least for rates and at most for costs', () => {
  const row = { contestant: 'recado', ratios: { rate: 3, cpuUs: 0.3 }, medians: { rssPerConnection: 9_000 }, noise: 0 }
  const rows = [row, { contestant: 'aedes', ratios: { rate: 0.5 } }, { contestant: 'recado@24', ratios: { rate: 6 } }]
  assert.deepEqual(
    judge('x', { rate: 3.5, cpu: 0.5, p99: 2, rssBytes: 8_192, rateToAedes: 5, rateToNode24: 0.7 }, row, rows).map(
      ({ metric, isMet }) => [metric, isMet],
    ),
    [
      ['rate', false],
      ['cpu', true],
      ['rssBytes', false],
      ['rateToAedes', true],
      ['rateToNode24', false],
    ],
  )
})

test('every scenario has a generator and a kind that has a table; lists take names, sets and stems', () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    assert.ok(scenario.load ?? scenario.recado, name)
    assert.ok(tableOf(name, scenario.kind, []).length > 0)
  }
  assert.deepEqual(scenarioNames('pubonly,pairs-q0,pairs-q0'), ['pubonly-q0', 'pubonly-q1', 'pairs-q0'])
  assert.deepEqual(scenarioNames('ombs'), sets.ombs)
  assert.throws(() => scenarioNames('pears'), /there is no scenario "pears"/)
})

test('the chart has a bar for each broker and nothing that is not XML', () => {
  const rows = summarize([run('mosquitto', 0, 100), run('a<b', 1, 400)], 'mosquitto')
  const svg = drawChart({
    baseline: 'mosquitto',
    date: '2026-11-21',
    machine: { cpu: 'A & B' },
    scenarios: [{ name: 'pairs-q0', kind: 'rate', rows }],
  })
  assert.match(svg, /a&lt;b/)
  assert.match(svg, /A &amp; B/)
  assert.equal(svg.match(/class="small"[^>]*>4\.00x, 400\/s</g)?.length, 1)
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
})
