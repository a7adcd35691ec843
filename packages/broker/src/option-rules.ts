/**
 * Rules for each option of the broker, and for the answers of hooks: a table for each type of options.
 * `@recado/protocol` checks options against them, and suggests the name that was meant; `broker.ts` asks before it does
 * anything, `hooks.ts` before an answer lets a client in.
 *
 * Invariant: a misspelt option, or one of another form, is an `OptionError` and never ignored: without a hook every
 * client may do everything.
 */
import {
  anything,
  callback,
  check,
  checkOptions,
  either,
  flag,
  hasDisallowedCodePoint,
  isObject,
  isReasonCodeOf,
  listOf,
  nearest,
  OptionError,
  object,
  oneOf,
  optionsOf,
  PacketType,
  type Rule,
  type Rules,
  text,
  textOrBytes,
  utf8Length,
  whole,
} from '@recado/protocol'
import type {
  AttachOptions,
  BrokerChanges,
  BrokerOptions,
  CloseOptions,
  ListenerHandle,
  ListenOptions,
  PublishOptions,
  SubscribeOptions,
  UpgradeOptions,
} from './broker-options.ts'
import { type AutoSubscription, type CoreOptions, faultOfAutoSubscription } from './core/base/options.ts'
import { faultOfRewrite, type TopicRewrite } from './core/base/topic-rewrites.ts'
import type { ListenerSettings } from './core/connection/listener-settings.ts'
import type {
  AuthenticationSource,
  AuthorizeHooks,
  EnhancedAuthenticationHook,
  MessageTransformation,
} from './hooks.ts'
import type { AuthenticationAnswer, BrokerEvents, ConnectDecision, MessageProperties, MessageWatch } from './ports.ts'

type TlsOptions = NonNullable<ListenOptions['tls']>
type TlsKeyPair = NonNullable<TlsOptions['serverNames']>[string]
type ProxyOptions = Exclude<ListenOptions['proxyProtocol'], boolean | undefined>
type WebSocketOptions = Exclude<ListenOptions['webSocket'], boolean | undefined>
type ForwardedOptions = NonNullable<WebSocketOptions['forwarded']>

const MANY = Number.MAX_SAFE_INTEGER
/** Longest time of a timer in milliseconds. */
const TIMER_MS_MAX = 0x7fff_ffff

const qos = oneOf(0, 1, 2)
const pem = textOrBytes
const pems = either(pem, listOf(pem))
const tlsVersion = oneOf('TLSv1.2', 'TLSv1.3')
const nothing = { must: 'null', holds: (value: unknown): boolean => value === null }

/** Rule for an object that has these methods, and perhaps others. */
function withMethods(what: string, ...methods: readonly string[]): Rule {
  const holds = (value: unknown): boolean =>
    isObject(value) && methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
  return { must: `${what} (an object with ${methods.join(', ')})`, holds }
}

// ---- hooks

/**
 * Rule for an object of hooks, which may be of a class and have more names: but none that is similar to the name of a
 * hook, and an object literal only hooks. `needed`: at least one of these must be there.
 */
function hooksOf<Hooks>(rules: Rules<Hooks>, needed: readonly (keyof Hooks & string)[]): Rule {
  const known = Object.keys(rules)
  const table = rules as Readonly<Record<string, Rule>>
  const must = needed.length === 0 ? 'an object' : `an object with ${needed.join(' or ')}`
  const holds = (value: unknown, name: string): boolean => {
    if (!isObject(value) || Array.isArray(value)) return false
    const prototype = Object.getPrototypeOf(value)
    if (prototype === null || prototype === Object.prototype) checkOptions(value, table, `${name}.`, name)
    else {
      const given = new Set(namesIn(value))
      for (const hook of given) {
        const meant = known.includes(hook) ? undefined : nearest(hook, known, false)
        if (meant !== undefined && !given.has(meant))
          throw new OptionError(`there is no hook ${name}.${hook}; did you mean ${meant}?`)
      }
      for (const hook of known) {
        const own = (value as Record<string, unknown>)[hook]
        if (own !== undefined) check(`${name}.${hook}`, own, table[hook]!)
      }
    }
    return needed.length === 0 || needed.some((hook) => (value as Record<string, unknown>)[hook] !== undefined)
  }
  return { must, holds }
}

/** Names of the object's own properties and of those of its classes. */
function namesIn(value: object): string[] {
  const names: string[] = []
  for (let of: object | null = value; of !== null && of !== Object.prototype; of = Object.getPrototypeOf(of))
    names.push(...Object.getOwnPropertyNames(of))
  return names
}

const authorizeHooks = hooksOf<AuthorizeHooks>(
  {
    isStable: flag,
    decidesAtSubscribe: callback,
    publish: callback,
    will: callback,
    subscribe: callback,
    mayReceive: callback,
    mayUnsubscribe: callback,
    mayPublish: callback,
  },
  ['publish', 'subscribe', 'will', 'mayReceive', 'mayUnsubscribe', 'mayPublish'],
)
const authenticationSource = hooksOf<AuthenticationSource>(
  { authenticate: callback, isStillValid: callback, isKnown: callback },
  ['authenticate'],
)
const authenticate: Rule = {
  must: 'a function, or an object with authenticate',
  holds: (value, name) => typeof value === 'function' || authenticationSource.holds(value, name),
}
const enhancedHooks = hooksOf<EnhancedAuthenticationHook>(
  { methods: listOf(text), step: callback, isStillValid: callback },
  ['step'],
)
const enhancedAuthentication: Rule = {
  must: 'an object with methods and step',
  holds: (value, name) => enhancedHooks.holds(value, name) && (value as { methods?: unknown }).methods !== undefined,
}
const watchNames: readonly (keyof MessageWatch)[] = ['published', 'delivered', 'acknowledged', 'committed']
export const watch: Rule = {
  must: `an object with the functions ${watchNames.join(', ')}`,
  holds: (value) =>
    isObject(value) && watchNames.every((name) => typeof (value as Partial<MessageWatch>)[name] === 'function'),
}
export const observer: Rule = hooksOf<{ [Name in keyof BrokerEvents]: unknown }>(
  {
    'listener.started': callback,
    'listener.stopped': callback,
    'connection.opened': callback,
    'connection.refused': callback,
    'connection.failed': callback,
    'client.connected': callback,
    'client.disconnected': callback,
    'session.taken-over': callback,
    'session.ended': callback,
    'subscription.made': callback,
    'subscription.ended': callback,
    'subscription.withdrawn': callback,
    'will.published': callback,
    'delayed.published': callback,
    'message.published': callback,
    'packet.received': callback,
    'packet.sent': callback,
    'message.withheld': callback,
    'message.shared': callback,
    'message.queued': callback,
    'message.dropped': callback,
    'memory.level': callback,
    'store.failed': callback,
    'store.recovered': callback,
    'store.quarantined': callback,
    'store.row-damaged': callback,
    'store.loaded': callback,
    'hook.failed': callback,
    'core.failed': callback,
  },
  [],
)

// ---- the broker

/** Longest prefix in bytes: the rest of an assigned Client Identifier, and what stores add, has room beside it. */
const PREFIX_BYTES_MAX = 1_000
const clientIdPrefix: Rule = {
  must: `a string of at most ${PREFIX_BYTES_MAX} bytes without control characters and non-characters`,
  holds: (value) =>
    typeof value === 'string' &&
    !hasDisallowedCodePoint(value) &&
    utf8Length(value) >= 0 &&
    utf8Length(value) <= PREFIX_BYTES_MAX,
}

const RULES_MAX = 1_000
const rewrites: Rule = {
  must: `a list of at most ${RULES_MAX} rules { action, from, to } (topic-rewrites.ts)`,
  holds: (value) => {
    if (!Array.isArray(value) || value.length > RULES_MAX) return false
    for (const each of value as TopicRewrite[]) {
      checkOptions(each, { action: oneOf('publish', 'subscribe', 'all'), from: text, to: text })
      const fault = faultOfRewrite(each)
      if (fault !== null) throw new OptionError(`topicRewrites: ${fault}`)
    }
    return true
  },
}
const autoSubscriptionRules: Rules<AutoSubscription> = {
  topicFilter: text,
  qos: oneOf(0, 1, 2),
  noLocal: flag,
  retainAsPublished: flag,
  retainHandling: oneOf(0, 1, 2),
}
const autoSubscriptions: Rule = {
  must: `a list of at most ${RULES_MAX} subscriptions, with topicFilter`,
  holds: (value) => {
    if (!Array.isArray(value) || value.length > RULES_MAX) return false
    for (const each of value as AutoSubscription[]) {
      checkOptions(each, autoSubscriptionRules)
      const fault = faultOfAutoSubscription(each)
      if (fault !== null) throw new OptionError(`autoSubscriptions: ${fault}`)
    }
    return true
  },
}

const coreRules: Rules<CoreOptions> = {
  sessionOwner: oneOf('refuse', 'takeover', 'off'),
  answers: oneOf('recado', 'mosquitto-2.0', 'mosquitto-2.1'),
  overflow: oneOf('reject', 'drop-oldest', 'drop-newest'),
  queueQoS0: flag,
  upgradeQoS: flag,
  allowEmptyClientId: flag,
  assignedClientIdPrefix: clientIdPrefix,
  wildcardSubscriptions: flag,
  sharedSubscriptions: flag,
  subscriptionIdentifiers: flag,
  checkRetainSource: flag,
  allowControlCharacters: flag,
  delayedPublish: flag,
  topicRewrites: rewrites,
  autoSubscriptions,
  sparkplugAware: flag,
}

/** Rules for `BrokerOptions`. `resolveLimits` checks names and bounds of `limits`. */
export const brokerRules: Rules<BrokerOptions> = {
  ...coreRules,
  limits: object,
  authenticate,
  enhancedAuthentication,
  authorize: authorizeHooks,
  transform: callback,
  observer,
  store: withMethods('a store, as lmdb() makes it', 'write', 'put', 'remove', 'get', 'scan', 'scanKeys', 'close'),
  clock: withMethods('a clock', 'nowMs', 'defer', 'alarm', 'after'),
  random: withMethods('a source of random bytes', 'hex'),
}

export const changeRules: Rules<BrokerChanges> = {
  ...coreRules,
  limits: object,
  authenticate: either(authenticate, nothing),
  enhancedAuthentication: either(enhancedAuthentication, nothing),
  authorize: either(authorizeHooks, nothing),
  transform: either(callback, nothing),
  observer: either(observer, nothing),
}

// ---- listeners

const pairRules: Rules<TlsKeyPair> = { cert: pem, key: pem, passphrase: text }
/** Rule that allows more properties, because programs that make certificates return more. */
const keyPair: Rule = {
  must: 'an object with cert and key',
  holds: (value, name) => {
    if (!isObject(value)) return false
    const pair = value as Partial<TlsKeyPair>
    for (const option of ['cert', 'key', 'passphrase'] as const)
      if (pair[option] !== undefined) check(`${name}.${option}`, pair[option], pairRules[option])
    return true
  },
}

const tlsRules: Rules<TlsOptions> = {
  ...pairRules,
  serverNames: {
    must: 'an object of certificates and keys by host name',
    holds: (value, name) => {
      if (!isObject(value) || Array.isArray(value)) return false
      for (const [host, pair] of Object.entries(value)) check(`${name}[${JSON.stringify(host)}]`, pair, keyPair)
      return true
    },
  },
  ca: pems,
  crl: pems,
  clientCertificate: oneOf('none', 'optional', 'required'),
  minVersion: tlsVersion,
  maxVersion: tlsVersion,
  ciphers: text,
  ciphersTls13: text,
  dhparam: pem,
  psk: callback,
  pskHint: text,
  alpnProtocols: listOf(text),
  alpnStrict: flag,
}
export const tls: Rule = optionsOf(tlsRules)

const forwarded = optionsOf<ForwardedOptions>({
  proxies: listOf(text),
  header: oneOf('x-forwarded-for', 'x-real-ip', 'forwarded'),
})
const webSocket = optionsOf<WebSocketOptions>({
  path: text,
  origins: listOf(text),
  headerBytesMax: whole(1, MANY),
  forwarded,
  answers: oneOf('recado', 'mosquitto'),
})
const proxy = optionsOf<ProxyOptions>({ version: oneOf(1, 2), requireTls: flag, requireCertificate: flag })

export const settingsRules: Rules<ListenerSettings> = {
  limits: object,
  allowEmptyClientId: flag,
  assignedClientIdPrefix: clientIdPrefix,
  usernameFrom: oneOf('connect', 'identity', 'subject'),
  clientIdFromUsername: flag,
  mountPoint: text,
}

export const attachRules: Rules<AttachOptions> = { ...settingsRules, name: text }
export const upgradeRules: Rules<UpgradeOptions> = { ...attachRules, webSocket }

/** Rules for `update`. `mountPoint` is accepted and ignored. */
export const updateRules: Rules<Parameters<ListenerHandle['update']>[0] & ListenerSettings> = {
  ...settingsRules,
  connectionsMax: whole(0, MANY),
}

/** Rule for a host: Node takes an empty one for all addresses of the machine, which is nothing to come to by mistake. */
const host: Rule = {
  must: 'a host name or address (0.0.0.0 or :: for all of the machine)',
  holds: (value, name) => {
    check(name, value, text)
    return value !== ''
  },
}

export const listenRules: Rules<ListenOptions> = {
  ...updateRules,
  name: text,
  port: whole(0, 65_535),
  host,
  ipv6Only: flag,
  fd: whole(0, MANY),
  path: text,
  mode: whole(0, 0o7777),
  uid: whole(0, MANY),
  gid: whole(0, MANY),
  noDelay: flag,
  tcpKeepAliveSeconds: whole(0, MANY),
  backlog: whole(1, TIMER_MS_MAX),
  transport: oneOf('auto', 'handle', 'socket'),
  tls,
  proxyProtocol: either(flag, proxy),
  webSocket: either(flag, webSocket),
  protocol: withMethods('a protocol, as http(handler) makes it', 'take', 'close'),
}

// ---- messages and the end

const userProperties: Rule = {
  must: 'an array of pairs of strings',
  holds: (value) =>
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((each) => typeof each === 'string')),
}

const messagePropertyRules: Rules<MessageProperties> = {
  payloadFormatIndicator: oneOf(0, 1),
  messageExpiryIntervalSeconds: whole(0, 0xffff_ffff),
  contentType: text,
  responseTopic: text,
  correlationData: { must: 'a Uint8Array', holds: (value) => value instanceof Uint8Array },
  userProperties,
}

/** Rules for `PublishOptions`. The payload is checked when it is converted to bytes. */
export const publishRules: Rules<PublishOptions> = {
  topic: text,
  payload: anything,
  qos,
  retain: flag,
  properties: optionsOf(messagePropertyRules),
  isNews: flag,
}

/** Rule for an answer of `transform`. */
export const transformation: Rule = optionsOf<MessageTransformation>({
  topic: text,
  payload: anything,
  retain: flag,
  properties: optionsOf(messagePropertyRules),
})

export const subscribeRules: Rules<SubscribeOptions> = { qos, retained: flag, noLocal: flag }

function reasonCodeIn(...packetTypes: readonly number[]): Rule {
  const holds = (value: unknown): boolean =>
    typeof value === 'number' && packetTypes.some((type) => isReasonCodeOf(type, 5, 'server', value))
  return { must: 'a Reason Code that a server may send here', holds }
}

export const closeRules: Rules<CloseOptions> = {
  reasonCode: reasonCodeIn(PacketType.DISCONNECT),
  serverReference: text,
  timeoutMs: whole(0, TIMER_MS_MAX),
  graceMs: whole(0, TIMER_MS_MAX),
}

// ---- answers of hooks

const decisionRules: Rules<ConnectDecision> = {
  reasonCode: reasonCodeIn(PacketType.CONNACK),
  reasonString: text,
  serverReference: text,
  username: text,
  responseInformation: text,
  userProperties,
  grants: anything,
  expiresAtMs: {
    must: 'a number of milliseconds',
    holds: (value) => typeof value === 'number' && !Number.isNaN(value),
  },
  credential: anything,
}
export const decision: Rule = optionsOf(decisionRules)
export const answer: Rule = optionsOf<AuthenticationAnswer>({
  ...decisionRules,
  reasonCode: reasonCodeIn(PacketType.CONNACK, PacketType.AUTH, PacketType.DISCONNECT),
  data: { must: 'a Uint8Array', holds: (value) => value instanceof Uint8Array },
})
