/**
 * Home Assistant's Mosquitto add-on with Recado in its place: the configuration that it makes, its password and ACL
 * files, and a stub for the web server and the Supervisor behind it, which the broker asks about other users.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { type Packet, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { freePort, programPath, temporaryFolder } from './testing/program.ts'

/** Computes a hash as the program `pw` of the add-on does. */
function hashOf(password: string): string {
  const salt = randomBytes(16)
  const hash = pbkdf2Sync(password, salt, 1_000, 32, 'sha512')
  return `PBKDF2$sha512$1000$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** The web server of the add-on, and the Supervisor's users. `enforcesAcl`: of a version whose ACL file counts. */
async function supervisor(
  context: TestContext,
  users: Record<string, string>,
  enforcesAcl: boolean,
): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { username, password } = JSON.parse(text) as Record<string, string>
    asked.push(`${request.url} ${username}`)
    const isInternal = username === 'homeassistant' || username === 'addons'
    const isYes =
      request.url === '/authentication'
        ? users[username!] === password
        : request.url === '/superuser'
          ? !enforcesAcl || isInternal
          : !enforcesAcl
    response.writeHead(isYes ? 200 : request.url === '/authentication' ? 401 : 403).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}

interface Broker {
  readonly child: ChildProcess
  readonly port: number
  out: string
}

interface Addon {
  readonly program: Broker
  readonly asked: string[]
}

/** Starts it as the add-on does, until it says that it runs. */
async function start(context: TestContext, file: string, port: number): Promise<Broker> {
  const child = spawn(process.execPath, [programPath, '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  context.after(() => child.kill('SIGKILL'))
  const broker: Broker = { child, port, out: '' }
  const isOver = once(child, 'close').then(() => true)
  for (const stream of [child.stdout, child.stderr])
    stream!.setEncoding('utf8').on('data', (text: string) => {
      broker.out += text
    })
  while (!/: recado version \S+ running$/m.test(broker.out)) {
    const ended = await Promise.race([isOver, once(child.stdout!, 'data').then(() => false)])
    assert.equal(ended, false, broker.out)
  }
  return broker
}

async function addon(context: TestContext, enforcesAcl: boolean, customize: string | null = null): Promise<Addon> {
  const folder = temporaryFolder(context)
  writeFileSync(
    join(folder, 'pw'),
    `homeassistant:${hashOf('discovery')}\naddons:${hashOf('service')}\nsensor:${hashOf('kitchen')}\n`,
  )
  writeFileSync(
    join(folder, 'acl'),
    enforcesAcl ? 'user sensor\ntopic readwrite sensor/#\n' : 'user homeassistant\nuser addons\nuser sensor\n',
  )
  mkdirSync(join(folder, 'share'))
  writeFileSync(join(folder, 'share', 'own.acl'), 'user homeassistant\ntopic readwrite #\n')
  if (customize !== null) writeFileSync(join(folder, 'share', 'own.conf'), customize.replaceAll('FOLDER', folder))
  const { port: supervisorPort, asked } = await supervisor(context, { ada: 'lovelace', sensor: 'other' }, enforcesAcl)
  const port = await freePort()
  const config = [
    'user root',
    'log_dest stdout',
    'log_type error',
    'log_type warning',
    'log_type notice',
    'log_type information',
    'log_timestamp_format %Y-%m-%d %H:%M:%S',
    'persistence true',
    `persistence_location ${join(folder, 'data')}/`,
    'max_queued_messages 8192',
    'auth_plugin /usr/share/mosquitto/go-auth.so',
    'auth_plugin_deny_special_chars false',
    'auth_opt_backends files,http',
    'auth_opt_hasher pbkdf2',
    'auth_opt_cache true',
    'auth_opt_auth_cache_seconds 300',
    'auth_opt_auth_jitter_seconds 30',
    'auth_opt_acl_cache_seconds 300',
    'auth_opt_acl_jitter_seconds 30',
    'auth_opt_log_level error',
    `auth_opt_files_password_path ${join(folder, 'pw')}`,
    `auth_opt_files_acl_path ${join(folder, 'acl')}`,
    'auth_opt_http_host 127.0.0.1',
    `auth_opt_http_port ${supervisorPort}`,
    'auth_opt_http_getuser_uri /authentication',
    'auth_opt_http_superuser_uri /superuser',
    'auth_opt_http_aclcheck_uri /acl',
    `listener ${port}`,
    'protocol mqtt',
    `listener ${await freePort()}`,
    'protocol websockets',
    ...(customize === null ? [] : [`include_dir ${join(folder, 'share')}`]),
  ]
  const file = join(folder, 'mosquitto.conf')
  writeFileSync(file, `${config.join('\n')}\n`)
  return { program: await start(context, file, port), asked }
}

const connect = ({ port }: Broker, username: string | undefined, password: string) =>
  SocketClient.connect(
    { port },
    {
      clientId: `id-${username}`,
      ...(username === undefined ? {} : { username }),
      password: new TextEncoder().encode(password),
    },
  )

async function next<T extends Packet>(client: SocketClient, type: abstract new (...args: never[]) => T): Promise<T> {
  for (;;) {
    const packet = await client.next<Packet>(Object as never)
    if (packet instanceof type) return packet
  }
}

const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
async function subscribe(client: SocketClient, topicFilter: string): Promise<number> {
  client.send(new Subscribe(1, [{ topicFilter, ...subscription }]))
  return (await next(client, Suback)).reasonCodes[0]!
}
async function publish(client: SocketClient, topic: string): Promise<number> {
  client.send(Publish.of({ topic, payload: new TextEncoder().encode('on'), qos: 1, packetId: 1 }))
  return (await next(client, Puback)).reasonCode
}

test('the add-on’s configuration starts, and says what it has taken', async (context) => {
  const { program } = await addon(context, false)
  const homeassistant = await connect(program, 'homeassistant', 'discovery')
  assert.equal(homeassistant.connack.reasonCode, 0)
  assert.equal(await subscribe(homeassistant, '#'), 0)
  const sensor = await connect(program, 'sensor', 'kitchen')
  assert.equal(await publish(sensor, 'zigbee2mqtt/kitchen'), 0)
  assert.equal((await next(homeassistant, Publish)).topic, 'zigbee2mqtt/kitchen')
  assert.match(program.out, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: .*go-auth\.so is taken for password_file/m)
  assert.match(program.out, /go-auth\.so is taken for the service at http:\/\/127\.0\.0\.1/)
  assert.doesNotMatch(program.out, /has no effect/)
})

test('users of Home Assistant log in by the Supervisor, in whose hands wrong passwords of the file are too', async (context) => {
  const { program, asked } = await addon(context, false)
  assert.equal((await connect(program, 'ada', 'lovelace')).connack.reasonCode, 0)
  assert.equal((await connect(program, 'ada', 'wrong')).connack.reasonCode, 0x87)
  assert.equal((await connect(program, 'nobody', 'x')).connack.reasonCode, 0x87)
  assert.deepEqual(asked, ['/authentication ada', '/authentication ada', '/authentication nobody'])
  assert.equal((await connect(program, 'sensor', 'other')).connack.reasonCode, 0)
  assert.equal((await connect(program, undefined, '')).connack.reasonCode, 0x87)
})

test('where the ACL file counts, it holds for all but the two users of the add-on', async (context) => {
  const { program } = await addon(context, true)
  const homeassistant = await connect(program, 'homeassistant', 'discovery')
  assert.equal(await subscribe(homeassistant, '#'), 0)
  const sensor = await connect(program, 'sensor', 'kitchen')
  assert.equal(await subscribe(sensor, 'sensor/+'), 0)
  assert.equal(await subscribe(sensor, '#'), 0x87)
  assert.equal(await publish(sensor, 'light/set'), 0x87)
  assert.equal(await publish(sensor, 'sensor/kitchen'), 0)
  const ada = await connect(program, 'ada', 'lovelace')
  assert.equal(await publish(ada, 'sensor/kitchen'), 0x87)
})

test('acl_file in the customized folder decides for everybody', async (context) => {
  const { program } = await addon(context, false, 'acl_file FOLDER/share/own.acl\n')
  const sensor = await connect(program, 'sensor', 'kitchen')
  assert.equal(await publish(sensor, 'sensor/kitchen'), 0x87)
})
