/**
 * The rules of each listener for logins and rights, as the broker's `authenticate` and `authorize`.
 *
 * `broker-options.ts` calls it with the files and services that `../access.ts` has opened. The order is Mosquitto's:
 * the rules of the listener itself; a certificate or pre-shared key, which needs no password; without a user name
 * `allow_anonymous`; then the sources that a user name is checked against. Invariant: a source that is configured and
 * has not been opened refuses.
 */
import {
  type AclFile,
  type AuthenticateHook,
  type AuthenticationAnswer,
  type AuthenticationSource,
  type AuthorizeHooks,
  byGrants,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  clientIdOf,
  type EnhancedAuthenticationHook,
  REFUSED,
} from '@recado/broker'
import { ReasonCode } from '@recado/protocol'
import type { Gate } from '../gate.ts'
import type { Config } from './config.ts'
import type { ListenerConfig } from './listeners.ts'

/** Opened sources of each listener, by the listener's name. */
export interface Access {
  readonly logins: ReadonlyMap<string, AuthenticationSource>
  readonly rights: ReadonlyMap<string, AuthorizeHooks>
  /** ACL files, which can say which line decides. */
  readonly acls?: ReadonlyMap<string, AclFile>
  /** Authentication by AUTH packets. */
  readonly exchanges: ReadonlyMap<string, EnhancedAuthenticationHook>
  /** Before all logins; null or absent: nobody is banned. */
  readonly gate?: Gate | null
}

export const NO_ACCESS: Access = { logins: new Map(), rights: new Map(), exchanges: new Map() }

type Answer = boolean | ConnectDecision

/** Returns the refusal by the rules that every client has to meet, however it logs in; null when it meets them. */
function refusal(
  config: Config,
  listener: ListenerConfig | undefined,
  { connect, clientId, isClientIdUsername }: ConnectRequest,
): ConnectDecision | null {
  if (listener === undefined) return REFUSED
  if (!listener.protocolVersions.includes(connect.protocolVersion)) {
    return {
      reasonCode: ReasonCode.UnsupportedProtocolVersion,
      reasonString: 'this listener does not take this version',
    }
  }
  // An identifier that becomes the user name is known only after the login.
  return isClientIdUsername || clientId.startsWith(config.clientIdPrefix) ? null : REFUSED
}

/** Returns the answer to a login, unless it makes a Client Identifier without the required prefix. */
function withPrefix<T extends Answer>(config: Config, request: ConnectRequest, answer: T): T | ConnectDecision {
  if (config.clientIdPrefix === '' || !request.isClientIdUsername) return answer
  const username =
    (typeof answer === 'object' ? answer.username : undefined) ?? request.identity ?? request.connect.username
  return clientIdOf(request, username).startsWith(config.clientIdPrefix) ? answer : REFUSED
}

const listenersByName = ({ listeners }: Config): ReadonlyMap<string, ListenerConfig> =>
  new Map(listeners.map((listener) => [listener.name, listener]))

export function authenticateFrom(config: Config, access: Access): AuthenticationSource {
  const byName = listenersByName(config)
  const authenticate: AuthenticateHook = (request) => {
    const listener = byName.get(request.listener)
    const refused = refusal(config, listener, request)
    if (refused !== null || listener === undefined) return refused ?? false
    // A certificate or pre-shared key has been checked already, and stands for user name and password.
    if (request.identity !== null) return withPrefix(config, request, letIn('identity'))
    const answer = byLogin(listener, access.logins.get(listener.name), request)
    return answer instanceof Promise
      ? answer.then((late) => withPrefix(config, request, late))
      : withPrefix(config, request, answer)
  }
  return {
    authenticate,
    isStillValid(client, credential) {
      const listener = byName.get(client.listener)
      if (listener === undefined || !listener.protocolVersions.includes(client.protocolVersion)) return false
      if (!client.clientId.startsWith(config.clientIdPrefix)) return false
      const logins = access.logins.get(client.listener)
      if (!(credential instanceof Admission)) return logins?.isStillValid?.(client, credential) ?? true
      switch (credential.way) {
        case 'identity':
          return listener.usernameFrom !== 'connect'
        case 'anonymous':
          return isAnonymousAllowed(listener, client.username)
        default:
          if (logins === undefined) return isAnonymousAllowed(listener, client.username)
          return logins.isStillValid?.(client, credential.credential) ?? true
      }
    },
  }
}

/** Returns the authentication by AUTH packets, each listener with its own; null when none has any. */
export function enhancedFrom(config: Config, access: Access): EnhancedAuthenticationHook | null {
  if (access.exchanges.size === 0) return null
  const byName = listenersByName(config)
  return {
    methods: [...new Set([...access.exchanges.values()].flatMap((hook) => hook.methods))],
    step(step) {
      const { request, method, phase } = step
      const refused = phase === 'connect' ? refusal(config, byName.get(request.listener), request) : null
      if (refused !== null) return refused
      const hook = access.exchanges.get(request.listener)
      if (!hook?.methods.includes(method)) return { reasonCode: ReasonCode.BadAuthenticationMethod }
      const answer = hook.step(step)
      const isEnd = ({ reasonCode = 0 }: AuthenticationAnswer): boolean => reasonCode === ReasonCode.Success
      const checked = (late: AuthenticationAnswer): AuthenticationAnswer =>
        isEnd(late) ? withPrefix(config, request, late) : late
      return answer instanceof Promise ? answer.then(checked) : checked(answer)
    },
    isStillValid(client, credential) {
      return access.exchanges.get(client.listener)?.isStillValid?.(client, credential) ?? true
    },
  }
}

/**
 * Decides by user name and password, or by a token as password; without any source, or when no source knows the client,
 * by `allow_anonymous`.
 */
function byLogin(
  listener: ListenerConfig,
  logins: AuthenticationSource | undefined,
  request: ConnectRequest,
): Answer | Promise<Answer> {
  const { username, password } = request.connect
  const otherwise = isAnonymousAllowed(listener, username) && letIn('anonymous')
  if (logins === undefined || (!username && !password?.length)) return otherwise
  const answer = logins.authenticate(request)
  return answer instanceof Promise
    ? answer.then((late) => (late === null ? otherwise : letIn('login', late)))
    : answer === null
      ? otherwise
      : letIn('login', answer)
}

/**
 * Whether a client may be anonymous. An empty user name is none. Without a source to check it against, a client with a
 * user name is anonymous. As in Mosquitto.
 */
const isAnonymousAllowed = (listener: ListenerConfig, username: string | undefined): boolean =>
  listener.allowAnonymous && (!username || !hasLogins(listener))

/** Way in which a client was let in: after a reload the broker asks whether it would be let in so again. */
class Admission {
  readonly way: 'identity' | 'anonymous' | 'login'
  /** Credential of the login. */
  readonly credential: unknown
  constructor(way: 'identity' | 'anonymous' | 'login', credential: unknown) {
    this.way = way
    this.credential = credential
  }
}

function letIn(way: Admission['way'], answer: Answer = {}): Answer {
  if (answer === false) return false
  const decision = answer === true ? {} : answer
  return { ...decision, credential: new Admission(way, decision.credential) }
}

/** Whether there is a source that user names are checked against. */
export function hasLogins({ access, refusesUsers }: ListenerConfig): boolean {
  const { passwordFile, jwt, webhook, dynamicSecurity, goAuth } = access
  const parts = [passwordFile, jwt, dynamicSecurity, goAuth, webhook?.loginUrl ?? null]
  return refusesUsers || parts.some((part) => part !== null)
}

/** Whether there is a source of rights; a login may bring some as well. */
function hasRights({ access, refusesTopics }: ListenerConfig): boolean {
  const { aclFile, jwt, webhook, dynamicSecurity, goAuth } = access
  return refusesTopics || [aclFile, jwt, webhook, dynamicSecurity, goAuth].some((part) => part !== null)
}

const refusing: AuthorizeHooks = { publish: () => false, subscribe: () => false, mayReceive: () => false }

/**
 * Rights of all listeners; null when no listener has rules, so that everything is allowed except publishing to `$SYS/`,
 * which the broker itself refuses.
 */
export function authorizeFrom({ listeners }: Config, access: Access): AuthorizeHooks | null {
  if (!listeners.some(hasRights)) return null
  const byName = new Map<string, AuthorizeHooks>()
  // As where no listener has rules.
  const open = byGrants()
  for (const listener of listeners) {
    const rules = listener.refusesTopics ? refusing : (access.rights.get(listener.name) ?? refusing)
    byName.set(listener.name, hasRights(listener) ? rules : open)
  }
  const [one, another] = new Set(byName.values())
  if (one && another === undefined) return one
  const rulesOf = ({ listener }: ClientInfo): AuthorizeHooks => byName.get(listener) ?? refusing
  return {
    isStable: [...byName.values()].every((rules) => rules.isStable === true),
    publish: (client, topic, options) => rulesOf(client).publish?.(client, topic, options) ?? true,
    will: (client, topic, options) => {
      const rules = rulesOf(client)
      return (rules.will ?? rules.publish)?.call(rules, client, topic, options) ?? true
    },
    subscribe: (client, subscription) => rulesOf(client).subscribe?.(client, subscription) ?? true,
    decidesAtSubscribe: (client) => {
      const rules = rulesOf(client)
      return rules.decidesAtSubscribe?.(client) ?? (rules.subscribe !== undefined && rules.mayReceive === undefined)
    },
    mayReceive: (client, topic) => rulesOf(client).mayReceive?.(client, topic) ?? true,
    mayUnsubscribe: (client, topicFilter) => rulesOf(client).mayUnsubscribe?.(client, topicFilter) ?? true,
    mayPublish: (client, topic) => rulesOf(client).mayPublish?.(client, topic) ?? true,
  }
}
