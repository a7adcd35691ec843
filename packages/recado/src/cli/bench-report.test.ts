import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBench } from './bench-options.ts'
import { type BenchResult, exitCodeOf, formatDuration, LatencyHistogram, reportText } from './bench-report.ts'

const result: BenchResult = {
  command: 'pair',
  connections: 4,
  connectFailures: 0,
  disconnects: 0,
  connectsPerSecond: 1234.5,
  elapsedSeconds: 2,
  measuredFromMs: 1_000,
  measuredToMs: 3_000,
}

function optionsOf(line: string) {
  const parsed = parseBench(line.split(' '))
  assert.ok(parsed.kind === 'run')
  return parsed.options
}

test('percentiles are within a thousandth, over six orders of magnitude', () => {
  for (const scale of [10, 1_000, 100_000]) {
    const histogram = new LatencyHistogram()
    for (let i = 1; i <= 10_000; i++) histogram.record(i * scale)
    const percentiles = histogram.percentiles()!
    assert.equal(percentiles.count, 10_000)
    assert.equal(percentiles.min, scale)
    assert.equal(percentiles.max, 10_000 * scale)
    for (const [key, share] of [
      ['p50', 0.5],
      ['p90', 0.9],
      ['p99', 0.99],
      ['p999', 0.999],
    ] as const) {
      const exact = share * 10_000 * scale
      assert.ok(Math.abs(percentiles[key] - exact) <= exact / 1_000 + 1, `${key} ${percentiles[key]} of ${exact}`)
    }
  }
})

test('latencies out of range count at its ends, and nothing recorded is nothing', () => {
  const histogram = new LatencyHistogram()
  assert.equal(histogram.percentiles(), undefined)
  histogram.record(-5)
  histogram.record(0.2)
  histogram.record(1e12)
  const { min, max, count } = histogram.percentiles()!
  assert.deepEqual({ min, max, count }, { min: 1, max: 3_600_000_000, count: 3 })
  histogram.reset()
  assert.equal(histogram.percentiles(), undefined)
})

test('durations are said in the unit that suits them', () => {
  assert.deepEqual([7.4, 999, 1_500, 250_000, 12_000_000].map(formatDuration), [
    '7 us',
    '999 us',
    '1.50 ms',
    '250 ms',
    '12 s',
  ])
})

test('the report says what was asked for and nothing of what was not', () => {
  assert.equal(reportText(result), 'connections  4 opened, 1,235/s\nmeasured     2 s\n')
  const latency = { count: 1, min: 1, mean: 1, p50: 50, p90: 90, p99: 990, p999: 1_999, max: 20_000 }
  const text = reportText({
    ...result,
    connectFailures: 1,
    failures: { ECONNREFUSED: 1 },
    published: 100,
    publishedPerSecond: 50,
    receivedTotal: 99,
    receivedPerSecond: 49.5,
    expected: 100,
    lost: 1,
    duplicated: 2,
    outOfOrder: 3,
    latencyUs: latency,
  })
  assert.match(text, /^connections {2}4 opened, 1,235\/s, 1 failed$/m)
  assert.match(text, /^ {2}failed {5}1 x ECONNREFUSED$/m)
  assert.match(text, /^received {5}99 of 100, 49\.5\/s$/m)
  assert.match(
    text,
    /^ {2}latency {4}min 1 us {2}p50 50 us {2}p90 90 us {2}p99 990 us {2}p99\.9 2\.00 ms {2}max 20 ms$/m,
  )
  assert.match(text, /^check {8}1 lost, 2 duplicated, 3 out of order$/m)
})

test('the exit code tells what the QoS does not allow', () => {
  const of = (line: string, more: Partial<BenchResult>): number => exitCodeOf({ ...result, ...more }, optionsOf(line))
  assert.equal(of('pair', {}), 0)
  assert.equal(of('pair', { connections: 0 }), 1)
  assert.equal(of('pair', { connectFailures: 1 }), 2)
  assert.equal(of('pair', { disconnects: 1 }), 2)
  assert.equal(of('pair', { outOfOrder: 1 }), 2)
  assert.deepEqual(
    [0, 1, 2].map((qos) => of(`pair -q ${qos}`, { lost: 1 })),
    [0, 2, 2],
  )
  assert.deepEqual(
    [0, 1, 2].map((qos) => of(`pair -q ${qos}`, { duplicated: 1 })),
    [0, 0, 2],
  )
})
