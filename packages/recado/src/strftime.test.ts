import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { strftime } from './strftime.ts'

const date = new Date(2026, 2, 7, 9, 5, 3)

test('the usual forms come out as in strftime(3)', () => {
  assert.equal(strftime('%Y-%m-%dT%H:%M:%S', date), '2026-03-07T09:05:03')
  assert.equal(
    strftime('%F %T %j %a %A %b %B %e %I %p %y %u %w', date),
    '2026-03-07 09:05:03 066 Sat Saturday Mar March  7 09 AM 26 6 6',
  )
  assert.equal(strftime('100%% %Q', date), '100% %Q')
  assert.equal(strftime('%s', new Date(1_700_000_000_000)), '1700000000')
})

test('it agrees with date(1) where there is one', { skip: process.platform !== 'linux' }, () => {
  const format = '%Y %y %C %m %d %e %j %H %I %M %S %p %s %z %a %A %b %h %B %u %w %F %T %R %D %r'
  for (const seconds of [0, 1_700_000_000, 1_735_689_599, 1_709_210_096]) {
    const expected = execFileSync('date', ['-d', `@${seconds}`, `+${format}`], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    })
    assert.equal(strftime(format, new Date(seconds * 1000)), expected.trimEnd())
  }
})
