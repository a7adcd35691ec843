import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

// Each in a process of its own: what is found out is found out once.
const listener: string = new URL('./socket-listener.js', import.meta.url).href

async function transportOf(before: string, options: object, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const script = `
    ${before}
    const { SocketListener } = await import(${JSON.stringify(listener)})
    try {
      const listener = await SocketListener.open(${JSON.stringify({ port: 0, ...options })}, () => null)
      process.stdout.write(listener.transport)
      await listener.close()
    } catch (error) {
      process.stdout.write(error.code + ' ' + error.message)
    }`
  const { RECADO_TRANSPORT: _, ...inherited } = process.env
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...inherited, ...env },
  })
  assert.equal(stderr, '')
  return stdout
}

const stream = "const wrap = process.binding('stream_wrap')"

test('handles are the choice where they work', async () => {
  assert.equal(await transportOf('', {}), 'handle')
  assert.equal(await transportOf('', { transport: 'handle' }), 'handle')
  assert.equal(await transportOf('', { transport: 'socket' }), 'socket')
})

test('RECADO_TRANSPORT chooses for those who do not', async () => {
  assert.equal(await transportOf('', {}, { RECADO_TRANSPORT: 'socket' }), 'socket')
  assert.equal(await transportOf('', { transport: 'auto' }, { RECADO_TRANSPORT: 'socket' }), 'handle')
  assert.match(await transportOf('', {}, { RECADO_TRANSPORT: 'fast' }), /^ERR_MQTT_LISTEN .*auto, socket or handle/)
})

const MISSING: readonly [what: string, before: string][] = [
  ['process.binding is missing', 'process.binding = undefined'],
  ['process.binding: no', "process.binding = () => { throw new Error('no') }"],
  ['a request class is missing', 'process.binding = () => ({})'],
  ['streamBaseState is missing', `${stream}; process.binding = () => ({ ...wrap, streamBaseState: undefined })`],
  ['an index of streamBaseState is missing', `${stream}; process.binding = () => ({ ...wrap, kLastWriteWasAsync: 9 })`],
  [
    'a write failed: it is an object now',
    `${stream}
     let at = process.binding('tcp_wrap').TCP.prototype
     while (!Object.hasOwn(at, 'writeBuffer')) at = Object.getPrototypeOf(at)
     at.writeBuffer = () => { throw new Error('it is an object now') }`,
  ],
  [
    'handle.useUserBuffer is missing',
    `let at = process.binding('tcp_wrap').TCP.prototype
     while (!Object.hasOwn(at, 'useUserBuffer')) at = Object.getPrototypeOf(at)
     at.useUserBuffer = undefined`,
  ],
  // The numbers stand elsewhere than they say: reads look like nothing.
  [
    'the self-test did not come to its end',
    `${stream}; process.binding = () => ({ ...wrap, streamBaseState: new Int32Array(5) })`,
  ],
  [
    'a write that waits says that it is done',
    `${stream}; process.binding = () => ({ ...wrap, kLastWriteWasAsync: 1 })`,
  ],
]
for (const [what, before] of MISSING) {
  test(`net.Socket is the choice when ${what}`, async () => {
    assert.equal(await transportOf(before, { transport: 'auto' }), 'socket')
    const refused = await transportOf(before, { transport: 'handle' })
    assert.ok(refused.startsWith('ERR_MQTT_LISTEN '), refused)
    assert.ok(refused.endsWith(what), refused)
  })
}

test('an unknown version of Node gets net.Socket unless handles are asked for', async () => {
  const before = "Object.defineProperty(process.versions, 'node', { value: '99.0.0' })"
  assert.equal(await transportOf(before, {}), 'socket')
  assert.equal(await transportOf(before, { transport: 'handle' }), 'handle')
})
