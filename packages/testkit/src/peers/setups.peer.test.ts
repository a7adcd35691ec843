/**
 * Whole configurations on Debian's Mosquitto and here, asked the same by the same prober: what differs is in the tables of `setups/`, with its reason,
 * and in docs/migrating-from-mosquitto.md. RECADO_MOSQUITTO_21 names a Mosquitto 2.1 that is asked as well.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Observations } from '../setups/prober.ts'
import { observe } from '../setups/run.ts'
import type { Difference, Setup } from '../setups/setup.ts'
import { setups } from '../setups/setups.ts'
import { findPeer } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const debian = findPeer('mosquitto')
const other = process.env['RECADO_MOSQUITTO_21']

/** Ours is asked once, whoever it is compared with. */
const ours = new Map<string, Promise<Observations>>()
function oursOf(setup: Setup): Promise<Observations> {
  let observations = ours.get(setup.name)
  if (observations === undefined) {
    observations = observe(setup, null)
    ours.set(setup.name, observations)
  }
  return observations
}

interface Seen {
  readonly mosquitto: string | undefined
  readonly recado: string | undefined
}

async function differencesOf(setup: Setup, program: string): Promise<Map<string, Seen>> {
  const mosquitto = await observe(setup, program)
  const recado = await oursOf(setup)
  const names = new Set([...Object.keys(mosquitto), ...Object.keys(recado)])
  const seen = [...names].map((name) => [name, { mosquitto: mosquitto[name], recado: recado[name] }] as const)
  return new Map(seen.filter(([, each]) => each.mosquitto !== each.recado))
}

function compare(expected: readonly Difference[], found: Map<string, Seen>): void {
  for (const { what, mosquitto, recado } of expected) {
    if (what.endsWith('*')) {
      const all = [...found.keys()].filter((name) => name.startsWith(what.slice(0, -1)))
      assert.notEqual(all.length, 0, `${what} does not differ any more: take it out of the table`)
      for (const name of all) found.delete(name)
    } else {
      assert.deepEqual(found.get(what), { mosquitto, recado }, what)
      found.delete(what)
    }
  }
  assert.deepEqual(Object.fromEntries(found), {})
}

function suite(version: '2.0' | '2.1', program: string | null, skip: string | false): void {
  describe(`mosquitto ${version} and recado`, { concurrency: 3 }, () => {
    for (const setup of setups) {
      test(`${setup.name}: mosquitto ${version} and recado do the same`, {
        skip,
        timeout: 3 * testTimeoutMs,
      }, async () => {
        const expected = (setup.differences ?? []).filter(
          (each) => each.version === undefined || each.version === version,
        )
        compare(expected, await differencesOf(setup, program!))
      })
    }
  })
}

test('there are at least thirty setups, each with a name of its own', () => {
  assert.ok(setups.length >= 30)
  assert.equal(new Set(setups.map(({ name }) => name)).size, setups.length)
})

suite('2.0', 'path' in debian ? debian.path : null, 'skip' in debian ? debian.skip : false)
suite('2.1', other ?? null, other === undefined && 'RECADO_MOSQUITTO_21 names no mosquitto 2.1')
