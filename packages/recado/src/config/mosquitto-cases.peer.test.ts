/**
 * The verdicts of Mosquitto on the small files of `mosquitto-cases.test-support.ts`: Debian's, and 2.1 where
 * RECADO_MOSQUITTO_21 names its program.
 *
 * Each file gets one more line that keeps a start from succeeding after the configuration has been read, so that
 * nothing is opened: exit code 3 is a refused configuration, every other one a start that failed later.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findPeer } from '@recado/testkit'
import { configCases, type Verdict } from './mosquitto-cases.test-support.ts'

const CONFIGURATION_REFUSED = 3
const debian = findPeer('mosquitto')
const other = process.env['RECADO_MOSQUITTO_21']

function verdictOf(program: string, folder: string, text: string): Verdict {
  const file = join(folder, 'a.conf')
  // A NUL byte makes Mosquitto lose the line below; a byte order mark has to come first.
  const last = `pid_file ${folder}/missing/pid`
  writeFileSync(file, text.includes('\0') ? `${last}\n${text}` : `${text}\n${last}`)
  const { status, stderr, error } = spawnSync(program, ['-c', file], { encoding: 'utf8', timeout: 300_000 })
  if (error !== undefined) throw error
  assert.notEqual(status, 0, `${JSON.stringify(text)}\n${stderr}`)
  return status === CONFIGURATION_REFUSED ? 'refused' : 'taken'
}

function check(program: string, version: 'mosquitto20' | 'mosquitto21'): void {
  const folder = mkdtempSync(join(tmpdir(), 'recado-cases-'))
  // Mosquitto reads it as another user when root starts it.
  chmodSync(folder, 0o755)
  try {
    for (const cases of configCases) {
      for (const text of cases.texts)
        assert.equal(verdictOf(program, folder, text), cases[version], JSON.stringify(text))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test("Debian's mosquitto 2.0 says to each small file what the table says", {
  skip: 'skip' in debian ? debian.skip : false,
}, () => {
  check((debian as { path: string }).path, 'mosquitto20')
})

test('mosquitto 2.1 says to each small file what the table says', {
  skip: other === undefined && 'RECADO_MOSQUITTO_21 names no mosquitto 2.1',
}, () => {
  check(other!, 'mosquitto21')
})
