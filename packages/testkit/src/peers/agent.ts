/**
 * Paho Python and Paho C as peers: a small program in their own language (`packages/testkit/peers/paho_agent.py`,
 * `paho_agent.c`), one process per client, driven by lines over its standard input and output.
 *
 * A command is `verb key=value …`, a value a decimal number or the hex of bytes; the program answers each, in order,
 * with `ok …` or `fail text=…`, and writes `message …` and `closed reason=…` as they happen. Invariant: one command is
 * under way at a time, so an answer is always that of the last command. The C program is compiled in `prepare`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child, run } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { bounded, Inbox } from './inbox.ts'
import type {
  Closed,
  IncomingMessage,
  MessageProperties,
  OpenOptions,
  OutgoingMessage,
  ResumableClient,
  ResumablePeer,
  Subscription,
} from './peer.ts'

const sources = new URL('../../peers/', import.meta.url)

export const pahoPython: ResumablePeer = {
  name: 'Paho Python',
  versions: [3, 4, 5],
  features: new Set(['library', 'noLocal', 'retainOptions', 'subscriptionIdentifiers', 'assignedClientId']),
  skip: skipWithout('paho-python'),
  async prepare() {},
  async cleanUp() {},
  async open(options) {
    // -B: leave no __pycache__ behind in the checkout. -u is not needed, the program flushes each line.
    const script = fileURLToPath(new URL('paho_agent.py', sources))
    return await AgentClient.open(peerPath('paho-python'), ['-B', script], options)
  },
}

let pahoCFolder: string | null = null

export const pahoC: ResumablePeer = {
  name: 'Paho C',
  versions: [3, 4, 5],
  features: new Set(['library', 'noLocal', 'retainOptions', 'subscriptionIdentifiers', 'assignedClientId']),
  skip: skipWithout('paho-c'),
  async prepare() {
    pahoCFolder = mkdtempSync(join(tmpdir(), 'recado-paho-c-'))
    const source = fileURLToPath(new URL('paho_agent.c', sources))
    const output = join(pahoCFolder, 'paho')
    await run(peerPath('paho-c'), ['-O1', '-Wall', '-o', output, source, '-lpaho-mqtt3c', '-lpthread'])
  },
  async cleanUp() {
    if (pahoCFolder !== null) rmSync(pahoCFolder, { recursive: true, force: true })
    pahoCFolder = null
  },
  async open(options) {
    if (pahoCFolder === null) throw new Error('prepare() has not compiled paho_agent.c')
    return await AgentClient.open(join(pahoCFolder, 'paho'), [], options)
  },
}

type Value = number | boolean | string | Uint8Array | undefined
type Fields = Map<string, string[]>

class AgentClient implements ResumableClient {
  sessionPresent: boolean | null = null
  assignedClientId: string | null = null
  granted: readonly number[] = []
  readonly closed: Promise<Closed>
  readonly #child: Child
  readonly #messages: Inbox<IncomingMessage>
  readonly #answers: Inbox<{ verb: string; fields: Fields }>
  /** Losses of the connection that `reconnect` has not dealt with yet. */
  readonly #lost: Inbox<Closed>
  #resolveClosed: (closed: Closed) => void = () => {}

  static async open(command: string, args: readonly string[], options: OpenOptions): Promise<AgentClient> {
    const client = new AgentClient(command, args)
    try {
      await client.#connect(options)
      const granted: number[] = []
      for (const subscription of options.subscriptions ?? []) granted.push(...(await client.subscribe(subscription)))
      client.granted = granted
      return client
    } catch (error) {
      await client.kill()
      throw error
    }
  }

  constructor(command: string, args: readonly string[]) {
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#child = new Child(command, args, { onLine: (line) => this.#onLine(line) })
    const describe = (): string => this.#child.describe()
    this.#messages = new Inbox('message', describe)
    this.#answers = new Inbox('answer', describe)
    this.#lost = new Inbox('loss of the connection', describe)
    const onEnd = (): void => {
      const error = new Error(`the client's process has ended\n${describe()}`)
      for (const inbox of [this.#messages, this.#answers, this.#lost]) inbox.fail(error)
    }
    this.#child.exited.then(onEnd, onEnd)
  }

  next(): Promise<IncomingMessage> {
    return this.#messages.next()
  }

  async publish(message: OutgoingMessage): Promise<void> {
    await this.#command('publish', publishFields(message))
  }

  async publishLater(message: OutgoingMessage): Promise<void> {
    await this.#command('publish', [...publishFields(message), ['wait', 0]])
  }

  async flush(): Promise<void> {
    await this.#command('flush', [])
  }

  async reconnect(): Promise<void> {
    await this.#lost.next()
    this.#onConnack(await this.#command('reconnect', []))
  }

  async subscribe(subscription: Subscription): Promise<readonly number[]> {
    const answer = await this.#command('subscribe', [
      ['filter', subscription.filter],
      ['qos', subscription.qos ?? 0],
      ['no_local', subscription.noLocal],
      ['retain_as_published', subscription.retainAsPublished],
      ['retain_handling', subscription.retainHandling],
      ['subscription_id', subscription.subscriptionIdentifier],
    ])
    return [number(answer, 'code') ?? -1]
  }

  async unsubscribe(filter: string): Promise<void> {
    await this.#command('unsubscribe', [['filter', filter]])
  }

  async disconnect(): Promise<void> {
    await this.#command('disconnect', [])
    this.#child.endInput()
    await this.#child.wait()
  }

  async kill(): Promise<void> {
    await this.#child.stop('SIGKILL')
  }

  async #connect(options: OpenOptions): Promise<void> {
    const { will } = options
    const fields: [string, Value][] = [
      ['version', options.version],
      ['host', '127.0.0.1'],
      ['port', options.port],
      ['client_id', options.clientId ?? uniqueClientId()],
      ['clean', options.clean ?? true],
      ['keep_alive', options.keepAliveSeconds ?? 60],
      ['session_expiry', options.sessionExpirySeconds],
      ['receive_maximum', options.receiveMaximum],
    ]
    if (will !== undefined) {
      fields.push(
        ['will_topic', will.topic],
        ['will_payload', will.payload],
        ['will_qos', will.qos ?? 0],
        ['will_retain', will.retain ?? false],
        ['will_delay', will.delaySeconds],
      )
    }
    this.#onConnack(await this.#command('connect', fields))
  }

  #onConnack(answer: Fields): void {
    const sessionPresent = number(answer, 'session_present')
    this.sessionPresent = sessionPresent === undefined ? null : sessionPresent === 1
    this.assignedClientId = text(answer, 'assigned') ?? null
  }

  async #command(verb: string, fields: readonly [string, Value][]): Promise<Fields> {
    let line = verb
    for (const [key, value] of fields) if (value !== undefined) line += ` ${key}=${encodeValue(key, value)}`
    this.#child.write(`${line}\n`)
    const answer = await this.#answers.next()
    if (answer.verb !== 'ok') throw new Error(`${verb}: ${text(answer.fields, 'text')}\n${this.#child.describe()}`)
    return answer.fields
  }

  #onLine(line: string): void {
    const [verb = '', ...tokens] = line.split(' ')
    const fields: Fields = new Map()
    for (const token of tokens) {
      const equals = token.indexOf('=')
      const key = token.slice(0, equals)
      const values = fields.get(key)
      if (values === undefined) fields.set(key, [token.slice(equals + 1)])
      else values.push(token.slice(equals + 1))
    }
    if (verb === 'message') this.#messages.push(parseMessage(fields))
    else if (verb === 'closed') this.#onClosed(number(fields, 'reason') ?? -1)
    else if (verb === 'ok' || verb === 'fail') this.#answers.push({ verb, fields })
    // Anything else is a log line of the library; it stays in the child's log.
  }

  #onClosed(reason: number): void {
    const closed = { reasonCode: reason < 0 ? null : reason }
    this.#lost.push(closed)
    this.#resolveClosed(closed)
  }
}

let clients = 0

/** MQTT 3.1 allows at most 23 characters and no empty Client Identifier. */
export function uniqueClientId(): string {
  return `peer-${process.pid}-${++clients}`
}

/** Awaits `client.closed`, but never for ever. */
export async function closedInTime(client: { closed: Promise<Closed> }): Promise<Closed> {
  return await bounded(client.closed, 'the end of the connection by the broker')
}

function publishFields(message: OutgoingMessage): [string, Value][] {
  const properties = message.properties ?? {}
  const fields: [string, Value][] = [
    ['topic', message.topic],
    ['payload', message.payload],
    ['qos', message.qos ?? 0],
    ['retain', message.retain ?? false],
    ['expiry', properties.messageExpiryInterval],
    ['content_type', properties.contentType],
    ['response_topic', properties.responseTopic],
    ['correlation', properties.correlationData],
    ['topic_alias', properties.topicAlias],
  ]
  for (const [key, value] of properties.userProperties ?? []) fields.push(['user', `${hex(key)}:${hex(value)}`])
  return fields
}

function encodeValue(key: string, value: Exclude<Value, undefined>): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(Number(value))
  if (typeof value === 'string') return key === 'user' ? value : hex(value)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
}

function hex(value: string): string {
  return Buffer.from(value).toString('hex')
}

function number(fields: Fields, key: string): number | undefined {
  const value = fields.get(key)?.[0]
  return value === undefined ? undefined : Number(value)
}

function data(fields: Fields, key: string): Buffer | undefined {
  const value = fields.get(key)?.[0]
  return value === undefined ? undefined : Buffer.from(value, 'hex')
}

function text(fields: Fields, key: string): string | undefined {
  return data(fields, key)?.toString()
}

function parseMessage(fields: Fields): IncomingMessage {
  const properties: MessageProperties = {}
  const expiry = number(fields, 'expiry')
  if (expiry !== undefined) properties.messageExpiryInterval = expiry
  const contentType = text(fields, 'content_type')
  if (contentType !== undefined) properties.contentType = contentType
  const responseTopic = text(fields, 'response_topic')
  if (responseTopic !== undefined) properties.responseTopic = responseTopic
  const correlationData = data(fields, 'correlation')
  if (correlationData !== undefined) properties.correlationData = correlationData
  const users = fields.get('user')
  if (users !== undefined) {
    properties.userProperties = users.map((user) => {
      const [key = '', value = ''] = user.split(':')
      return [Buffer.from(key, 'hex').toString(), Buffer.from(value, 'hex').toString()]
    })
  }
  return {
    topic: text(fields, 'topic') ?? '',
    payload: data(fields, 'payload') ?? Buffer.alloc(0),
    qos: number(fields, 'qos') ?? -1,
    retain: number(fields, 'retain') === 1,
    properties,
    subscriptionIdentifiers: (fields.get('subscription_id') ?? []).map(Number),
  }
}
