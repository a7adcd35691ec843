/**
 * Questions of operators to a running broker, by MQTT (`enable_control_api`) and by HTTP (`protocol http_api`,
 * `http_dir`).
 *
 * `serve.ts` makes one before the first listener, and SIGHUP gives it the next configuration. Invariant: the present
 * rules decide who may ask, the same that MQTT clients have to meet, and a refused login is logged like theirs.
 */
import type { IncomingMessage } from 'node:http'
import type { Admin, LoggedIn, RightsAnswer } from '@recado/admin'
import {
  type AuthenticationSource,
  type AuthorizeHooks,
  type Broker,
  type BrokerEvents,
  type ClientInfo,
  type ConnectDecision,
  connectionOf,
  http,
  identityOf,
  type ListenerProtocol,
  type Permission,
  type ProtocolConnection,
} from '@recado/broker'
import { Connect, isTopicName, type ProtocolVersion, ReasonCode, reasonCodeName } from '@recado/protocol'
import { type Access, authenticateFrom, authorizeFrom, hasLogins } from '../config/admission.ts'
import type { Config } from '../config/config.ts'
import { type ListenerConfig, servesApi } from '../config/listeners.ts'
import { wordsFor } from '../log/words.ts'
import type { Logger } from '../log.ts'
import type { ProgramParts } from './admin-host.ts'
import { ANSWERS_TOPIC, answerTo, COMMANDS_TOPIC, UNAVAILABLE } from './control-api.ts'
import { httpApi, isMosquittos, type Login } from './http-api.ts'
import { HttpFolder } from './http-folder.ts'
import { tokenFileOf } from './token-file.ts'

/** Client Identifier of whoever comes by HTTP, for logs and ACL files, as in Mosquitto. */
const HTTP_CLIENT_ID = 'http-api'
const NO_LOGIN: Login = { username: undefined, password: undefined }

export class Administration {
  readonly #broker: Broker
  readonly #numbers: () => Readonly<Record<string, number>>
  readonly #log: Logger
  #config: Config
  #access: Access
  #authentication: AuthenticationSource
  #authorization: AuthorizeHooks | null
  #control: { close(): void } | null = null
  readonly #program: ProgramParts
  /** null before the first listener with `protocol http_api`. */
  #admin: Admin | null = null
  /** Options of the export that runs, as text. */
  #exported: string = 'null'

  constructor(
    broker: Broker,
    numbers: () => Readonly<Record<string, number>>,
    log: Logger,
    config: Config,
    access: Access,
    program: ProgramParts,
  ) {
    this.#program = program
    this.#broker = broker
    this.#numbers = numbers
    this.#log = log
    this.#config = config
    this.#access = access
    this.#authentication = authenticateFrom(config, access)
    this.#authorization = authorizeFrom(config, access)
    this.#takeControl()
    if (config.asMosquitto === '2.1') this.#answerTheRest()
  }

  take(config: Config, access: Access): void {
    this.#config = config
    this.#access = access
    this.#authentication = authenticateFrom(config, access)
    this.#authorization = authorizeFrom(config, access)
    this.#admin?.loginsChanged()
    void this.#export()
    this.#takeControl()
  }

  /** The last stage of a listener that serves HTTP; null: it does not. @throws ConfigError for an `http_dir` that is no folder */
  async protocolFor(listener: ListenerConfig): Promise<ListenerProtocol | null> {
    const { http: options } = listener.transport
    if (options === null) return null
    const folder = options.folder === null ? null : HttpFolder.open(options.folder)
    const simple = httpApi({
      folder,
      isApi: options.isApi,
      listeners: () => this.#config.listeners,
      numbers: () => this.#systree(),
      mayRead: (request, login, path) => this.#mayRead(request, login, path),
    })
    if (!options.isApi) return http(simple)
    const admin = await this.#apiOf()
    // A folder of the operator's takes the place of the dashboard; Mosquitto has none of its own.
    const hasDashboard = folder === null && this.#config.asMosquitto === null
    const others = admin.limited(simple)
    return http(async (request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0]!
      const isOurs = admin.answers(path) || (hasDashboard && admin.hasPage(path))
      await (isOurs && !isMosquittos(path) ? admin.handler : others)(request, response)
    }, admin.serverOptions)
  }

  /**
   * Loads the API when one of these listeners has it. Called before the first listener is opened: the others would be
   * open while the one of the API is not, for as long as its code is loading. Operations of an API that nobody has
   * configured are left to the first request: they take 20 MB.
   */
  async prepare(listeners: readonly ListenerConfig[]): Promise<void> {
    const own = listeners.filter(servesApi)
    if (own.length > 0) {
      const admin = await this.#apiOf()
      if (own.some(({ optional }) => optional !== 'port')) await admin.load()
    }
    await this.#export()
  }

  /** The API, which nothing is done for before the first listener with it is opened. */
  async #apiOf(): Promise<Admin> {
    // A broker without the API need not load it.
    const [{ createAdmin, TokenFile }, { hostOf }] = await Promise.all([
      import('@recado/admin'),
      import('./admin-host.ts'),
    ])
    if (this.#admin !== null) return this.#admin
    const file = tokenFileOf(this.#config)
    const tokens = file === null ? {} : { tokens: new TokenFile(file) }
    const host = hostOf({
      ...this.#program,
      broker: this.#broker,
      log: this.#log,
      config: () => this.#config,
      loginsChanged: () => this.#admin?.loginsChanged(),
      checkRights: (client, action, topic) => this.#checkRights(client, action, topic),
      login: (connection, login) => this.#roleOf(connection, login, null),
      certificate: async (connection) => {
        const identity = this.#identityOf(connection)
        const answer = identity === null ? null : await this.#roleOf(connection, NO_LOGIN, identity)
        return answer === 'busy' ? null : answer
      },
    })
    this.#admin = createAdmin(this.#broker, { host, ...tokens, decisionsMax: this.#config.httpApi.decisionsMax })
    return this.#admin
  }

  /** Asks the rules of a listener, and the ACL file which line decides. */
  #checkRights(
    client: ClientInfo,
    action: 'publish' | 'subscribe' | 'receive',
    topic: string,
  ): RightsAnswer | Promise<RightsAnswer> {
    const rules = this.#authorization
    if (rules === null) return { isAllowed: true, by: 'no rules are configured, so everything is allowed' }
    const acl = this.#access.acls?.get(client.listener)
    const said = acl?.explain(client.clientId, client.username, topic, action === 'publish' ? 'write' : 'read')
    const by =
      said === undefined
        ? `the rules of the listener ${client.listener}`
        : said.why.replace(/^line (\d+)/, `${acl!.path}:$1`)
    const answer =
      action === 'publish'
        ? (rules.publish?.(client, topic, { qos: 0, retain: false }) ?? true)
        : (rules.mayReceive?.(client, topic) ?? true)
    const isAllowed = (permission: Permission): boolean => permission === true || permission === ReasonCode.Success
    return answer instanceof Promise
      ? answer.then((late) => ({ isAllowed: isAllowed(late), by }))
      : { isAllowed: isAllowed(answer), by }
  }

  /** User that a client certificate or pre-shared key stands for on this listener; null for none. */
  #identityOf({ listener, peer }: ProtocolConnection): string | null {
    const known = this.#config.listeners.find(({ name }) => name === listener)
    return known === undefined ? null : identityOf(peer, known.usernameFrom)
  }

  /** Exports metrics and spans as the configuration says; what does not work is said in the log. */
  async #export(): Promise<void> {
    const { otlp } = this.#config.httpApi
    const text = JSON.stringify(otlp)
    if (text === this.#exported) return
    this.#exported = text
    try {
      if (otlp !== null || this.#admin !== null) await (await this.#apiOf()).exportBy(otlp)
    } catch (error) {
      this.#log.log('error', 'otlp.unavailable', `Error: ${(error as Error).message}`)
    }
  }

  /** Ends what the API has begun. */
  async close(): Promise<void> {
    await this.#admin?.close()
    this.#admin = null
  }

  /** Numbers of `$SYS`; as Mosquitto answers, without ours. */
  #systree(): Readonly<Record<string, number>> {
    const numbers = this.#numbers()
    if (this.#config.asMosquitto === null) return numbers
    return Object.fromEntries(Object.entries(numbers).filter(([topic]) => !topic.startsWith('$SYS/broker/recado/')))
  }

  #takeControl(): void {
    if (!this.#config.enableControlApi) {
      this.#control?.close()
      this.#control = null
      return
    }
    this.#control ??= this.#broker.control(COMMANDS_TOPIC, async ({ clientId, username }, payload) => {
      const { text, done } = answerTo(payload, this.#config.listeners)
      for (const command of done) {
        const who = `${clientId}/${username ?? '(null)'}`
        this.#log.log('information', 'control.command', `Broker: ${who} | ${command}`, { clientId, command })
      }
      await this.#broker.publish({ topic: ANSWERS_TOPIC, payload: text })
    })
  }

  /** Answers commands that nobody takes; our own way is to refuse them. */
  #answerTheRest(): void {
    this.#broker.control('$CONTROL/#', async (_client, _payload, command) => {
      const topic = `${command}/response`
      if (isTopicName(topic)) await this.#broker.publish({ topic, payload: UNAVAILABLE })
    })
  }

  async #mayRead(request: IncomingMessage, login: Login, path: string): Promise<boolean | 'busy'> {
    const connection = connectionOf(request)
    if (connection === undefined) return false
    const client = await this.#logIn(connection, login, null)
    return client === null || client === 'busy' ? client === 'busy' && client : this.#mayReceive(client, path)
  }

  /** Lets a client in by HTTP as one by MQTT on the same listener would be; null: it is refused. */
  async #logIn(
    { listener, remoteAddress, peer }: ProtocolConnection,
    { username, password }: Login,
    identity: string | null,
  ): Promise<ClientInfo | 'busy' | null> {
    const known = this.#config.listeners.find(({ name }) => name === listener)
    if (known === undefined) return null
    const protocolVersion = (known.protocolVersions.at(-1) ?? 5) as ProtocolVersion
    // It has none of its own, so the prefix that all have to have is no reason to refuse it.
    const clientId = this.#config.clientIdPrefix + HTTP_CLIENT_ID
    const ofConnect = { clientId, cleanStart: true, keepAliveSeconds: 0, will: undefined }
    const connect = new Connect({ protocolVersion, username, password, ...ofConnect })
    const asked = { connect, clientId, remoteAddress, listener, peer, identity }
    const decision = await this.#authentication.authenticate(asked)
    const refusal: ConnectDecision = { reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' }
    const answer: ConnectDecision = decision === true ? {} : decision || refusal
    const { reasonCode = ReasonCode.Success, reasonString = '', grants = null } = answer
    const named = answer.username ?? identity ?? username
    if (reasonCode !== ReasonCode.Success) {
      const why = reasonString || reasonCodeName(reasonCode)
      // A browser asks without a login first: that is no failed one.
      if (username !== undefined) this.#sayRefused({ remoteAddress, listener, clientId, reasonCode, why })
      const isBusy = reasonCode === ReasonCode.ServerBusy || reasonCode === ReasonCode.ServerUnavailable
      return isBusy ? 'busy' : null
    }
    return {
      ...{ clientId, username: named, protocolVersion, isBridge: false, remoteAddress, listener, peer, grants },
      memo: null,
    }
  }

  /** Logs in for the API: who has no user name is nobody there. */
  async #roleOf(
    connection: ProtocolConnection,
    login: Login,
    identity: string | null,
  ): Promise<LoggedIn | 'busy' | null> {
    const client = await this.#logIn(connection, login, identity)
    if (client === null || client === 'busy') return client
    const { username } = client
    // Where anonymous clients are let in, a user name that nobody checks is none.
    const known = this.#config.listeners.find(({ name }) => name === connection.listener)!
    if (username === undefined || username === '' || (identity === null && !hasLogins(known))) return null
    return { username, role: this.#config.httpApi.roles.get(username) ?? null }
  }

  /** Logs a refused login in the words for one by MQTT, so that what counts those counts it. */
  #sayRefused(event: BrokerEvents['connection.refused']): void {
    if (!this.#config.log.connectionMessages) return
    for (const { type, text } of wordsFor(this.#log.style).refused(event)) {
      this.#log.log(type, 'connection.refused', text, event)
    }
  }

  async #mayReceive(client: ClientInfo, path: string): Promise<boolean> {
    const rules = this.#authorization
    if (rules === null) return true
    // What decides about subscriptions alone is asked about one.
    if (rules.decidesAtSubscribe?.(client) === true) {
      const permission = await rules.subscribe?.(client, {
        ...{ topicFilter: path, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      })
      return permission === true || permission === undefined || permission === 0
    }
    const permission = await rules.mayReceive?.(client, path)
    return permission !== false
  }
}
