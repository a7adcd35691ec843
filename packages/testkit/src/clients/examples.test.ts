/** Examples of the client, on our own broker, and of the broker: each prints what it says that it prints. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Broker, createBroker } from '@recado/broker'

const folder = (path: string): string => fileURLToPath(new URL(`../../../../examples/${path}`, import.meta.url))
const examplesIn = (path: string): string[] =>
  readdirSync(folder(path)).map((file) => `${path}/${file.replace(/\.ts$/, '')}`)
const names = [...examplesIn('client'), ...examplesIn('broker')]

suite('examples', () => {
  let broker: Broker
  let url: string
  before(async () => {
    broker = createBroker({})
    const { port } = await broker.listen({ port: 0 })
    url = `mqtt://127.0.0.1:${port}`
  })
  after(() => broker.close({ timeoutMs: 100 }))

  for (const name of names) {
    test(`${name} prints what it says`, { timeout: 300_000 }, async () => {
      const expected = readFileSync(folder(`${name}.ts`), 'utf8').split('\n// Prints:\n')[1]
      assert.ok(expected !== undefined, 'there is no "// Prints:" at its end')
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [folder(`dist/${name}.js`)], {
        env: { ...process.env, MQTT_URL: url },
        timeout: 300_000,
      })
      assert.equal(stderr, '')
      assert.equal(stdout, expected.replace(/^\/\/ ?/gm, ''))
    })
  }

  test('each has its row in the README', () => {
    const readme = readFileSync(folder('README.md'), 'utf8')
    for (const name of names) assert.match(readme, new RegExp(`\\(${name}\\.ts\\)`))
  })
})
