/* `recado inspect`, `export`, `import` and `backup`: on a data folder at rest, and beside a running broker. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { lmdb, type StoredRecord, writeContents } from '@recado/broker'
import { main } from '../main.ts'
import { freePort, Program, printed, run, runWith, TestIo, temporaryFolder } from '../testing/program.ts'
import { headerText, parseRecord, recordText } from './contents-json.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const records: StoredRecord[] = [
  {
    kind: 'session',
    clientId: 'alice',
    expirySeconds: 0xffff_ffff,
    disconnectedAtMs: Date.parse('2026-01-02T03:04:05.678Z'),
    subscriptions: [
      { topicFilter: 'a/#', qos: 2, noLocal: true, retainAsPublished: false, subscriptionIdentifier: 7 },
      { topicFilter: '$share/g/ü', qos: 0, noLocal: false, retainAsPublished: true, subscriptionIdentifier: 0 },
    ],
    receivedPacketIds: [3, 65_535],
    will: {
      topic: 'gone',
      qos: 1,
      retain: true,
      payload: bytes(0xff, 0),
      properties: { messageExpiryIntervalSeconds: 9, contentType: 'x' },
      delaySeconds: 60,
      dueAtMs: Date.parse('2026-01-02T03:05:05.678Z'),
      leftBy: { username: 'ada', listener: '1883', grants: { publish: ['gone'], subscribe: [] } },
    },
    owner: 'ada',
  },
  {
    kind: 'session',
    clientId: 'b\u001b[31mob',
    expirySeconds: 60,
    disconnectedAtMs: null,
    subscriptions: [],
    receivedPacketIds: [],
    will: null,
    owner: null,
  },
  {
    kind: 'will',
    clientId: 'carol',
    topic: 'gone/carol',
    qos: 0,
    retain: true,
    payload: text('gone'),
    properties: {},
    delaySeconds: 0,
    dueAtMs: null,
    leftBy: { listener: '1883', grants: null },
  },
  {
    kind: 'message',
    topic: 'a/1',
    qos: 2,
    retain: false,
    payload: text('{"ü": "\u0000\ufeff"}\n'),
    properties: {
      payloadFormatIndicator: 1,
      responseTopic: 'r',
      correlationData: bytes(1, 0x80),
      userProperties: [['k', 'v']],
    },
    expiresAtMs: Date.parse('2126-01-01T00:00:00.001Z'),
    recipients: [
      { clientId: 'alice', qos: 2, retain: true, subscriptionIdentifiers: [7, 9], packetId: 5, awaits: 'PUBREC' },
      { clientId: 'b\u001b[31mob', qos: 0, retain: false, subscriptionIdentifiers: [], packetId: 0, awaits: null },
    ],
  },
  {
    kind: 'message',
    topic: 'a/2',
    qos: 1,
    retain: false,
    payload: bytes(0xc3, 0x28, 10, 13),
    properties: {},
    expiresAtMs: null,
    recipients: [{ clientId: 'alice', qos: 1, retain: false, subscriptionIdentifiers: [], packetId: 0, awaits: null }],
  },
  { kind: 'retained', topic: 'r/1', qos: 1, retain: true, payload: text('on'), properties: {}, expiresAtMs: null },
  { kind: 'retained', topic: 'r/2', qos: 0, retain: true, payload: text(''), properties: {}, expiresAtMs: 1 },
]

async function folderWith(context: TestContext, contents: readonly StoredRecord[] = records): Promise<string> {
  const path = join(temporaryFolder(context), 'data')
  const store = await lmdb({ path })
  await writeContents(store, contents)
  await store.close()
  return path
}

test('export, import, export gives the same lines', async (context) => {
  const folder = await folderWith(context)
  const exported = await printed('export', folder, '-')
  assert.equal(exported.split('\n')[0], headerText)
  assert.equal(exported.trimEnd().split('\n').length, 1 + records.length)
  const second = join(folder, '..', 'second')
  const { code, out, err } = await runWith(exported, 'import', second, '-')
  assert.deepEqual([code, out, err], [0, '', `7 records in ${second}\n`])
  assert.equal(statSync(second).mode & 0o777, 0o700)
  assert.equal(await printed('export', second, '-'), exported)
  const file = join(folder, '..', 'lines')
  assert.equal((await run('export', second, file)).err, `7 records in ${file} (1.7 KiB)\n`)
  assert.equal(readFileSync(file, 'utf8'), exported)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal((await run('import', join(folder, '..', 'third'), file)).code, 0)
  assert.equal(await printed('export', join(folder, '..', 'third'), '-'), exported)
})

test('a record is a line of JSON that says the same', () => {
  for (const record of records) {
    const line = recordText(record)
    assert.ok(!line.includes('\n'))
    assert.equal(recordText(parseRecord(line)), line)
  }
  assert.match(recordText(records[3]!), /"payload":"\{\\"ü\\": \\"\\u0000\ufeff\\"\}\\n"/)
  assert.match(recordText(records[4]!), /"payloadBase64":"wygKDQ=="/)
})

test('an import that goes wrong names the line and leaves no data', async (context) => {
  const folder = join(temporaryFolder(context), 'data')
  const session = recordText(records[1]!)
  const refused = async (lines: string[], message: string): Promise<void> => {
    const { code, err } = await runWith(lines.join('\n'), 'import', folder, '-')
    assert.equal(code, 1)
    assert.equal(err, `recado import: ${message}\n`)
    assert.ok(!existsSync(folder))
  }
  await refused([], 'stdin is empty: it is not an export of recado')
  await refused(['{"kind":"session"}'], 'stdin:1: this is not an export of recado')
  await refused(
    ['{"kind":"header","format":"recado-export","version":2}'],
    'stdin:1: this export has version 2; this program knows 1',
  )
  await refused(
    [headerText, '{"kind":"thing"}'],
    'stdin:2: kind is "thing"; it must be session, will, message, retained or delayed',
  )
  await refused([headerText, session, session], 'stdin:3: the session "b\u001b[31mob" exists already')
  await refused(
    [headerText, session.replace('60', '-1')],
    'stdin:2: expirySeconds must be a whole number from 0 to 4294967295',
  )
  await refused([headerText, session.replace('"clientId"', '"x":1,"clientId"')], 'stdin:2: x means nothing here')
  await refused([headerText, recordText(records[4]!)], 'stdin:2: a message waits for "alice", which has no session')
  const retained = '{"kind":"retained","topic":"a","qos":0,"retain":true'
  await refused([headerText, `${retained.replace('"a"', '"a/#"')}}`], 'stdin:2: "a/#" is not a Topic Name')
  await refused(
    [headerText, `${retained},"payloadBase64":"a"}`],
    'stdin:2: payloadBase64 must be Base64, and without payload beside it',
  )
  await refused(
    [headerText, `${retained},"expiresAt":"soon"}`],
    'stdin:2: expiresAt must be a time such as 2026-01-31T12:00:00.000Z, or null',
  )
  const noFile = await run('import', folder, join(folder, '..'))
  assert.match(noFile.err, /^recado import: \S+ is a folder: name the file that recado export has written/)
  const { err } = await runWith(`${headerText}\n{"kind":`, 'import', folder, '-')
  assert.match(err, /^recado import: stdin:2: this is not JSON: /)
})

test('import takes an empty folder only, and one where an import was killed', async (context) => {
  const folder = await folderWith(context)
  const exported = await printed('export', folder, '-')
  const { code, err } = await runWith(exported, 'import', folder, '-')
  assert.deepEqual([code, err], [1, `recado import: ${folder} is not empty: import into a new folder\n`])
  const killed = join(folder, '..', 'killed')
  mkdirSync(join(killed, 'import.part-4194305'), { recursive: true })
  writeFileSync(join(killed, 'import.part-4194305', 'recado.mdb'), 'half of it')
  assert.equal((await runWith(exported, 'import', killed, '-')).code, 0)
  assert.equal(await printed('export', killed, '-'), exported)
  assert.ok(!existsSync(join(killed, 'import.part-4194305')))
})

test('inspect shows sessions, what waits for them, and retained messages', async (context) => {
  const folder = await folderWith(context)
  const lines = (await printed('inspect', folder)).split('\n')
  assert.match(lines[0] ?? '', /^\/.*\/data: [\d.]+ KiB on disk$/)
  assert.match(lines[2] ?? '', /^CLIENT ID +AWAY SINCE +EXPIRES +SUBS +QUEUED +BYTES +IN FLIGHT +RECEIVED +WILL$/)
  assert.match(lines[3] ?? '', /^alice +2026-01-02 03:04:05 +never +2 +2 +\d+ +1 +2 +yes$/)
  // What a client chose cannot reach the terminal.
  assert.match(lines[4] ?? '', /^b\\x1b\[31mob +connected +60 s later +0 +1 +\d+ +0 +0 +-$/)
  assert.match(lines[5] ?? '', /^2 sessions, 3 messages waiting \(\d+ B\), 1 in flight$/)
  assert.match(lines[7] ?? '', /^WILL OF +TOPIC +QOS +BYTES$/)
  assert.match(lines[8] ?? '', /^carol +gone\/carol +0 +4$/)
  assert.equal(lines[9], '1 Will of clients without a session')
  assert.match(lines[12] ?? '', /^r\/1 +1 +2 +never$/)
  assert.match(lines[13] ?? '', /^r\/2 +0 +0 +expired$/)
  assert.equal(lines[14], '2 retained messages (8 B)')
})

test('inspect --json is one document with everything but payloads', async (context) => {
  const folder = await folderWith(context)
  const out = await printed('inspect', '--json', folder)
  const { folder: path, sessions, retained, totals } = JSON.parse(out)
  assert.equal(path, folder)
  assert.equal(sessions.length, 2)
  assert.equal(sessions[0].clientId, 'alice')
  assert.equal(sessions[0].queue.messages, 2)
  assert.equal(sessions[0].queue.inflight, 1)
  assert.equal(sessions[0].subscriptions[0].topicFilter, 'a/#')
  assert.equal(sessions[0].will.topic, 'gone')
  assert.deepEqual(retained[0], { topic: 'r/1', qos: 1, retain: true, expiresAt: null, payloadBytes: 2 })
  assert.deepEqual([totals.sessions, totals.messages, totals.inflight, totals.retained], [2, 3, 1, 2])
  assert.ok(!out.includes('"payload"') && !out.includes('payloadBase64'))
  const empty = await printed('inspect', '--json', await folderWith(context, []))
  assert.deepEqual(JSON.parse(empty).sessions, [])
})

test('inspect shows the first rows of a long table, and all with --all', async (context) => {
  const many: StoredRecord[] = []
  for (let i = 0; i < 70; i++) {
    many.push({ ...records[5]!, topic: `topic/${i}` } as StoredRecord)
  }
  const folder = await folderWith(context, many)
  const short = await printed('inspect', folder)
  assert.match(short, /^topic\/49 /m)
  assert.ok(!short.includes('topic/50'))
  assert.match(short, /^\.\.\. and 20 more: --all$/m)
  const all = await printed('inspect', '--all', folder)
  assert.match(all, /^topic\/69 +1 +2 +never$/m)
  assert.ok(!all.includes('more:'))
})

test('the folder is also found by the configuration of the broker', async (context) => {
  const folder = await folderWith(context)
  const config = join(folder, '..', 'recado.conf')
  writeFileSync(config, `persistence_location ${folder}\n`)
  assert.match(await printed('inspect', '-c', config), /^2 sessions/m)
  assert.equal((await run('backup', join(folder, '..', 'b'), '-c', config)).code, 0)
  writeFileSync(config, 'persistence false\n')
  const { err } = await run('inspect', '-c', config)
  assert.equal(
    err,
    `recado inspect: ${config}: with this configuration nothing is kept, so there is no data folder to read\n`,
  )
})

test('what is wrong is one line and exit code 1', async (context) => {
  const folder = temporaryFolder(context)
  const line = async (...argv: string[]): Promise<string> => {
    const { code, out, err } = await run(...argv)
    assert.deepEqual([code, out], [1, ''])
    assert.equal(err.split('\n').length, 2, err)
    return err
  }
  assert.equal(
    await line('inspect', folder),
    `recado inspect: there is no data in ${folder} (no ${folder}/recado.mdb): name the broker's data folder\n`,
  )
  assert.match(await line('inspect', '--jsn', folder), /unknown option "--jsn", did you mean "--json"\?/)
  assert.equal(await line('export', folder), 'recado export: FILE missing, see recado export --help\n')
  assert.equal(await line('export'), 'recado export: FOLDER and FILE missing, see recado export --help\n')
  assert.match(await line('backup', 'a', 'b'), /"b" is one argument too many/)
  assert.match(await line('backup', 'a', '--data'), /--data needs a value/)
  assert.match(await line('import', join(folder, 'new'), '/nowhere/lines'), /no such file/)
  const data = await folderWith(context)
  assert.match(
    await line('backup', join(folder, 'missing', 'b'), '--data', data),
    /recado backup: cannot write .*missing/,
  )
  assert.match(await line('export', data, data), /exists already: choose another name/)
  assert.match(await line('export', data, '/nowhere/lines'), /no such file or directory/)
  writeFileSync(join(folder, 'recado.mdb'), 'this is not what LMDB has written')
  assert.match(await line('inspect', folder), /recado\.mdb: it is damaged/)
})

test('each tool has a help text', async () => {
  for (const command of ['inspect', 'export', 'import', 'backup']) {
    const help = await printed(command, '--help')
    assert.match(help, new RegExp(`^recado ${command}: `))
    for (const line of help.split('\n')) assert.ok(line.length <= 130, line)
  }
})

test('on a terminal long work shows how far it has come, and wipes it away', async (context) => {
  const folder = await folderWith(context)
  const io = new TestIo(true)
  const header = `${headerText}\n`
  const lines = Array.from({ length: 5_000 }, (_, i) => recordText({ ...records[5]!, topic: `t/${i}` } as StoredRecord))
  const imported = main(['import', join(folder, '..', 'new'), '-'], io)
  io.stdin.write(header)
  // As slow as it takes: a piece whenever the last one has had its effect, until something is shown.
  const feed = setInterval(() => io.stdin.write(`${lines.splice(0, 300).join('\n')}\n`), 30)
  context.after(() => clearInterval(feed))
  await io.until(() => /\r\x1b\[K[\d,]+ lines read/.test(io.err))
  clearInterval(feed)
  io.stdin.end(lines.join('\n'))
  assert.equal(await imported, 0)
  assert.match(io.err, /\r\x1b\[K5,000 records in \/.*\n$/)
})

test('beside a running broker: inspect, export, and a backup that a broker starts from', async (context) => {
  const root = temporaryFolder(context)
  const port = await freePort()
  const config = [`persistence_location ${root}/data`]
  const broker = await Program.start(context, port, config)
  const at = ['-p', String(port)]
  await printed('sub', ...at, '-c', '-i', 'sleeper', '-t', 't/#', '-q', '1', '-E')
  for (const payload of ['one', 'two']) await printed('pub', ...at, '-t', 't/x', '-m', payload, '-q', '1')
  await printed('pub', ...at, '-t', 'kept', '-m', 'retained', '-q', '1', '-r')
  assert.match(await printed('inspect', `${root}/data`), /^sleeper +\S+ \S+ +in 30 d +1 +2 +12 +0 +0 +-$/m)
  const { code, err } = await run('backup', `${root}/copy.mdb`, '--data', `${root}/data`)
  assert.equal(code, 0, err)
  assert.match(err, /\/data as it was now is in \/.*\/copy\.mdb \([\d.]+ KiB\)\n$/)
  const exported = await printed('export', `${root}/data`, '-')
  assert.match(exported, /"payload":"two"/)
  await printed('pub', ...at, '-t', 't/x', '-m', 'three', '-q', '1')
  assert.match(await printed('inspect', `${root}/data`), /^1 session, 3 messages waiting/m)
  await broker.stop('SIGTERM')

  mkdirSync(`${root}/restored`, { mode: 0o700 })
  cpSync(`${root}/copy.mdb`, `${root}/restored/recado.mdb`)
  await runWith(exported, 'import', `${root}/imported`, '-')
  for (const folder of ['restored', 'imported']) {
    const again = await Program.start(context, port, [`persistence_location ${root}/${folder}`])
    const sub = ['sub', ...at, '-c', '-i', 'sleeper', '-t', 't/#', '-q', '1', '-C', '2', '-W', '20']
    assert.equal(await printed(...sub), 'one\ntwo\n')
    assert.equal(await printed('sub', ...at, '-t', 'kept', '-C', '1', '-W', '20'), 'retained\n')
    await again.stop('SIGTERM')
  }
})

test('--json reports the result of a tool as an object', async (context) => {
  const folder = temporaryFolder(context)
  const lines = join(folder, 'lines')
  writeFileSync(lines, '{"kind":"header","format":"recado-export","version":1}\n')
  const data = join(folder, 'data')
  assert.deepEqual(JSON.parse(await printed('import', '--json', data, lines)), { folder: data, records: 0 })
  const again = join(folder, 'again')
  const exported = JSON.parse(await printed('export', '--json', data, again))
  assert.deepEqual(exported, { file: again, bytes: statSync(again).size, damagedRows: 0, records: 0 })
  const copy = join(folder, 'copy')
  const copied = JSON.parse(await printed('backup', '--json', '--data', data, copy))
  assert.deepEqual(copied, { folder: data, file: copy, bytes: statSync(copy).size })
})
