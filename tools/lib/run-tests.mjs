/*
 * Runs test files in the order in which they are given, as `node --test` would run them in that of their names:
 * `node run-tests.mjs CONCURRENCY MILLISECONDS FILES…`.
 *
 * tools/test.mjs calls it with the longest files first: the last of them would otherwise run beside nothing. With
 * RECADO_TEST_TIMES=FILE it writes the seconds of each outermost test into FILE, with the path and the name of the test.
 */
import { createWriteStream } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const [concurrency, timeout, ...files] = process.argv.slice(2)
const times = process.env.RECADO_TEST_TIMES
const out = times === undefined ? null : createWriteStream(times)

const stream = run({ files, concurrency: Number(concurrency), timeout: Number(timeout) })
stream.on('test:fail', () => {
  process.exitCode = 1
})
if (out !== null) {
  const note = ({ nesting, details, file, name }) => {
    if (nesting === 0) out.write(`${(details.duration_ms / 1000).toFixed(2)}\t${file}\t${name}\n`)
  }
  stream.on('test:pass', note)
  stream.on('test:fail', note)
}
stream.compose(new spec()).pipe(process.stdout)
