/**
 * Questions of operators to a running broker, by MQTT (`enable_control_api`) and by HTTP (`protocol http_api`,
 * `http_dir`).
 *
 * `serve.ts` makes one before the first listener, and SIGHUP gives it the next configuration. Invariant: the present
 * rules decide who may ask, the same that MQTT clients have to meet, and a refused login is logged like theirs.
 */
import type { IncomingMessage } from 'node:http'
import {
  type AuthenticationSource,
  type AuthorizeHooks,
  type Broker,
  type BrokerEvents,
  type ClientInfo,
  type ConnectDecision,
  connectionOf,
  http,
  type ListenerProtocol,
} from '@recado/broker'
import { Connect, type ProtocolVersion, ReasonCode, reasonCodeName } from '@recado/protocol'
import { type Access, authenticateFrom, authorizeFrom } from '../config/admission.ts'
import type { Config } from '../config/config.ts'
import type { ListenerConfig } from '../config/listeners.ts'
import { wordsFor } from '../log/words.ts'
import type { Logger } from '../log.ts'
import { ANSWERS_TOPIC, answerTo, COMMANDS_TOPIC } from './control-api.ts'
import { httpApi, type Login } from './http-api.ts'
import { HttpFolder } from './http-folder.ts'

/** Client Identifier of whoever comes by HTTP, for logs and ACL files, as in Mosquitto. */
const HTTP_CLIENT_ID = 'http-api'

export class Administration {
  readonly #broker: Broker
  readonly #numbers: () => Readonly<Record<string, number>>
  readonly #log: Logger
  #config: Config
  #authentication: AuthenticationSource
  #authorization: AuthorizeHooks | null
  #control: { close(): void } | null = null

  constructor(
    broker: Broker,
    numbers: () => Readonly<Record<string, number>>,
    log: Logger,
    config: Config,
    access: Access,
  ) {
    this.#broker = broker
    this.#numbers = numbers
    this.#log = log
    this.#config = config
    this.#authentication = authenticateFrom(config, access)
    this.#authorization = authorizeFrom(config, access)
    this.#takeControl()
  }

  take(config: Config, access: Access): void {
    this.#config = config
    this.#authentication = authenticateFrom(config, access)
    this.#authorization = authorizeFrom(config, access)
    this.#takeControl()
  }

  /** The last stage of a listener that serves HTTP; null: it does not. @throws ConfigError for an `http_dir` that is no folder */
  protocolFor(listener: ListenerConfig): ListenerProtocol | null {
    const { http: options } = listener.transport
    if (options === null) return null
    const folder = options.folder === null ? null : HttpFolder.open(options.folder)
    return http(
      httpApi({
        folder,
        isApi: options.isApi,
        listeners: () => this.#config.listeners,
        numbers: () => this.#systree(),
        mayRead: (request, login, path) => this.#mayRead(listener.name, request, login, path),
      }),
    )
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

  async #mayRead(
    listener: string,
    request: IncomingMessage,
    { username, password }: Login,
    path: string,
  ): Promise<boolean | 'busy'> {
    const connection = connectionOf(request)
    const known = this.#config.listeners.find(({ name }) => name === listener)
    if (connection === undefined || known === undefined) return false
    const protocolVersion = (known.protocolVersions.at(-1) ?? 5) as ProtocolVersion
    // It has none of its own, so the prefix that all have to have is no reason to refuse it.
    const clientId = this.#config.clientIdPrefix + HTTP_CLIENT_ID
    const ofConnect = { clientId, cleanStart: true, keepAliveSeconds: 0, will: undefined }
    const connect = new Connect({ protocolVersion, username, password, ...ofConnect })
    const { remoteAddress, peer } = connection
    const asked = { connect, clientId, remoteAddress, listener, peer, identity: null }
    const decision = await this.#authentication.authenticate(asked)
    const refusal: ConnectDecision = { reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' }
    const answer: ConnectDecision = decision === true ? {} : decision || refusal
    const { reasonCode = ReasonCode.Success, reasonString = '', username: named = username, grants = null } = answer
    if (reasonCode !== ReasonCode.Success) {
      const why = reasonString || reasonCodeName(reasonCode)
      // A browser asks without a login first: that is no failed one.
      if (username !== undefined) this.#sayRefused({ remoteAddress, listener, clientId, reasonCode, why })
      const isBusy = reasonCode === ReasonCode.ServerBusy || reasonCode === ReasonCode.ServerUnavailable
      return isBusy ? 'busy' : false
    }
    const client: ClientInfo = {
      ...{
        clientId,
        username: named,
        protocolVersion,
        isBridge: false,
        remoteAddress,
        listener,
        peer,
        grants,
        memo: null,
      },
    }
    return this.#mayReceive(client, path)
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
