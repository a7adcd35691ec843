/* The NestJS microservice on a live broker: readings in, a request, its answer. Its packages are installed in its folder. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { createBroker } from '@recado/broker'
import { connect } from '@recado/client'
import { build } from 'esbuild'
import { installExample } from '../../../tools/lib/install-example.mjs'

const here = import.meta.dirname

test('examples/clients/nestjs takes readings, and answers a request with their means', {
  skip: installExample(here),
  timeout: 300_000,
}, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-nestjs-'))
  context.after(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'))
  const program = join(folder, 'mean.mjs')
  await build({ entryPoints: [join(here, 'mean.ts')], format: 'esm', outfile: program })

  const broker = createBroker()
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0, host: '127.0.0.1' })
  const url = `mqtt://127.0.0.1:${port}`
  const client = await connect(url)
  context.after(() => client.close())
  const means = client.subscribe('house/mean/reply', { qos: 1, decode: 'json' })
  await means.ready

  const service = spawn(process.execPath, [program], {
    env: { ...process.env, MQTT_URL: url, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => service.kill('SIGKILL'))
  for await (const line of createInterface({ input: service.stdout })) if (line === 'listening') break
  service.stdout.resume()

  const ask = (id) => client.send('house/mean', JSON.stringify({ id, pattern: 'house/mean', data: null }), { qos: 1 })
  // It is there when a reading has come to it: it says that it listens before its subscriptions are answered.
  const timer = setInterval(() => {
    client.send('house/hall/temperature', '{"celsius":15}', { qos: 1 })
    ask('ready?')
  }, 200)
  context.after(() => clearInterval(timer))
  for await (const { value } of means) {
    if (value.response.hall === undefined) continue
    clearInterval(timer)
    break
  }
  const answers = client.subscribe('house/mean/reply', { qos: 1, decode: 'json' })
  await answers.ready
  for (const [room, payload] of [
    ['kitchen', '{"celsius":20}'],
    ['kitchen', 'no JSON'],
    ['kitchen', '{"celsius":23}'],
    ['attic', '{"celsius":"warm"}'],
    ['attic', '{"celsius":-1}'],
  ])
    await client.publish(`house/${room}/temperature`, payload, { qos: 1 })
  ask('mean')
  for await (const { value } of answers) {
    if (value.id !== 'mean') continue
    assert.deepEqual(value.response, { hall: 15, kitchen: 21.5, attic: -1 })
    break
  }
})
