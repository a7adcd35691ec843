/** The HTTP API of a broker without configured listeners, on a loopback of its own: its ports are those of everybody. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { programPath, temporaryFolder } from '../testing/program.ts'

const inside = ['-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
const isPossible = process.platform === 'linux' && spawnSync('unshare', [...inside, 'true']).status === 0

/** Starts the broker twice: with the port free, and with another program on it. */
const script = `
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
const started = async () => {
  const child = spawn(process.execPath, process.argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let err = ''
  child.stdout.resume()
  child.stderr.setEncoding('utf8').on('data', (text) => { err += text })
  while (!/version \\S+ running/.test(err)) await once(child.stderr, 'data')
  return { child, lines: () => err.split('\\n').filter((line) => line.includes('HTTP API')) }
}
const first = await started()
const { status } = await fetch('http://127.0.0.1:9883/readyz')
first.child.kill('SIGTERM')
const [firstCode] = await once(first.child, 'exit')
const other = createServer().listen(9883, '127.0.0.1')
await once(other, 'listening')
const second = await started()
second.child.kill('SIGTERM')
const [secondCode] = await once(second.child, 'exit')
other.close()
console.log(JSON.stringify({ status, codes: [firstCode, secondCode], said: [first.lines(), second.lines()] }))
`

test('a broker without listeners has the API on 127.0.0.1:9883, and runs without it when the port is taken', {
  skip: isPossible ? false : 'needs unshare -rn and ip',
}, (context) => {
  const argv = [process.execPath, '--input-type=module', '-e', script, programPath, '--data', temporaryFolder(context)]
  const { stdout, stderr } = spawnSync('unshare', [...inside, ...argv], { encoding: 'utf8' })
  const { status, codes, said } = JSON.parse(stdout || `{"error":${JSON.stringify(stderr)}}`)
  assert.deepEqual([status, codes], [200, [0, 0]], stderr)
  assert.deepEqual(said[0], [])
  assert.equal(said[1].length, 1)
  assert.match(
    said[1][0],
    /Warning: The HTTP API is not there, for another program has the port of 127\.0\.0\.1:9883\./,
  )
})
