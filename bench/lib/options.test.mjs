/** Every benchmark prints its usage, and does nothing when an option is unknown. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

function run(name, ...args) {
  const file = fileURLToPath(new URL(`../${name}.mjs`, import.meta.url))
  return spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' })
}

for (const name of ['micro', 'growth', 'client', 'transports', 'logins']) {
  test(`bench:${name} has --help, and refuses an option that there is not`, () => {
    const help = run(name, '--help')
    assert.equal(help.status, 0)
    assert.ok(help.stdout.startsWith(`npm run bench:${name} -- `), help.stdout)
    const wrong = run(name, '--roundz', '3')
    assert.equal(wrong.status, 2)
    assert.match(wrong.stderr, /^Unknown option '--roundz'/)
    assert.ok(wrong.stderr.endsWith(`\n\n${help.stdout}`), wrong.stderr)
  })
}

test('a number that is none is refused', () => {
  const { status, stderr } = run('transports', '--rounds', 'x')
  assert.equal(status, 2)
  assert.match(stderr, /^--rounds wants a number above 0, not "x"\n/)
})
