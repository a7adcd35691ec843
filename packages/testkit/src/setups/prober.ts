/**
 * Asks a broker what a configuration has made of it: who gets in where and with which version, who may publish and receive what, and what of the
 * odder things (retained messages, QoS, large messages, no Client Identifier, sessions) it takes.
 *
 * `setups.peer.test.ts` asks Mosquitto and us the same and compares. The invariant: what is noted has no port, path or clock in it.
 */
import type { IClientOptions } from 'mqtt'
import { bounded } from '../peers/inbox.ts'
import { answerTo, barrier, type Door, type Guest, isGuest, knock, type Login, type Version } from './door.ts'

export interface Questions {
  readonly doors: Readonly<Record<string, Door>>
  readonly logins: readonly Login[]
  /** Topics for the matrix of rights. */
  readonly topics: readonly string[]
}

/** Questions and observations, by the name of the question. */
export type Observations = Record<string, string>

const versions: readonly Version[] = [3, 4, 5]
const versionName = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

export async function probe({ doors, logins, topics }: Questions): Promise<Observations> {
  const seen: Observations = {}
  for (const [name, door] of Object.entries(doors)) {
    for (const login of logins) {
      for (const version of versions) {
        seen[`${name}: ${login.name} by ${versionName[version]}`] = await answerTo(door, login, version)
      }
    }
    await askRights(name, door, logins, topics, seen)
    const first = await firstGuest(door, logins)
    if (first === null) continue
    await askOddities(name, door, first, seen)
  }
  return seen
}

async function firstGuest(door: Door, logins: readonly Login[]): Promise<Login | null> {
  for (const login of logins) if ((await answerTo(door, login, 5)) === 'in') return login
  return null
}

/** Lets every client that is let in publish to each topic, and notes what each has received. */
async function askRights(
  name: string,
  door: Door,
  logins: readonly Login[],
  topics: readonly string[],
  seen: Observations,
): Promise<void> {
  if (topics.length === 0) return
  const guests: (readonly [Login, Guest])[] = []
  for (const login of logins) {
    const answer = await knock(door, login, 5)
    if (!isGuest(answer)) continue
    guests.push([login, answer])
    for (const topic of topics)
      await bounded(
        answer.client.subscribeAsync(topic).catch(() => undefined),
        'SUBACK',
      )
  }
  for (const [login, { client }] of guests) {
    const may: string[] = []
    for (const topic of topics) {
      const code = await published(client, topic, login.name)
      if (code === 'yes') may.push(topic)
      else if (code !== 'no') may.push(`${topic} (${code})`)
    }
    seen[`${name}: ${login.name} publishes to`] = may.join(', ')
  }
  for (const [login, guest] of guests) {
    await barrier(guest)
    const received = guest.messages.map(({ topic, payload }) => `${topic} of ${payload}`)
    seen[`${name}: ${login.name} receives`] = received.sort().join(', ')
    await guest.client.endAsync(true)
  }
}

/** A publisher is told 0x87 by 5.0. */
async function published(client: Guest['client'], topic: string, payload: string): Promise<string> {
  const ended = new Promise<string>((resolve) => client.once('close', () => resolve('and is disconnected')))
  const answer = client.publishAsync(topic, payload, { qos: 1 }).then(
    () => 'yes',
    (error: { code?: number }) => (error.code === 0x87 ? 'no' : `0x${error.code?.toString(16).toUpperCase()}`),
  )
  return bounded(Promise.race([answer, ended]), `an acknowledgement of ${topic}`)
}

async function askOddities(name: string, door: Door, login: Login, seen: Observations): Promise<void> {
  const note = (what: string, value: string): void => {
    seen[`${name}: ${what}`] = value
  }
  const { clientId: _clientId, ...anybody } = login
  note('no Client Identifier by 3.1.1', await answerTo(door, { ...anybody, clientId: '' }, 4, { clean: true }))
  note(
    'a Client Identifier of 30 characters by 3.1',
    await answerTo(door, { ...login, clientId: login.clientId ?? 'x'.repeat(30) }, 3),
  )
  note('an empty user name', await answerTo(door, { name: 'nobody', username: '' }, 4))
  const guest = await knock(door, login, 5, { keepalive: 600 })
  if (!isGuest(guest)) return
  const { properties = {} } = guest.connack
  note('CONNACK', JSON.stringify([properties.maximumQoS, properties.retainAvailable, properties.serverKeepAlive]))
  await guest.client.endAsync(true)
  note('a retained message', await retained(door, login))
  for (const qos of [0, 1, 2] as const) note(`QoS ${qos}`, await roundTrip(door, login, 'probe/qos', 'x', qos))
  note('3,000 bytes', await roundTrip(door, login, 'probe/large', 'x'.repeat(3000), 1))
  note('while away', await whileAway(door, login))
  note('$SYS/broker/version', await sysVersion(door, login))
}

async function withGuest(
  door: Door,
  login: Login,
  more: IClientOptions,
  ask: (guest: Guest, ended: Promise<string>) => Promise<string>,
  version: Version = 5,
): Promise<string> {
  const guest = await knock(door, login, version, more)
  if (!isGuest(guest)) return guest
  const ended = new Promise<string>((resolve) => {
    guest.client.once('close', () => resolve('disconnected'))
    // Of what is told in DISCONNECT; the end follows.
    guest.client.on('error', () => undefined)
  })
  const result = await bounded(Promise.race([ask(guest, ended), ended]), `an answer to ${login.name}`)
  await guest.client.endAsync(true)
  return result
}

/** Subscribes, publishes, and says with which QoS it has come. */
function roundTrip(door: Door, login: Login, topic: string, payload: string, qos: 0 | 1 | 2): Promise<string> {
  const ask = async (guest: Guest): Promise<string> => {
    const grants = await guest.client.subscribeAsync(topic, { qos: 2 }).catch(() => [])
    if (grants.length === 0) return 'may not subscribe'
    const refused = await guest.client.publishAsync(topic, payload, { qos }).catch((error: Error) => error)
    // One round trip for PUBLISH and PUBREC, one for PUBREL, with which MQTT.js hands a message of QoS 2 on.
    await barrier(guest)
    await barrier(guest)
    const came = guest.messages.map((message) => `comes with QoS ${message.qos}`).join(', ') || 'nothing'
    return `granted ${grants[0]!.qos}, ${came}${refused instanceof Error ? ', refused' : ''}`
  }
  return withGuest(door, login, {}, ask, 4)
}

function retained(door: Door, login: Login): Promise<string> {
  return withGuest(door, login, {}, async (guest) => {
    await guest.client.publishAsync('probe/retained', 'x', { qos: 1, retain: true }).catch(() => undefined)
    await guest.client.subscribeAsync('probe/retained').catch(() => undefined)
    await barrier(guest)
    await guest.client.publishAsync('probe/retained', '', { qos: 1, retain: true }).catch(() => undefined)
    return guest.messages.some(({ retain }) => retain) ? 'is kept' : 'is not kept'
  })
}

/** Returns messages that have come for a session while its client was away, by QoS. */
async function whileAway(door: Door, login: Login): Promise<string> {
  // A Client Identifier that is the login's own cannot be there twice.
  if (login.clientId !== undefined) return 'not asked'
  const sleeper: Login = { ...login, clientId: 'away' }
  const session: IClientOptions = { clean: false }
  const subscribe = async ({ client }: Guest): Promise<string> => {
    await client.subscribeAsync('probe/away', { qos: 1 }).catch(() => undefined)
    return ''
  }
  await withGuest(door, sleeper, session, subscribe, 4)
  await withGuest(door, login, {}, async (guest) => {
    await guest.client.publishAsync('probe/away', 'QoS 0', { qos: 0 })
    await guest.client.publishAsync('probe/away', 'QoS 1', { qos: 1 }).catch(() => undefined)
    await guest.client.publishAsync('probe/away', 'QoS 1 again', { qos: 1 }).catch(() => undefined)
    return ''
  })
  const wake = async (guest: Guest): Promise<string> => {
    await barrier(guest)
    const came = guest.messages.map(({ payload }) => payload).join(', ')
    return `${guest.connack.sessionPresent ? 'the session is there' : 'no session'}, and ${came || 'nothing'}`
  }
  const result = await withGuest(door, sleeper, session, wake, 4)
  await withGuest(door, sleeper, { clean: true }, async () => '', 4)
  return result
}

function sysVersion(door: Door, login: Login): Promise<string> {
  return withGuest(door, login, {}, async (guest) => {
    await guest.client.subscribeAsync('$SYS/broker/version').catch(() => undefined)
    await barrier(guest)
    return guest.messages.length > 0 ? 'is there' : 'is not there'
  })
}
