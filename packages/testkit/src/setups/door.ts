/**
 * One way into a broker under test: a port or a unix socket with a protocol, and MQTT.js as whoever knocks.
 *
 * `prober.ts` uses it. The invariant: every knock ends in an answer, a refusal or the end of the connection, or within `boundMs` in an error.
 */
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt'
import { bounded } from '../peers/inbox.ts'

export type Protocol = 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix' | 'psk'

export interface Door {
  readonly protocol: Protocol
  /** 0 for unix sockets. */
  readonly port: number
  /** Path of a unix socket. */
  readonly path: string
  /** PEM: who has signed the broker's certificate. */
  readonly ca: string
}

export interface Login {
  /** Name for people. */
  readonly name: string
  readonly username?: string
  readonly password?: string
  readonly clientId?: string
  /** PEM. */
  readonly cert?: string
  readonly key?: string
  /** Identity and key in hex. */
  readonly psk?: readonly [identity: string, key: string]
}

export type Version = 3 | 4 | 5

/** Client that was let in. */
export interface Guest {
  readonly client: MqttClient
  readonly connack: IConnackPacket
  /** Messages that have come, from the first on. */
  readonly messages: readonly Message[]
}

export interface Message {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
}

export const isGuest = (answer: Guest | string): answer is Guest => typeof answer !== 'string'

let count = 0

function optionsFor(door: Door, login: Login, version: Version, more: IClientOptions): IClientOptions {
  const { username, password, clientId, cert, key, psk } = login
  const options: IClientOptions = {
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: clientId ?? `probe-${process.pid}-${count++}`,
    reconnectPeriod: 0,
    resubscribe: false,
    keepalive: 60,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...more,
  }
  if (door.protocol === 'mqtts' || door.protocol === 'wss' || door.protocol === 'psk') {
    Object.assign(options, { ca: door.ca, cert, key, rejectUnauthorized: true, servername: 'localhost' })
  }
  if (door.protocol === 'wss')
    Object.assign(options, { wsOptions: { ca: door.ca, cert, key, servername: 'localhost' } })
  if (psk !== undefined) {
    Object.assign(options, {
      pskCallback: () => ({ identity: psk[0], psk: Buffer.from(psk[1], 'hex') }),
      checkServerIdentity: () => undefined,
      ciphers: 'PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384',
      maxVersion: 'TLSv1.2',
    })
  }
  return options
}

function urlOf({ protocol, port, path }: Door): string {
  if (protocol === 'unix') return `mqtt+unix://${path}`
  return `${protocol === 'psk' ? 'mqtts' : protocol}://127.0.0.1:${port}`
}

/** Knocks; resolves with who has got in, or with how he was turned away. */
export function knock(door: Door, login: Login, version: Version, more: IClientOptions = {}): Promise<Guest | string> {
  const client = mqtt.connect(urlOf(door), optionsFor(door, login, version, more))
  const messages: Message[] = []
  client.on('message', (topic, payload, { qos, retain }) => {
    messages.push({ topic, payload: payload.toString(), qos, retain })
  })
  const answer = new Promise<Guest | string>((resolve) => {
    client.on('connect', (connack) => resolve({ client, connack, messages }))
    client.on('error', (error) => {
      const { code } = error as { code?: number | string }
      if (typeof code === 'number')
        resolve(`refused with ${code > 127 ? `0x${code.toString(16).toUpperCase()}` : code}`)
      else if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve('not open')
    })
    // What TLS, or the end of a socket, says in many words.
    client.on('close', () => resolve('closed'))
  })
  return bounded(
    answer.then(async (result) => {
      if (!isGuest(result)) await client.endAsync(true)
      return result
    }),
    `an answer of ${urlOf(door)} to ${login.name}`,
  )
}

/** Knocks, leaves again, and says how it went. */
export async function answerTo(door: Door, login: Login, version: Version, more: IClientOptions = {}): Promise<string> {
  const answer = await knock(door, login, version, more)
  if (!isGuest(answer)) return answer
  await answer.client.endAsync(true)
  return 'in'
}

/** Resolves when everything that was sent to the client before now has come. A SUBACK comes whatever it says. */
export async function barrier({ client }: Guest): Promise<void> {
  await bounded(
    client.subscribeAsync(`barrier/${count++}`).catch(() => undefined),
    'SUBACK',
  )
}
