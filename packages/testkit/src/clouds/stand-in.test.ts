/** Stand-ins of clouds enforce what they are there for: tested with a plain client of raw packets. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import {
  Connect,
  type ConnectOptions,
  Decoder,
  encode,
  type Packet,
  type ProtocolVersion,
  Publish,
  Subscribe,
} from '@recado/protocol'
import { Inbox } from '../peers/inbox.ts'
import { awsRules, type CloudRules, emqxRules, eventGridRules, hivemqRules, iotHubRules } from './rules.ts'
import { CloudStandIn } from './stand-in.ts'

const KEY = Buffer.alloc(32, 9).toString('base64')

class RawClient {
  readonly packets = new Inbox<Packet>('packet')
  readonly closed: Promise<unknown>
  readonly #socket: TLSSocket
  readonly #version: ProtocolVersion

  constructor(socket: TLSSocket, version: ProtocolVersion) {
    this.#socket = socket
    this.#version = version
    this.closed = new Promise((resolve) => socket.once('close', resolve))
    const decoder = new Decoder({ role: 'client', protocolVersion: version })
    socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk)
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) this.packets.push(packet)
    })
  }

  send(packet: Packet): void {
    this.#socket.write(encode(packet, this.#version))
  }

  publish(topic: string, options: { qos?: 0 | 1 | 2; retain?: boolean; size?: number } = {}): void {
    const { qos = 1, retain = false, size = 1 } = options
    this.send(Publish.of({ topic, payload: Buffer.alloc(size, 120), qos, retain, packetId: qos === 0 ? 0 : 1 }))
  }

  subscribe(count: number, filter: string, qos: 0 | 1 | 2 = 1): void {
    const options = { qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    this.send(
      new Subscribe(
        2,
        Array.from({ length: count }, (_, i) => ({ topicFilter: count === 1 ? filter : `${filter}/${i}`, ...options })),
      ),
    )
  }
}

async function start(t: TestContext, rules: CloudRules, options = {}): Promise<CloudStandIn> {
  const standIn = await CloudStandIn.start(rules, options)
  t.after(() => standIn.stop())
  return standIn
}

interface Options {
  commonName?: string
  tls?: ConnectionOptions
  connect?: Partial<ConnectOptions>
}

async function open(
  t: TestContext,
  standIn: CloudStandIn,
  { commonName, tls = {}, connect = {} }: Options = {},
): Promise<RawClient> {
  const certificate = commonName === undefined ? {} : standIn.certificateFor(commonName)
  const { cert, key } = certificate as { cert?: string; key?: string }
  const socket = connectTls({
    ...{ port: standIn.port, host: '127.0.0.1', servername: 'localhost', ca: standIn.authority.cert },
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...tls,
  })
  t.after(() => socket.destroy())
  socket.on('error', () => undefined) // 'close' follows
  const version = connect.protocolVersion ?? 4
  const client = new RawClient(socket, version)
  await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), client.closed])
  client.send(
    new Connect({ protocolVersion: version, cleanStart: false, keepAliveSeconds: 60, clientId: 'pi', ...connect }),
  )
  return client
}

/** Connects, plays, and returns the reason why the stand-in has ended the connection. */
async function endedBy(
  t: TestContext,
  standIn: CloudStandIn,
  options: Options,
  play: (client: RawClient) => void = () => undefined,
): Promise<string> {
  const client = await open(t, standIn, options)
  if (play.length > 0) await client.packets.next()
  play(client)
  await client.closed
  return standIn.refusals.pop() ?? ''
}

test('AWS IoT Core: a certificate or no connection; QoS 2, RETAIN, deep topics and large payloads end it', async (t) => {
  const aws = await start(t, awsRules())
  const device = { commonName: 'pi' }
  assert.match(await endedBy(t, aws, {}), /^TLS/)
  const ends = (play: (client: RawClient) => void) => endedBy(t, aws, device, play)
  assert.equal(await ends((client) => client.publish('a', { qos: 2 })), 'QoS 2')
  assert.equal(await ends((client) => client.publish('a', { retain: true })), 'RETAIN without iot:RetainPublish')
  assert.equal(await ends((client) => client.publish('a/b/c/d/e/f/g/h/i')), 'topic with more than 7 slashes')
  assert.equal(await ends((client) => client.publish('x'.repeat(257))), 'topic of more than 256 bytes')
  assert.equal(await ends((client) => client.publish('$SYS/x')), 'reserved topic')
  assert.equal(await ends((client) => client.publish('a', { size: 131_073 })), 'payload of more than 128 kB')
  assert.equal(await ends((client) => client.subscribe(9, 'a')), 'a SUBSCRIBE with more than 8 filters')
  assert.equal(await endedBy(t, aws, { ...device, connect: { isBridge: true } }), 'not MQTT 3.1.1 or 5')
  assert.equal(
    await endedBy(t, aws, { ...device, connect: { keepAliveSeconds: 1_201 } }),
    'keep alive of more than 1200 s',
  )
  const client = await open(t, aws, device)
  assert.equal((await client.packets.next()).type, 2)
  client.publish('$aws/rules/r/a/b/c/d/e/f/g/h')
  assert.equal((await client.packets.next()).type, 4)
  assert.equal((await aws.taken.next()).topic, '$aws/rules/r/a/b/c/d/e/f/g/h')
})

test('AWS IoT Core on port 443 wants its ALPN name', async (t) => {
  const aws = await start(t, awsRules(), { shownPort: 443 })
  assert.equal(await endedBy(t, aws, { commonName: 'pi' }), 'port 443 without ALPN x-amzn-mqtt-ca')
  const client = await open(t, aws, {
    commonName: 'pi',
    tls: { ALPNProtocols: ['x-amzn-mqtt-ca'] },
    connect: { protocolVersion: 5 },
  })
  const connack = await client.packets.next()
  assert.ok(connack.type === 2 && connack.properties.maximumQoS === 1)
  assert.equal((await aws.accepted.next()).tls.alpn, 'x-amzn-mqtt-ca')
})

test('AWS IoT Core drops what comes faster than 100 a second, and keeps a session with what waits', async (t) => {
  const aws = await start(t, awsRules())
  const first = await open(t, aws, { commonName: 'pi' })
  await first.packets.next()
  for (let i = 0; i < 250; i++) first.publish('a', { qos: 0 })
  first.subscribe(1, 'commands/#')
  assert.equal((await first.packets.next()).type, 9)
  assert.ok(aws.throttled > 0, `${aws.throttled}`)
  aws.cut()
  await first.closed
  aws.publish('commands/x', Buffer.from('go'))
  const second = await open(t, aws, { commonName: 'pi' })
  const connack = await second.packets.next()
  assert.ok(connack.type === 2 && connack.sessionPresent)
  const waited = await second.packets.next()
  assert.ok(waited.type === 3 && waited.topic === 'commands/x')
})

const HUB = 'contoso.azure-devices.net'
function token(expirySeconds: number, key = KEY, resource = `${HUB}/devices/pi`): string {
  const sr = encodeURIComponent(resource)
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${sr}\n${expirySeconds}`).digest('base64')
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(signature)}&se=${expirySeconds}`
}

test('Azure IoT Hub: the token must be right, and when it expires the connection ends', async (t) => {
  const hub = await start(t, iotHubRules(HUB, 'pi', KEY), { host: HUB })
  const soon = Math.floor(Date.now() / 1000) + 3_600
  const login = (password: string, more: Partial<ConnectOptions> = {}): Options => ({
    tls: { servername: HUB },
    connect: { username: `${HUB}/pi/?api-version=2021-04-12`, password: Buffer.from(password), ...more },
  })
  const other = Buffer.alloc(32, 1).toString('base64')
  assert.equal(await endedBy(t, hub, login(token(soon, other))), 'a token with a wrong signature')
  assert.equal(await endedBy(t, hub, login(token(1_000))), 'a token that has expired')
  assert.equal(await endedBy(t, hub, login(token(soon, KEY, `${HUB}/devices/x`))), `a token for ${HUB}/devices/x`)
  assert.equal(await endedBy(t, hub, login('secret')), 'no shared access signature')
  assert.equal(await endedBy(t, hub, login(token(soon), { clientId: 'x' })), 'no device x')
  assert.equal(await endedBy(t, hub, login(token(soon), { username: `${HUB}/pi` })), `user name ${HUB}/pi`)
  assert.equal(await endedBy(t, hub, login(token(soon), { protocolVersion: 5 })), 'not MQTT 3.1.1')
  const ends = (play: (client: RawClient) => void) => endedBy(t, hub, login(token(soon)), play)
  assert.equal(await ends((client) => client.publish('sensors/a')), 'topic sensors/a')
  assert.equal(await ends((client) => client.publish('devices/pi/messages/events/a/b')), 'property bag a/b')
  assert.equal(await ends((client) => client.subscribe(1, 'commands/#')), 'topic filter commands/#')
  // Whole seconds: within two of them it has expired.
  const short = await open(t, hub, login(token(Math.floor(Date.now() / 1000) + 2)))
  assert.equal((await short.packets.next()).type, 2)
  await short.closed
  assert.equal(hub.refusals.pop(), 'its token has expired')
  const client = await open(t, hub, login(token(soon)))
  await client.packets.next()
  client.subscribe(1, 'devices/pi/messages/devicebound/#', 2)
  const suback = await client.packets.next()
  assert.ok(suback.type === 9 && suback.reasonCodes[0] === 1, 'QoS 2 is granted as 1')
  client.publish('devices/pi/messages/events/topic=a%2Fb&x=')
  assert.equal((await client.packets.next()).type, 4)
})

test('Azure Event Grid: the name in the certificate is the user name; RETAIN and QoS 2 end the connection', async (t) => {
  const grid = await start(t, eventGridRules('pi-7'))
  const login = (more: Partial<ConnectOptions> = {}): Options => ({
    ...{ commonName: 'pi-7', connect: { username: 'pi-7', protocolVersion: 5, ...more } },
  })
  assert.match(await endedBy(t, grid, { ...login(), commonName: 'pi-8' }), /^authentication name/)
  assert.match(await endedBy(t, grid, login({ keepAliveSeconds: 1_161 })), /^keep alive/)
  assert.equal(await endedBy(t, grid, login(), (client) => client.publish('a', { retain: true })), 'RETAIN')
  assert.equal(await endedBy(t, grid, login(), (client) => client.publish('a', { qos: 2 })), 'QoS 2')
  assert.equal(await endedBy(t, grid, login(), (client) => client.subscribe(1, '$share/g/a')), 'shared subscription')
  const client = await open(t, grid, login())
  const connack = await client.packets.next()
  assert.ok(connack.type === 2 && connack.properties.maximumPacketSize === 524_288)
})

test('HiveMQ Cloud and EMQX want a login and a server name; only EMQX knows the bit of a bridge', async (t) => {
  const login = { username: 'pi', password: Buffer.from('s3cret') }
  for (const rules of [hivemqRules('pi', 's3cret'), emqxRules('pi', 's3cret')]) {
    const cloud = await start(t, rules)
    assert.match(await endedBy(t, cloud, { connect: { ...login, password: Buffer.from('x') } }), /^a wrong user name/)
    const noName: ConnectionOptions = { servername: '', checkServerIdentity: () => undefined }
    assert.match(await endedBy(t, cloud, { tls: noName, connect: login }), /^no server name/)
    assert.match(
      await endedBy(t, cloud, { connect: login }, (client) => client.publish('$SYS/x')),
      /^topic that begins/,
    )
    const bridge = await open(t, cloud, { connect: { ...login, isBridge: true } })
    const connack = await bridge.packets.next()
    assert.ok(connack.type === 2)
    assert.equal(connack.reasonCode, rules.name === 'EMQX' ? 0 : 1)
  }
})
