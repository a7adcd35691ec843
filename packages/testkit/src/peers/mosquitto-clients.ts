/**
 * mosquitto_sub and mosquitto_pub as a peer: each client is a process with the flags an operator would type.
 *
 * With subscriptions a client is a mosquitto_sub, whose `-d` output tells when it is subscribed and whose `-F` output
 * is parsed here; without, it is a mosquitto_pub -l, which stays connected until its standard input ends. `publish` is
 * a mosquitto_pub of its own. They cannot subscribe, unsubscribe or disconnect at will, and a mosquitto_sub that loses
 * its connection connects again after a second, so takeover and unsubscribe have tests of their own.
 */
import { uniqueClientId } from './agent.ts'
import { Child, run } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { Inbox } from './inbox.ts'
import type {
  Closed,
  IncomingMessage,
  MessageProperties,
  OpenOptions,
  OutgoingMessage,
  Peer,
  PeerClient,
  ProtocolVersion,
  Subscription,
} from './peer.ts'

export interface MosquittoPeer extends Peer {
  open(options: OpenOptions): Promise<MosquittoClient>
}

export const mosquittoClients: MosquittoPeer = {
  name: 'mosquitto_pub and mosquitto_sub',
  versions: [3, 4, 5],
  features: new Set(['subscriptionIdentifiers']),
  skip: skipWithout('mosquitto_pub', 'mosquitto_sub'),
  async prepare() {},
  async cleanUp() {},
  async open(options) {
    return await MosquittoClient.open(options)
  },
}

/** `-V` as the three clients spell it. */
export function versionFlag(version: ProtocolVersion): string {
  return version === 3 ? 'mqttv31' : version === 4 ? 'mqttv311' : 'mqttv5'
}

/** Host, port and version, for all three clients. */
export function connectionFlags(port: number, version: ProtocolVersion): string[] {
  return ['-h', '127.0.0.1', '-p', String(port), '-V', versionFlag(version)]
}

// The tab separates: none of the topics and properties in these tests has one.
const format = 'message\t%q\t%r\t%x\t%t\t%E\t%C\t%R\t%D\t%P\t%S'

export class MosquittoClient implements PeerClient {
  readonly sessionPresent: boolean | null = null
  readonly assignedClientId: string | null = null
  granted: readonly number[] = []
  readonly closed: Promise<Closed>
  readonly #options: OpenOptions
  readonly #isSubscriber: boolean
  readonly #child: Child
  readonly #messages: Inbox<IncomingMessage>
  readonly #ready: Inbox<readonly number[]>
  #resolveClosed: (closed: Closed) => void = () => {}
  #connects = 0

  static async open(options: OpenOptions): Promise<MosquittoClient> {
    const client = new MosquittoClient(options)
    try {
      client.granted = await client.#ready.next()
      return client
    } catch (error) {
      await client.kill()
      throw error
    }
  }

  constructor(options: OpenOptions) {
    this.#options = options
    const subscriptions = options.subscriptions ?? []
    this.#isSubscriber = subscriptions.length > 0
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    const program = this.#isSubscriber ? 'mosquitto_sub' : 'mosquitto_pub'
    const args = [...sessionFlags(options), '-d']
    if (this.#isSubscriber) args.push(...subscriptionFlags(subscriptions), '-F', format)
    else args.push('-l', '-t', 'peer/unused')
    // Their debug output is block-buffered into a pipe; without stdbuf "Subscribed" would come with the first message.
    this.#child = new Child('stdbuf', ['-oL', peerPath(program), ...args], { onLine: (line) => this.#onLine(line) })
    const describe = (): string => this.#child.describe()
    this.#messages = new Inbox('message', describe)
    this.#ready = new Inbox(this.#isSubscriber ? 'SUBACK' : 'CONNACK', describe)
    const onEnd = (): void => {
      const error = new Error(`the client's process has ended\n${describe()}`)
      this.#messages.fail(error)
      this.#ready.fail(error)
      this.#resolveClosed({ reasonCode: null })
    }
    this.#child.exited.then(onEnd, onEnd)
  }

  next(): Promise<IncomingMessage> {
    return this.#messages.next()
  }

  /** Publishes by a mosquitto_pub of its own; these programs do one thing each. */
  async publish(message: OutgoingMessage): Promise<void> {
    await mosquittoPub(this.#options.port, this.#options.version, message)
  }

  subscribe(): Promise<readonly number[]> {
    throw new Error('mosquitto_sub subscribes when it starts')
  }

  unsubscribe(): Promise<void> {
    throw new Error('mosquitto_sub unsubscribes when it starts')
  }

  async disconnect(): Promise<void> {
    if (!this.#isSubscriber) {
      this.#child.endInput()
      await this.#child.wait()
      return
    }
    // MQTT 5: this is DISCONNECT with Reason Code 0x04, Disconnect with Will Message; no such subscriber here has a
    // Will.
    await this.terminate()
  }

  async kill(): Promise<void> {
    // It may be stopped (`pause`); SIGKILL works all the same.
    await this.#child.stop('SIGKILL')
  }

  /**
   * Sends SIGTERM, on which mosquitto_sub sends DISCONNECT: over MQTT 5 with Reason Code 0x04, Disconnect with Will
   * Message. It does so in the signal handler itself, and can block itself for ever when the signal comes while it
   * holds its own lock; so it is killed when it does not end soon. No test here can tell the two endings apart.
   */
  async terminate(): Promise<void> {
    const kill = setTimeout(() => this.#child.signal('SIGKILL'), 2000)
    await this.#child.stop('SIGTERM')
    clearTimeout(kill)
  }

  /** Stops the process where it is, so that it does not notice what the broker does to its connection… */
  pause(): void {
    this.#child.signal('SIGSTOP')
  }

  /** …and lets it run on. */
  resume(): void {
    this.#child.signal('SIGCONT')
  }

  #onLine(line: string): void {
    if (line.startsWith('message\t')) {
      this.#messages.push(parseMessage(line))
    } else if (line.startsWith('Subscribed (mid: ')) {
      this.#ready.push(
        line
          .slice(line.indexOf('): ') + 3)
          .split(', ')
          .map(Number),
      )
    } else if (line.includes(' received CONNACK (')) {
      if (!this.#isSubscriber) this.#ready.push([])
    } else if (line.endsWith(' sending CONNECT') && ++this.#connects === 2) {
      // It has lost its connection and tries again: it shows no more of that.
      this.#resolveClosed({ reasonCode: null })
    }
  }
}

/** Publishes one message and waits for the exit code, which is 0 only when it was acknowledged as its QoS asks. */
export async function mosquittoPub(port: number, version: ProtocolVersion, message: OutgoingMessage): Promise<void> {
  const args = [...connectionFlags(port, version), '-t', message.topic, '-q', String(message.qos ?? 0)]
  if (message.retain === true) args.push('-r')
  const properties = message.properties ?? {}
  const define = (name: string, ...values: string[]): void => {
    args.push('-D', 'publish', name, ...values)
  }
  if (properties.messageExpiryInterval !== undefined) {
    define('message-expiry-interval', String(properties.messageExpiryInterval))
  }
  if (properties.contentType !== undefined) define('content-type', properties.contentType)
  if (properties.responseTopic !== undefined) define('response-topic', properties.responseTopic)
  if (properties.correlationData !== undefined) {
    define('correlation-data', Buffer.from(properties.correlationData).toString('latin1'))
  }
  for (const [key, value] of properties.userProperties ?? []) define('user-property', key, value)
  // -s reads the payload, any bytes and any size; an empty one has a flag of its own.
  args.push(message.payload.length === 0 ? '-n' : '-s')
  await run(peerPath('mosquitto_pub'), args, { input: message.payload })
}

function sessionFlags(options: OpenOptions): string[] {
  const { version, will } = options
  const args = [...connectionFlags(options.port, version), '-i', options.clientId ?? uniqueClientId()]
  if (options.clean === false) args.push('-c')
  if (options.sessionExpirySeconds !== undefined && version === 5) args.push('-x', String(options.sessionExpirySeconds))
  if (options.keepAliveSeconds !== undefined) args.push('-k', String(options.keepAliveSeconds))
  if (options.receiveMaximum !== undefined)
    args.push('-D', 'connect', 'receive-maximum', String(options.receiveMaximum))
  if (will !== undefined) {
    args.push('--will-topic', will.topic, '--will-payload', String(will.payload), '--will-qos', String(will.qos ?? 0))
    if (will.retain === true) args.push('--will-retain')
  }
  return args
}

function subscriptionFlags(subscriptions: readonly Subscription[]): string[] {
  // One QoS and one Subscription Identifier for all of them: the program offers no more.
  const args = ['-q', String(Math.max(...subscriptions.map((subscription) => subscription.qos ?? 0)))]
  for (const { filter, subscriptionIdentifier } of subscriptions) {
    args.push('-t', filter)
    if (subscriptionIdentifier !== undefined) {
      args.push('-D', 'subscribe', 'subscription-identifier', String(subscriptionIdentifier))
    }
  }
  return args
}

function parseMessage(line: string): IncomingMessage {
  const [
    ,
    qos = '',
    retain = '',
    payload = '',
    topic = '',
    expiry = '',
    contentType = '',
    responseTopic = '',
    ...rest
  ] = line.split('\t')
  const [correlation = '', users = '', identifiers = ''] = rest
  const properties: MessageProperties = {}
  if (expiry !== '') properties.messageExpiryInterval = Number(expiry)
  if (contentType !== '') properties.contentType = contentType
  if (responseTopic !== '') properties.responseTopic = responseTopic
  if (correlation !== '') properties.correlationData = Buffer.from(correlation)
  // Written as "key:value key:value", with nothing escaped: the tests use neither colons nor spaces.
  if (users !== '') {
    properties.userProperties = users.split(' ').map((user) => {
      const [key = '', value = ''] = user.split(':')
      return [key, value]
    })
  }
  return {
    topic,
    payload: Buffer.from(payload, 'hex'),
    qos: Number(qos),
    retain: retain === '1',
    properties,
    subscriptionIdentifiers: identifiers === '' ? [] : identifiers.split(/[ ,]+/).map(Number),
  }
}
