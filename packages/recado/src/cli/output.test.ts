/* Output of the tools that cannot be written, whose reader leaves, or that is a terminal. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ConnectRequest, createBroker, passwordFile } from '@recado/broker'
import type { Message } from '@recado/client'
import { printed, programPath, run, temporaryFolder } from '../testing/program.ts'
import { MessagePrinter } from './output-format.ts'
import { safeText } from './terminal.ts'

const skip = process.platform !== 'linux' ? '/dev/full and shells as Linux has them' : false

interface Ended {
  code: number | null
  out: string
  err: string
}

/** A shell command with the program as $RECADO; waits while this process goes on, for the broker is in it. */
async function shell(command: string): Promise<Ended> {
  const RECADO = `'${process.execPath}' '${programPath}'`
  const child = spawn('bash', ['-c', command.replace(/\brecado /g, `${RECADO} `)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result: Ended = { code: null, out: '', err: '' }
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    result.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    result.err += text
  })
  ;[result.code] = (await once(child, 'close')) as [number]
  return result
}

test('whoever reads help and lists may stop reading', { skip }, async () => {
  for (const command of ['', 'sub', 'pub', 'rr', 'passwd', 'inspect', 'export', 'bench', 'acl']) {
    // The exit code of the program, and not that of the reader.
    const { err } = await shell(`recado ${command} --help | true; echo "\${PIPESTATUS[0]}" >&2`)
    assert.equal(err, '0\n', command)
  }
})

test('what cannot be written is a line and exit code 1', { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'export.jsonl')
  writeFileSync(file, '{"kind":"header","format":"recado-export","version":1}\n')
  await printed('import', join(folder, 'data'), file)
  for (const command of ['--help', 'sub --help', `inspect --json --all ${folder}/data`, `export ${folder}/data -`]) {
    const { code, err } = await shell(`recado ${command} >/dev/full`)
    assert.equal(code, 1, command)
    assert.match(err, /^recado.*: .*no space left on device.*\n$/, command)
  }
})

async function brokerOf(context: TestContext): Promise<number> {
  const broker = createBroker()
  context.after(() => broker.close())
  return (await broker.listen({ port: 0 })).port
}

test('sub acknowledges what it has written, and nothing else', { skip }, async (context) => {
  const port = await brokerOf(context)
  const sub = `recado sub -p ${port} -q 1 -c -i s -t a`
  assert.equal((await shell(`${sub} -E`)).code, 0)
  await shell(`seq 200 | recado pub -p ${port} -q 1 -t a -l`)
  const full = await shell(`${sub} -C 200 >/dev/full`)
  assert.deepEqual([full.code, full.out], [1, ''])
  assert.match(full.err, /standard output cannot be written: .*no space left/)
  const again = await shell(`${sub} -C 200 -W 20`)
  assert.equal(again.code, 0, again.err)
  assert.deepEqual(
    again.out.trim().split('\n'),
    Array.from({ length: 200 }, (_, i) => `${i + 1}`),
  )
  // All of them are acknowledged now.
  assert.deepEqual(await shell(`${sub} -W 1`), { code: 27, out: '', err: 'Timed out\n' })
})

test('arguments and lines are bytes, and what must be text is judged', { skip }, async (context) => {
  const port = await brokerOf(context)
  const bytes = String.raw`"$(printf '\377\376\200A')"`
  const publish = `recado pub -p ${port} -V 5 -q 1 -r`
  const property = String.raw`-D publish correlation-data "$(printf '\351')"`
  assert.deepEqual(await shell(`${publish} -t argument -m ${bytes} ${property}`), { code: 0, out: '', err: '' })
  assert.deepEqual(await shell(`printf %s ${bytes} | ${publish} -t line -l`), { code: 0, out: '', err: '' })
  const { out } = await shell(`recado sub -p ${port} -V 5 -t argument -t line -C 2 -W 20 -F '%t %x %D'`)
  assert.deepEqual(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd())
      .sort(),
    ['argument fffe8041 \xe9', 'line fffe8041'],
  )
  const invalid = String.raw`"$(printf 'a\351')"`
  for (const [command, expected] of [
    [`${publish} -t ${invalid} -m x`, /^Error: The topic of -t is not UTF-8 \(byte 0xe9\)\./],
    [`${publish} -t t -m x -u ${invalid}`, /^Error: The username of -u is not UTF-8 \(byte 0xe9\)\./],
    [`${publish} -t t -m x -D publish user-property a ${invalid}`, /user-property is not UTF-8 \(byte 0xe9\)/],
    [`recado inspect ${invalid}`, /^recado: argument 2 is not UTF-8 \(byte 0xe9\)/],
    [`recado passwd -c -b - ${invalid} x`, /^recado passwd: the user name is not UTF-8 \(byte 0xe9\)/],
  ] as const) {
    const { code, err } = await shell(command)
    assert.equal(code, 1, command)
    assert.match(err, expected)
  }
})

test('a password is bytes too: another one is not taken for it', { skip }, async (context) => {
  const file = join(temporaryFolder(context), 'users')
  const made = await shell(String.raw`recado passwd -c -b ${file} ada "$(printf 'p\351')"`)
  assert.equal(made.code, 0, made.err)
  const users = await passwordFile({ path: file })
  context.after(() => users.close())
  const ask = async (password: Uint8Array): Promise<boolean> => {
    const connect = { username: 'ada', password } as ConnectRequest['connect']
    const decision = await users.authenticate({ connect, remoteAddress: '127.0.0.1:1' } as ConnectRequest)
    return typeof decision === 'object' && decision !== null && (decision.reasonCode ?? 0) === 0
  }
  assert.equal(await ask(Uint8Array.of(0x70, 0xe9)), true)
  assert.equal(await ask(Uint8Array.of(0x70, 0xef, 0xbf, 0xbd)), false)
})

test('twelve that change a password file at once all do', { skip }, async (context) => {
  const file = join(temporaryFolder(context), 'users')
  // Lines that are not UTF-8 stay as they are.
  writeFileSync(file, Buffer.from([0x23, 0x20, 0xe9, 0x0a]))
  writeFileSync(`${file}.lock`, '999999999\n')
  const names = Array.from({ length: 12 }, (_, i) => `user${i}`)
  const command = names.map((name) => `recado passwd -I 1 -b ${file} ${name} x & `).join('')
  const { err } = await shell(`${command} wait`)
  assert.equal(err, '')
  const text = readFileSync(file, 'latin1')
  assert.ok(text.startsWith('# \xe9\n'))
  assert.deepEqual([...text.matchAll(/^(user\d+):/gm)].map(([, name]) => name).sort(), names.sort())
  assert.deepEqual(readdirSync(join(file, '..')), ['users'])
})

test('pub is told by an MQTT 5.0 server that it may not, and says so with its exit code', async (context) => {
  const broker = createBroker({ authorize: { publish: () => false } })
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0 })
  const { code, err } = await run('pub', '-p', String(port), '-V', '5', '-q', '1', '-t', 'a', '-m', 'x')
  assert.equal(code, 1)
  assert.match(err, /^Warning: Publish 1 failed: Not authorized\./)
})

test('on a terminal nothing that somebody else has sent is obeyed', () => {
  const evil = '\u001b]0;pwned\u0007a\u009b31m\u202e\tb\nc'
  const message = {
    topic: evil,
    payload: Buffer.concat([Buffer.from(evil), Buffer.of(0x9b, 0xff)]),
    payloadLength: 1,
    qos: 1,
    retain: false,
    packetId: 1,
    properties: { contentType: evil, responseTopic: evil, userProperties: [[evil, evil]] },
  } as unknown as Message
  const print = (format: string | undefined, isTerminal: boolean): string =>
    new MessagePrinter({ format, verbose: true, eol: true, pretty: false, isTerminal }, () => undefined)
      .print(message)
      .toString('utf8')
  const safe = '\\x1b]0;pwned\\x07a\\x9b31m\\u202e\tb\nc'
  assert.equal(print(undefined, true), `${safe} ${safe}\\x9b\\xff\n`)
  assert.equal(print('\\e[1m%t %C %R %P', true), `\u001b[1m${safe} ${safe} ${safe} ${safe}:${safe}\n`)
  const json = print('%j', true)
  assert.equal(json.trimEnd(), safeText(json.trimEnd()))
  assert.equal(JSON.parse(json).topic, evil)
  assert.ok(print(undefined, false).startsWith(`${evil} ${evil}`))
})

test('an empty message is printed as mosquitto_sub does', () => {
  const empty = { topic: 't', payload: new Uint8Array(0), payloadLength: 0, properties: {} } as unknown as Message
  const print = (verbose: boolean, eol: boolean): string =>
    new MessagePrinter({ format: undefined, verbose, eol, pretty: false }, () => undefined).print(empty).toString()
  assert.deepEqual(
    [print(false, true), print(false, false), print(true, true), print(true, false)],
    ['', '', 't (null)\n', ''],
  )
})
