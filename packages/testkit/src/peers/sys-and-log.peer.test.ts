/**
 * The texts of Debian's Mosquitto 2.0 in `$SYS` and in its log, and ours in the same words (`log_style mosquitto-2.0`):
 * the same clients do the same to both, and the lines are compared one by one.
 *
 * Lines that only one of them has are listed here with the reason.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient, subscriptionTo, will } from '@recado/broker/testing'
import {
  Disconnect,
  Pingreq,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { type BrokerKind, startBroker } from './broker.ts'
import { run } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const skip = skipWithout('mosquitto')
const options = { skip, timeout: testTimeoutMs }
const kinds: readonly BrokerKind[] = ['mosquitto', 'recado']
const version = 4 as const
const ada = { username: 'ada', password: new TextEncoder().encode('x'), protocolVersion: version }

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-peer-log-'))
  // Mosquitto becomes another user.
  chmodSync(folder, 0o777)
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Lines that one of them has, each with its reason. */
const ours: readonly [RegExp, string][] = [
  [/^Data is kept in/, 'where data is kept'],
  [/^Warning: /, 'about the machine and its files'],
  [/^Connections on/, 'how sockets are read'],
  [/^Session of \S+ ended/, 'what becomes of sessions'],
  [/^Protocol error from/, 'why, in our words'],
  [/^Messages for/, 'messages that are dropped for other reasons than room'],
  [/^Saving in-memory database/, 'Mosquitto runs without persistence here'],
  [/^Publishing the (Will|delayed message)/, 'when a Will or a delayed message is published'],
]
const theirs: readonly [RegExp, string][] = [
  [/^Bad client \S+ sending multiple CONNECT/, 'why, in its words'],
  [/^Invalid protocol version/, 'the same'],
]

const without = (lines: readonly string[], patterns: readonly [RegExp, string][]): string[] =>
  lines.filter((line) => !patterns.some(([pattern]) => pattern.test(line)))

const comparable = (line: string): string =>
  line
    .replace(/^(?:mosquitto|recado) version \S+/, 'NAME version V')
    .replace(/^Config loaded from .*/, 'Config loaded from FILE.')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/on port \d+/, 'on port N')
    // That nobody subscribes is known at PUBLISH here, and at PUBREL there.
    .replace(/^(Sending PUBREC .*), rc16\)$/, '$1, rc0)')

/** The log of a broker to which `act` has been done. */
async function logOf(kind: BrokerKind, context: TestContext, act: (rig: Rig) => Promise<void>): Promise<string[]> {
  const folder = folderFor(context)
  const log = join(folder, 'log')
  const [passwords, acl] = [join(folder, 'passwords'), join(folder, 'acl')]
  await run(peerPath('mosquitto_passwd'), ['-b', '-c', passwords, 'ada', 'x'])
  writeFileSync(acl, 'user ada\ntopic readwrite a/#\ntopic read $SYS/#\n')
  for (const file of [passwords, acl]) chmodSync(file, 0o644)
  const broker = await startBroker(kind, {
    config: [
      ...[
        'persistence false',
        'allow_anonymous false',
        `password_file ${passwords}`,
        `acl_file ${acl}`,
        'max_packet_size 200',
      ],
      ...['log_type all', 'log_timestamp false', `log_dest file ${log}`, 'sys_interval 0'],
      ...(kind === 'recado' ? ['log_style mosquitto-2.0'] : []),
    ],
  })
  const read = (): string[] => readFileSync(log, 'utf8').split('\n').slice(0, -1)
  try {
    await act({
      port: broker.port,
      until: async (line) => {
        while (!read().some((each) => line.test(each))) await new Promise((resolve) => setTimeout(resolve, 20))
      },
    })
  } finally {
    await broker.stop()
  }
  // `startBroker` asks whether the port accepts: that is a connection like any other.
  const lines = read()
  const begin = lines.findIndex((line) => /(?:mosquitto|recado) version \S+ running/.test(line))
  return lines.slice(begin + 1)
}

interface Rig {
  readonly port: number
  /** Resolves when such a line has been logged. */
  until(line: RegExp): Promise<void>
}

/** The lines of both, without what only one tells and the probes of `startBroker`. */
async function compare(context: TestContext, act: (rig: Rig) => Promise<void>): Promise<void> {
  const [mosquitto, recado] = await Promise.all(kinds.map((kind) => logOf(kind, context, act)))
  const marked = (lines: string[]): string[] => lines.slice(lines.findIndex((line) => line.includes(' as begin ')) + 1)
  const expected = without(marked(mosquitto!.map(comparable)), theirs)
  assert.deepEqual(without(marked(recado!.map(comparable)), ours), expected)
}

/** Marks the beginning: earlier lines are not compared. */
async function begin({ port }: Rig): Promise<void> {
  const client = await SocketClient.connect({ port }, { ...ada, clientId: 'begin' })
  await leave(client)
}

async function leave(client: SocketClient): Promise<void> {
  client.send(new Disconnect())
  await client.closed()
}

test(
  'connections, subscriptions, messages and their ends are told line by line as by Mosquitto',
  options,
  async (context) => {
    await compare(context, async (rig) => {
      const { port } = rig
      await begin(rig)
      const one = await SocketClient.connect({ port }, { ...ada, clientId: 'one' })
      one.send(new Subscribe(1, [subscriptionTo('a/in/#', { qos: 1 }), subscriptionTo('a/b')]))
      await one.next(Suback)
      one.send(new Unsubscribe(2, ['a/b', 'a/none']))
      await one.next(Unsuback)
      one.send(new Pingreq())
      await one.next(Pingresp)
      const payload = Buffer.from('hello')
      one.send(Publish.of({ topic: 'a/in/x', payload }))
      await one.next(Publish)
      one.send(Publish.of({ topic: 'a/in/x', payload, qos: 1, packetId: 6, retain: true }))
      const { packetId } = await one.next(Publish)
      await one.next(Puback)
      one.send(new Puback(packetId))
      // To nobody: Mosquitto delivers at PUBREL, and we at PUBLISH.
      one.send(Publish.of({ topic: 'a/out', payload, qos: 2, packetId: 7 }))
      await one.next(Pubrec)
      one.send(new Pubrel(7))
      await one.next(Pubcomp)
      one.destroy()
      await rig.until(/^Client one closed its connection/)
      const two = await SocketClient.connect(
        { port },
        { ...ada, protocolVersion: 5, clientId: 'two', will: will({ topic: 'a/will', payload: 'bye', qos: 1 }) },
      )
      two.send(Publish.of({ topic: 'b/forbidden', qos: 1, packetId: 9 }))
      await two.next(Puback)
      two.send(Publish.of({ topic: 'b/forbidden', qos: 2, packetId: 10 }))
      await two.next(Pubrec)
      two.send(new Pubrel(11))
      await two.next(Pubcomp)
      await leave(two)
    })
  },
)

test(
  'refused logins, sessions taken over, silence and broken protocol are told as by Mosquitto',
  options,
  async (context) => {
    await compare(context, async (rig) => {
      const { port } = rig
      await begin(rig)
      for (const protocolVersion of [4, 5] as const) {
        const wrong = { ...ada, protocolVersion, clientId: `wrong${protocolVersion}`, password: Buffer.from('y') }
        const refused = await SocketClient.connect({ port }, wrong)
        await refused.closed()
      }
      const first = await SocketClient.connect({ port }, { ...ada, clientId: 'same' })
      const second = await SocketClient.connect({ port }, { ...ada, clientId: 'same' })
      await first.closed()
      await leave(second)
      const silent = await SocketClient.connect({ port }, { ...ada, clientId: 'silent', keepAliveSeconds: 1 })
      await silent.closed()
      const twice = await SocketClient.connect({ port }, { ...ada, clientId: 'twice' })
      twice.socket.write(Buffer.from('100c00044d5154540402003c0000', 'hex'))
      await twice.closed()
      const large = await SocketClient.connect({ port }, { ...ada, clientId: 'large' })
      large.send(Publish.of({ topic: 'a/large', payload: new Uint8Array(500) }))
      await large.closed()
      const web = await SocketClient.open({ port })
      web.socket.write('GET / HTTP/1.1\r\n\r\n')
      await web.closed()
      const bridge = await SocketClient.open({ port }, 4)
      bridge.socket.write(Buffer.from('101600044d51545484c2003c00026231000361646100017800'.slice(0, 48), 'hex'))
      await rig.until(/^New bridge connected/)
      await leave(bridge)
    })
  },
)

/** Every topic that a subscriber to `$SYS/#` gets, with its text. */
async function sysOf(kind: BrokerKind): Promise<Map<string, string>> {
  const broker = await startBroker(kind, { config: ['sys_interval 1'] })
  const found = new Map<string, string>()
  try {
    const client = await SocketClient.connect(broker, { protocolVersion: 4 })
    client.send(new Subscribe(1, [subscriptionTo('$SYS/#', { qos: 0 })]))
    await client.next(Suback)
    // The second uptime that is not retained: what changes has been published by then.
    for (let updates = 0; updates < 3; ) {
      const message = await client.next(Publish)
      found.set(
        message.topic,
        Buffer.from(message.buffer.subarray(message.payloadStart, message.payloadEnd)).toString(),
      )
      if (message.topic === '$SYS/broker/uptime' && !message.retain) updates++
    }
    client.destroy()
  } finally {
    await broker.stop()
  }
  return found
}

const formOf = (text: string): string =>
  text.replace(/\d+/g, '9').replace(/^(?:mosquitto|recado) version \S+$/, 'version')

test('every $SYS topic of Mosquitto is there, in the same form', options, async () => {
  const [mosquitto, recado] = await Promise.all(kinds.map(sysOf))
  assert.ok(mosquitto!.size >= 50, `${mosquitto!.size} topics`)
  for (const [topic, text] of mosquitto!) {
    assert.ok(recado!.has(topic), topic)
    assert.equal(formOf(recado!.get(topic)!), formOf(text), topic)
  }
  const beside = [...recado!.keys()].filter(
    (topic) => !mosquitto!.has(topic) && !topic.startsWith('$SYS/broker/recado/'),
  )
  // Those that 2.1 has added; the heap where 2.0 was built without memory tracking.
  const added = /^\$SYS\/broker\/(?:connections\/socket|packet\/out|heap)\//
  assert.deepEqual(
    beside.filter((topic) => !added.test(topic)),
    [],
  )
})

test('the health check of containers passes at any time', options, async () => {
  const broker = await startBroker()
  try {
    const check = ['-p', String(broker.port), '-t', '$SYS/#', '-C', '1', '-W', '3']
    for (let round = 0; round < 3; round++) await run(peerPath('mosquitto_sub'), check)
  } finally {
    await broker.stop()
  }
})
