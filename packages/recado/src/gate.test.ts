/** Bans by a file, and of those who connect too often. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { AuthenticationSource, ConnectDecision, ConnectRequest } from '@recado/broker'
import { SocketClient } from '@recado/broker/testing'
import { Connect, Disconnect } from '@recado/protocol'
import { BanFile, ConnectCounts, Gate, type GateOptions } from './gate.ts'
import { ManualBans } from './manual-bans.ts'
import { freePort, Program, temporaryFolder } from './testing/program.ts'

const BANNED = 0x8a

function request(username: string | undefined, clientId: string, address = '10.0.0.1'): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId,
    ...(username === undefined ? {} : { username }),
  })
  return { connect, clientId, remoteAddress: `${address}:1`, listener: '*:1883', peer: null, identity: null }
}

interface World {
  readonly source: AuthenticationSource
  readonly told: string[]
  nowMs: number
}

/** A gate before a source that lets in all but `eve`. */
function gateWith(options: Partial<GateOptions>): World {
  const world = { nowMs: 1_000_000, told: [] as string[] } as { -readonly [name in keyof World]: World[name] }
  const gate = new Gate({
    limits: { address: 0, clientid: 0, username: 0 },
    banMs: 300_000,
    file: null,
    counts: new ConnectCounts(() => world.nowMs),
    manual: new ManualBans(() => world.nowMs),
    onBan: (text) => world.told.push(text),
    ...options,
  })
  world.source = gate.before({ authenticate: ({ connect }) => connect.username !== 'eve' })
  return world
}

async function codeOf({ source }: World, asked: ConnectRequest): Promise<number> {
  const answer = await source.authenticate(asked)
  if (answer === false) return 0x87
  return answer === true ? 0 : ((answer as ConnectDecision).reasonCode ?? 0)
}

test('an address that connects too often is banned for a while, whatever its logins are', async () => {
  const world = gateWith({ limits: { address: 2, clientid: 0, username: 0 } })
  const codes = []
  for (let i = 0; i < 4; i++) codes.push(await codeOf(world, request('eve', 'c')))
  assert.deepEqual(codes, [0x87, 0x87, BANNED, BANNED])
  assert.equal(await codeOf(world, request('ada', 'c', '10.0.0.2')), 0)
  assert.deepEqual(world.told, ['address 10.0.0.1 has connected more than 2 times within a minute: banned for 300 s'])
  world.nowMs += 299_999
  assert.equal(await codeOf(world, request('ada', 'c')), BANNED)
  world.nowMs += 1
  assert.equal(await codeOf(world, request('ada', 'c')), 0)
})

test('who connects slowly enough is never banned', async () => {
  const world = gateWith({ limits: { address: 2, clientid: 2, username: 2 } })
  for (let i = 0; i < 20; i++) {
    assert.equal(await codeOf(world, request('ada', 'c')), 0)
    world.nowMs += 30_000
  }
})

test('identifiers and users are counted when they have logged in: nobody has another one banned', async () => {
  const world = gateWith({ limits: { address: 0, clientid: 3, username: 3 } })
  for (let i = 0; i < 10; i++) assert.equal(await codeOf(world, request('eve', 'victim')), 0x87)
  for (let i = 0; i < 3; i++) assert.equal(await codeOf(world, request('ada', 'victim')), 0)
  assert.equal(await codeOf(world, request('ada', 'victim')), BANNED)
  assert.equal(await codeOf(world, request('bob', 'victim')), BANNED)
  assert.equal(await codeOf(world, request('ada', 'other')), BANNED)
  assert.equal(await codeOf(world, request('bob', 'other')), 0)
})

async function banFile(context: TestContext, text: string): Promise<{ file: BanFile; write(next: string): void }> {
  const path = join(temporaryFolder(context), 'bans')
  const write = (next: string): void => writeFileSync(path, next)
  write(text)
  return { file: await BanFile.open(path), write }
}

test('a ban file has addresses, networks and names', async (context) => {
  const { file, write } = await banFile(
    context,
    '# comment\naddress 10.1.0.0/16\naddress 2001:db8::/32\nclientid bad-*\nusername mallory\n',
  )
  const world = gateWith({ file })
  for (const [asked, code] of [
    [request('ada', 'c', '10.1.2.3'), BANNED],
    [request('ada', 'c', '::ffff:10.1.2.3'), BANNED],
    [request('ada', 'c', '[2001:db8::1]'), BANNED],
    [request('ada', 'c', '10.2.0.1'), 0],
    [request('ada', 'bad-one'), BANNED],
    [request('mallory', 'c'), BANNED],
    [request('mallory2', 'c'), 0],
    [request(undefined, 'c'), 0],
  ] as const)
    assert.equal(await codeOf(world, asked), code, JSON.stringify(asked))
  write('address nonsense')
  await assert.rejects(file.reload(), { code: 'ERR_RECADO_BAN_FILE', message: /bans:1: the line is not/ })
  assert.equal(file.bansAddress('10.1.2.3'), true)
  for (const line of ['address 10.0.0.0/33', 'address 1.2.3.4/', 'client x', 'username', 'address 1.2.3.4/1/2'])
    await assert.rejects(banFile(context, line), { code: 'ERR_RECADO_BAN_FILE' }, line)
})

test('in the program: too many connects are refused with 0x8A, and SIGHUP disconnects who is banned', async (context) => {
  const path = join(temporaryFolder(context), 'bans')
  writeFileSync(path, '')
  const config = [`ban_file ${path}`, 'max_connects_per_minute_clientid 2', 'ban_duration 60']
  const program = await Program.start(context, await freePort(), config)
  const code = async (clientId: string, username?: string): Promise<number> => {
    const login = username === undefined ? { clientId } : { clientId, username }
    const client = await SocketClient.connect(program, login)
    client.destroy()
    return client.connack.reasonCode
  }
  assert.deepEqual([await code('flap'), await code('flap'), await code('flap'), await code('calm')], [0, 0, BANNED, 0])
  const stays = await SocketClient.connect(program, { clientId: 'bad-1' })
  writeFileSync(path, 'clientid bad-*\n')
  program.child.kill('SIGHUP')
  assert.equal((await stays.next(Disconnect)).reasonCode, 0x98)
  assert.equal(await code('bad-2'), BANNED)
})

test('a ban by hand holds for its time, by each kind of name, and can be ended', () => {
  const world: { nowMs: number } = { nowMs: 1_000 }
  const manual = new ManualBans(() => world.nowMs)
  const gated = gateWith({ manual })
  const isBanned = (...of: Parameters<typeof request>): boolean => {
    const answer = gated.source.authenticate(request(...of))
    return typeof answer === 'object' && (answer as ConnectDecision).reasonCode === BANNED
  }
  manual.ban('clientid', 'noisy', 10, 'ada')
  manual.ban('username', 'bob', 20, 'ada')
  manual.ban('address', '10.0.0.9', 20, 'ada')
  assert.deepEqual(
    [isBanned(undefined, 'noisy'), isBanned('bob', 'x'), isBanned(undefined, 'x', '10.0.0.9'), isBanned('carol', 'x')],
    [true, true, true, false],
  )
  world.nowMs += 10_000
  assert.equal(isBanned(undefined, 'noisy'), false)
  assert.deepEqual(
    manual.list().map(({ kind, name, by }) => [kind, name, by]),
    [
      ['username', 'bob', 'ada'],
      ['address', '10.0.0.9', 'ada'],
    ],
  )
  assert.equal(manual.unban('username', 'bob'), true)
  assert.deepEqual([manual.unban('username', 'bob'), isBanned('bob', 'x')], [false, false])
})
