import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fixed } from './c-float.ts'

const printf = spawnSync('/usr/bin/printf', ['%.1f', '0.5'], { encoding: 'utf8' }).stdout === '0.5'

test('a number is written as printf writes it', { skip: printf ? false : 'no printf(1)' }, () => {
  const numbers = [
    '0',
    '-0',
    '0.5',
    '1.5',
    '2.5',
    '-2.5',
    '0.125',
    '0.375',
    '3.14159265',
    '1e20',
    '1e22',
    '-1e300',
    '1e-7',
    '123456.789',
  ]
  for (const number of numbers) {
    for (const precision of [-1, 0, 1, 2, 3, 10]) {
      const format = precision < 0 ? '%f' : `%.${precision}f`
      // The shell's calculates with more digits than a double has; what is compared is exact in both, or far from a half.
      const { stdout } = spawnSync('awk', [`BEGIN { printf("${format}", ${number === '-0' ? '-0.0' : number}) }`], {
        encoding: 'utf8',
      })
      assert.equal(fixed(Number(number), precision), stdout, `${format} of ${number}`)
    }
  }
})

test('what is no number has a name', () => {
  assert.deepEqual([fixed(Number.NaN, 2), fixed(Infinity, 2), fixed(-Infinity, 2)], ['nan', 'inf', '-inf'])
  assert.equal(fixed(0.5, 102), `0.5${'0'.repeat(101)}`)
})
