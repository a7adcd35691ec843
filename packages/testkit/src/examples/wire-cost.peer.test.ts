/** `npm run bench:wire-cost` counts what the protocols must cost: sums of header and packet lengths that are known. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { skipWithoutSites } from '../bridge/sites.ts'
import { examplePath } from './build.ts'

interface Cost {
  packets: number
  bytesOut: number
  bytesIn: number
}

/** IPv4 and TCP with the timestamps that Linux sends; IPv4 and UDP. */
const TCP = 20 + 32
const UDP = 20 + 8

const ATTEMPTS = 3

interface Row {
  name: string
  reading: Cost
  open: Cost
}

test('a reading costs what its packets and their headers have', {
  skip: skipWithoutSites(),
  timeout: 600_000,
}, async () => {
  // A machine that stalls for longer than TCP waits (200 ms) sends packets twice: that run counts more, the next does not.
  for (let attempt = 1; ; attempt++) {
    try {
      check(await measured())
      return
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof assert.AssertionError)) throw error
    }
  }
})

async function measured(): Promise<Row[]> {
  const main = examplePath('../bench/wire-cost/main.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--readings', '2', '--json'])
  return JSON.parse(stdout.slice(0, stdout.indexOf('\n]') + 2)) as Row[]
}

function check(rows: readonly Row[]): void {
  const reading = (name: string): Cost => {
    const row = rows.find((each) => each.name === name)
    assert.ok(row !== undefined, name)
    return row.reading
  }
  // Bytes beside the headers: a server that answers late, on a busy machine, sends an acknowledgement of TCP before.
  const content = (name: string): number => {
    const { packets, bytesOut, bytesIn } = reading(name)
    return bytesOut + bytesIn - TCP * packets
  }
  const publish = 2 + 2 + 'casa/sala/temperatura'.length + 2 + 16
  assert.equal(content('MQTT 3.1.1, QoS 1'), publish + 4)
  assert.ok(reading('MQTT 3.1.1, QoS 1').packets >= 3)
  assert.equal(content('MQTT 3.1.1, QoS 0'), publish - 2)
  assert.equal(reading('MQTT 3.1.1, QoS 0').packets, 2)
  // Topic Alias: no topic, but a Property Length, an identifier and the alias. PUBACK says that nobody has subscribed.
  assert.equal(content('MQTT 5.0, Topic Alias, QoS 1'), publish - 21 + 4 + 5)
  assert.deepEqual(reading('CoAP, confirmable'), { packets: 2, bytesOut: UDP + 47, bytesIn: UDP + 6 })
  assert.deepEqual(reading('CoAP, non-confirmable'), { packets: 1, bytesOut: UDP + 47, bytesIn: 0 })
  assert.ok(reading('HTTP/1.1, kept alive').bytesOut > reading('HTTP/2').bytesOut)
  const each = (name: string): number => reading(name).bytesOut + reading(name).bytesIn
  assert.ok(each('HTTP/1.1, a connection each, TLS 1.3 resumed') > 2 * each('HTTP/1.1, a connection each'))
}
