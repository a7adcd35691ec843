/**
 * Mosquitto's dynamic security: logins and rights from a JSON file, which commands to `$CONTROL/dynamic-security/v1`
 * change at run time.
 *
 * For `authenticate`; `rights()` is for `authorize`, and `attach(broker)` takes the commands. Invariants: a command is
 * answered, and its PUBACK sent, when its change is on the disk; a change that cannot be written is undone, and its
 * command answered with that error; requests are carried out one after the other, and those that wait at the same time
 * are written together; a client that loses a right is disconnected, as by Mosquitto's plugin; no answer tells whether
 * a user exists.
 */
import { MqttError, ReasonCode, type Subscription } from '@recado/protocol'
import { type ClientInfo, type ConnectDecision, type ConnectRequest, REFUSED } from '../../ports.ts'
import type { Command, Kicks } from './command.ts'
import { CommandError } from './command.ts'
import { carryOut } from './commands.ts'
import { makeSecurityFile, readSecurityFile, writeSecurityFile } from './file.ts'
import { parseJson, printed } from './json.ts'
import { Model, type StoredPassword } from './model.ts'
import { ClientRights, type Verdict } from './rights.ts'

export const CONTROL_TOPIC = '$CONTROL/dynamic-security/v1'
const RESPONSE_TOPIC = `${CONTROL_TOPIC}/response`
/** Bytes of the requests of all clients that may wait, beside one that is larger. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024

/** Options of `dynamicSecurity`. */
export interface DynamicSecurityOptions {
  /** The JSON file. One that is not there is made, as Mosquitto 2.1 makes it. */
  path: string
  /** A file whose first line is the password of `admin` in a file that is made. Default: the next. */
  passwordInitFile?: string
  /** Initial password. Default: passwords are made up, and written into PATH.pw. */
  initPassword?: string
  /** Whether answers about a client have the addresses that it is connected from, as since Mosquitto 2.1. Default true. */
  showsConnections?: boolean
  /** Called with the effect of each command, and with errors of writing. */
  onLog?: (level: 'information' | 'error', text: string) => void
}

/** Functions that check and make passwords, those of a password file. */
export interface Passwords {
  parse(text: string): { readonly hash: unknown } | string
  /** Makes the text of `StoredPassword`. Rejects for a password that it cannot hold. */
  make(password: string): Promise<string>
  /** Without `user`: takes the time of one of `others`, and refuses. */
  check(
    request: ConnectRequest,
    user: StoredPassword | undefined,
    others: readonly StoredPassword[],
  ): ConnectDecision | Promise<ConnectDecision>
  close(): Promise<void>
}

/** Part of a broker that it needs. */
export interface ControlledBroker {
  control(topic: string, handler: (client: ClientInfo, payload: Uint8Array) => Promise<ReasonCode>): { close(): void }
  publish(options: { topic: string; payload: string }): Promise<unknown>
  clients(): readonly ClientInfo[]
  disconnect(isMeant: (client: ClientInfo) => boolean): number
  recheck(): void
}

type MaybePromise<T> = T | Promise<T>
type Permission = MaybePromise<boolean | ReasonCode>

/** Functions for `authorize`. */
export interface SecurityRights {
  readonly isStable?: boolean
  publish?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): Permission
  will?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): Permission
  subscribe?(client: ClientInfo, subscription: Subscription): Permission
  mayUnsubscribe?(client: ClientInfo, topicFilter: string): boolean
  mayReceive?(client: ClientInfo, topic: string): boolean
  decidesAtSubscribe?(client: ClientInfo): boolean
  mayPublish?(client: ClientInfo, topic: string): boolean
}

interface Request {
  readonly client: ClientInfo
  readonly payload: Uint8Array
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** Logins and rights of Mosquitto's dynamic security plugin, changed by commands at run time. */
export class DynamicSecurity {
  /** Path of the JSON file. */
  readonly path: string
  readonly #options: DynamicSecurityOptions
  readonly #passwords: Passwords
  readonly #rights: WeakMap<ClientInfo, ClientRights> = new WeakMap()
  readonly #waiting: Request[] = []
  #model: Model
  /** The model as it is on the disk. */
  #saved: string
  /** Version of the model for rights: it changes with the model. */
  #version = 0
  #others: readonly StoredPassword[] | null = null
  #warnings: readonly string[]
  #broker: ControlledBroker | null = null
  /** Bytes of the requests that are not answered yet. */
  #waitingBytes = 0
  /** Work on the model and the file, one after the other. */
  #work: Promise<void> = Promise.resolve()

  private constructor(options: DynamicSecurityOptions, passwords: Passwords, { model, warnings }: Loaded) {
    this.path = options.path
    this.#options = options
    this.#passwords = passwords
    this.#model = model
    this.#saved = printed(model.toJson())
    this.#warnings = warnings
  }

  /** @throws MqttError ERR_MQTT_DYNAMIC_SECURITY for a file that cannot be read, made or understood */
  static async open(options: DynamicSecurityOptions, passwords: Passwords): Promise<DynamicSecurity> {
    const { path, passwordInitFile = null, initPassword = null, onLog } = options
    let loaded = await load(path, passwords)
    if (loaded === null) {
      const made = { path, passwordFile: passwordInitFile, password: initPassword }
      const told = await makeSecurityFile(made, (password) => passwords.make(password))
      onLog?.('information', `dynsec: ${told}`)
      loaded = await load(path, passwords)
    }
    if (loaded === null)
      throw new MqttError(
        'ERR_MQTT_DYNAMIC_SECURITY',
        `${path} was made and has disappeared at once: see whether another program removes it`,
      )
    return new DynamicSecurity(options, passwords, loaded)
  }

  /** Warnings about entries of the file that cannot be used and the like, as `path: what`. */
  get warnings(): readonly string[] {
    return this.#warnings
  }

  /**
   * Reads the file again, after the commands that are under way; afterwards call `broker.recheck()`.
   * @throws MqttError ERR_MQTT_DYNAMIC_SECURITY; then everything stays as it was.
   */
  reload(): Promise<void> {
    return this.#next(async () => {
      const loaded = await load(this.path, this.#passwords)
      if (loaded === null)
        throw new MqttError('ERR_MQTT_DYNAMIC_SECURITY', `${this.path} does not exist any more: put it back`)
      for (const { password } of loaded.model.clients.values()) {
        const before = password && this.#model.clients.get(password.username)?.password
        if (password !== null && before?.text === password.text) password.known = before.known
      }
      this.#warnings = loaded.warnings
      this.#take(loaded.model)
      this.#saved = printed(loaded.model.toJson())
    })
  }

  /** Takes commands from clients of this broker, until `close()` of the returned object is called. */
  attach(broker: ControlledBroker): { close(): void } {
    this.#broker = broker
    const control = broker.control(CONTROL_TOPIC, (client, payload) => this.#request(client, payload))
    return {
      close: () => {
        control.close()
        this.#broker = null
      },
    }
  }

  /** Whether there is such a user. */
  has(username: string): boolean {
    return this.#model.clients.has(username)
  }

  /** Decides about a login; null when the client gives no user name. */
  authenticate(request: ConnectRequest): ConnectDecision | null | Promise<ConnectDecision> {
    const { username, password } = request.connect
    if (!username) return null
    if (password === undefined || password.length === 0) return REFUSED
    this.#others ??= [...this.#model.clients.values()].flatMap((each) =>
      each.password === null ? [] : [each.password],
    )
    // A user who may not log in is refused as late as one whose password is wrong.
    const client = this.#model.clients.get(username)
    const mayLogIn =
      client !== undefined && !client.isDisabled && (client.clientId ?? request.clientId) === request.clientId
    return this.#passwords.check(request, mayLogIn ? (client.password ?? undefined) : undefined, this.#others)
  }

  /** Whether this client would be let in again. */
  isStillValid({ clientId }: ClientInfo, credential: unknown): boolean {
    if (!isStoredPassword(credential)) return true
    const client = this.#model.clients.get(credential.username)
    if (client === undefined || client.isDisabled || (client.clientId ?? clientId) !== clientId) return false
    return client.password?.text === credential.text
  }

  /** Whether the user still exists. */
  isKnown({ username }: ClientInfo): boolean {
    return username === undefined || this.has(username)
  }

  /**
   * Makes rights for `authorize`. `otherwise` decides where dynamic security says neither yes nor no; without it that
   * is a no.
   */
  rights(otherwise: SecurityRights | null = null): SecurityRights {
    const of = (client: ClientInfo): ClientRights => this.#rightsOf(client)
    const or = <T>(verdict: Verdict, next: () => T | undefined): T | boolean => verdict ?? next() ?? false
    return {
      isStable: otherwise === null || otherwise.isStable === true,
      publish: (client, topic, options) =>
        or(of(client).mayPublish(topic), () => otherwise?.publish?.(client, topic, options)),
      // Asked about when it is published, as by Mosquitto.
      will: () => true,
      subscribe: (client, subscription) =>
        or(of(client).maySubscribe(subscription.topicFilter), () => otherwise?.subscribe?.(client, subscription)),
      // Subscriptions of a session that is resumed are asked about again.
      decidesAtSubscribe: () => true,
      mayReceive: (client, topic) => or(of(client).mayReceive(topic), () => otherwise?.mayReceive?.(client, topic)),
      mayUnsubscribe: (client, topicFilter) =>
        or(
          of(client).mayUnsubscribe(topicFilter),
          () => otherwise !== null && (otherwise.mayUnsubscribe?.(client, topicFilter) ?? true),
        ),
      mayPublish: (client, topic) => or(of(client).mayPublish(topic), () => otherwise?.mayPublish?.(client, topic)),
    }
  }

  /** Closes the checker of passwords. */
  async close(): Promise<void> {
    await this.#work
    await this.#passwords.close()
  }

  #rightsOf(client: ClientInfo): ClientRights {
    const known = this.#rights.get(client)
    if (known?.version === this.#version) return known
    const made = new ClientRights(this.#model, this.#version, client)
    this.#rights.set(client, made)
    return made
  }

  #take(model: Model): void {
    this.#model = model
    this.#changed()
  }

  #changed(): void {
    this.#version++
    this.#others = null
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => undefined) // The caller gets the error.
    return done
  }

  /** Carries a request out; more than may wait is refused. QoS 0 has no answer, so each client could go on at once. */
  async #request(client: ClientInfo, payload: Uint8Array): Promise<ReasonCode> {
    if (this.#waitingBytes > 0 && this.#waitingBytes + payload.length > WAITING_BYTES_MAX) {
      this.#options.onLog?.('error', `dynsec: ${client.clientId} | too many requests wait, this one is refused`)
      return ReasonCode.QuotaExceeded
    }
    this.#waitingBytes += payload.length
    try {
      await this.#carriedOut(client, payload)
    } finally {
      this.#waitingBytes -= payload.length
    }
    return ReasonCode.Success
  }

  #carriedOut(client: ClientInfo, payload: Uint8Array): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ client, payload, done, failed })
      if (this.#waiting.length === 1) void this.#next(() => this.#carryOutAll())
    })
  }

  /** Carries out all waiting requests: their changes are written once. */
  async #carryOutAll(): Promise<void> {
    const requests = this.#waiting.splice(0)
    const kicks: Kicks = { usernames: new Set(), anonymous: false }
    const answered: { request: Request; commands: Command[] }[] = []
    for (const request of requests) {
      try {
        answered.push({ request, commands: await this.#carryOut(request, kicks) })
      } catch (error) {
        request.failed(error)
      }
    }
    const changes = answered.flatMap(({ commands }) => commands.filter(({ isChange }) => isChange))
    if (changes.length > 0) {
      this.#changed()
      const text = printed(this.#model.toJson())
      try {
        await writeSecurityFile(this.path, text)
        this.#saved = text
      } catch (error) {
        this.#undo(changes, error as Error)
      }
    }
    for (const { request, commands } of answered) {
      try {
        await this.#broker?.publish({ topic: RESPONSE_TOPIC, payload: responseText(commands) })
        request.done()
      } catch (error) {
        request.failed(error)
      }
    }
    if (changes.length > 0) this.#enforce(kicks)
  }

  #carryOut({ client, payload }: Request, kicks: Kicks): Promise<Command[]> {
    return carryOut(payload, {
      model: this.#model,
      kicks,
      sender: `${client.clientId}/${client.username ?? '(null)'}`,
      hash: async (username, password) => {
        const text = await this.#passwords.make(password).catch(() => {
          throw new CommandError('Internal error')
        })
        const parsed = this.#passwords.parse(text)
        if (typeof parsed === 'string') throw new CommandError('Internal error')
        return { username, text, hash: parsed.hash, known: null }
      },
      addresses: () => (this.#options.showsConnections === false ? null : addressesOf(this.#broker?.clients() ?? [])),
      log: (text) => this.#options.onLog?.('information', text),
    })
  }

  /** Undoes changes that could not be written. */
  #undo(changes: readonly Command[], error: Error): void {
    const text = `dynsec: ${this.path} cannot be written, so the change was not made: ${error.message}`
    this.#options.onLog?.('error', text)
    const parse = (stored: string): ReturnType<Passwords['parse']> => this.#passwords.parse(stored)
    this.#take(Model.from(parseJson(this.#saved), parse))
    for (const command of changes) command.refuse('Internal error')
  }

  /**
   * Applies changed rights: clients whose rights have changed are disconnected and come back with the new ones; all
   * others are checked again.
   */
  #enforce({ usernames, anonymous }: Kicks): void {
    const broker = this.#broker
    if (broker === null) return
    if (usernames.size > 0 || anonymous) {
      broker.disconnect(({ username }) => (username ? usernames.has(username) : anonymous))
    }
    broker.recheck()
  }
}

interface Loaded {
  readonly model: Model
  readonly warnings: readonly string[]
}

/** Loads the file; null when there is none. @throws MqttError ERR_MQTT_DYNAMIC_SECURITY */
async function load(path: string, passwords: Passwords): Promise<Loaded | null> {
  const read = await readSecurityFile(path)
  if (read === null) return null
  const model = Model.from(read.tree, (text) => passwords.parse(text))
  return { model, warnings: [...read.warnings, ...model.warnings.map((what) => `${path}: ${what}`)] }
}

const responseText = (commands: readonly Command[]): string =>
  `{"responses":[${commands.map((command) => command.responseText()).join(',')}]}`

const isStoredPassword = (credential: unknown): credential is StoredPassword =>
  typeof credential === 'object' && credential !== null && 'username' in credential && 'text' in credential

/** Without their ports, as the plugin tells them. */
function addressesOf(clients: readonly ClientInfo[]): Map<string, string[]> {
  const byUser = new Map<string, string[]>()
  for (const { username, remoteAddress } of clients) {
    if (!username) continue
    const address = remoteAddress.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
    const list = byUser.get(username)
    if (list === undefined) byUser.set(username, [address])
    else list.push(address)
  }
  return byUser
}
