/**
 * The embedder's hooks as the core's ports: a hook may return a value or a promise, and may throw; the core only knows
 * callbacks that come exactly once, and Reason Codes.
 *
 * Invariant: only an answer of a known form allows anything; another one refuses, and is reported as a failure of the
 * hook.
 */
import {
  check,
  encodeProperties,
  OptionError,
  PacketType,
  parseTopicName,
  ReasonCode,
  type Rule,
  type Subscription,
  shown,
  toBytes,
  utf8Length,
} from '@recado/protocol'
import { REMAINING_LENGTH_MAX } from './core/base/message.ts'
import { copyOf } from './core/base/payload-blocks.ts'
import { answer as answerRule, decision as decisionRule, transformation as transformationRule } from './option-rules.ts'
import {
  ALLOW,
  type ApplicationMessage,
  type AuthenticationAnswer,
  type AuthenticationStep,
  type Authenticator,
  type Authorizer,
  type BrokerEvents,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  type Controller,
  type EnhancedAuthenticator,
  type MessageChanges,
  type MessageProperties,
  type MessageWatch,
  type Observer,
  PENDING,
  REFUSED,
  type Transformer,
  type Verdict,
} from './ports.ts'

type MaybePromise<T> = T | Promise<T>

/** Function that lets a client in: `true` accepts it; `false` refuses it with 0x87 Not authorized (5 in 3.1.1). */
export type AuthenticateHook = (request: ConnectRequest) => MaybePromise<boolean | ConnectDecision>

/** Source of logins with more methods, such as `passwordFile()`. */
export interface AuthenticationSource {
  /**
   * Decides about a client. `null` means that it is not a client of this source, which alone refuses it; `firstOf` asks
   * the next source.
   */
  authenticate(request: ConnectRequest): MaybePromise<boolean | ConnectDecision | null>
  /**
   * Whether this client, let in with `credential` of the decision, would be let in again. Asked by `broker.recheck()`.
   * Default: yes.
   */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
  /**
   * Whether the user still exists. Asked before the Will of a client is published that may have connected before the
   * broker started. Default: yes.
   */
  isKnown?(client: ClientInfo): boolean
}

/**
 * Answer of a hook: `true` and 0 allow; `false` is 0x87 Not authorized; any other number is the Reason Code of the
 * refusal.
 */
export type Permission = boolean | ReasonCode

/** Rights of clients: one function for each question; without a function everything is allowed. */
export interface AuthorizeHooks {
  /**
   * Whether the answer of `publish` depends on the client and the topic alone, and holds until `broker.recheck()` or
   * until the client logs in again, so that the hook need not be called for every message. Default false.
   */
  readonly isStable?: boolean
  /** Whether the client may publish to this topic. */
  publish?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): MaybePromise<Permission>
  /** Whether the client may connect with this Will. Default: the answer of `publish`. */
  will?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): MaybePromise<Permission>
  /**
   * Whether the client may make this subscription. The hook may lower `subscription.qos`. Where there is no
   * `mayReceive` (see `decidesAtSubscribe`) it is asked again about each subscription of a session that is resumed, and
   * after `broker.recheck()`. Until it has answered, messages for the client wait; a subscription that it refuses ends.
   * 0x80, 0x83, 0x88, 0x89, 0x97, and a failing hook, are no answer then: it is asked once more after 2 s.
   */
  subscribe?(client: ClientInfo, subscription: Subscription): MaybePromise<Permission>
  /**
   * Whether the client may end this subscription. `false` is 0x87 in UNSUBACK, and the subscription stays. Default:
   * yes.
   */
  mayUnsubscribe?(client: ClientInfo, topicFilter: string): boolean
  /**
   * Whether the client may receive messages of this topic. Asked once for each client and topic, not for each message;
   * after a change call `broker.recheck()`. Default: a granted subscription receives all messages that match it.
   */
  mayReceive?(client: ClientInfo, topic: string): boolean
  /**
   * Whether `subscribe` is asked again, as described there. Default: when there is a `subscribe` and no `mayReceive`.
   */
  decidesAtSubscribe?(client: ClientInfo): boolean
  /**
   * Whether the client may still publish to this topic. Asked before its Will, and before its retained messages, are
   * sent. Default: yes.
   */
  mayPublish?(client: ClientInfo, topic: string): boolean
}

/** Authentication by AUTH packets (MQTT 5.0, 4.12). */
export interface EnhancedAuthenticationHook {
  readonly methods: readonly string[]
  step(step: AuthenticationStep): MaybePromise<AuthenticationAnswer>
  /**
   * Whether a client that was let in by AUTH packets would be let in again, as in `AuthenticationSource`. Default: yes.
   */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
}

/** New contents of a message; what is absent stays. QoS and Message Expiry Interval cannot be changed. */
export interface MessageTransformation {
  topic?: string
  /** A string is sent as UTF-8. */
  payload?: string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer
  retain?: boolean
  /** All properties that are passed on: those that are absent here are not. */
  properties?: MessageProperties
}

/**
 * Function that is called for each message of a client, and for each Will, before anybody gets it. It answers new contents, or
 * `undefined` to leave the message as it is, or `null` so that nobody gets it: the publisher is answered as if somebody had. It must not take
 * time. The payload is borrowed: copy it to keep it. Where it throws, or answers something else, nobody gets the message: MQTT
 * 5.0 publishers are told 0x83.
 */
export type TransformHook = (
  message: ApplicationMessage,
  client: ClientInfo,
) => MessageTransformation | null | undefined

/** Callback for every hook that throws. */
export type HookFailed = (hook: string, error: unknown) => void

function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown })?.then === 'function'
}

/**
 * Reports a rejection of what a hook has returned, where no promise is awaited: an unhandled one would end the process.
 * Costs one comparison for `undefined`, `true` and `false`.
 */
export function reportRejection(name: string, result: unknown, failed: HookFailed): void {
  if (typeof result !== 'object' || result === null) return
  try {
    if (isPromise(result)) result.then(undefined, (error: unknown) => failed(name, error))
  } catch (error) {
    failed(name, error)
  }
}

/** Returns true when `value`, the hook's answer, has the right form. Otherwise it reports a failure of the hook. */
function isAnswer(name: string, value: unknown, rule: Rule, failed: HookFailed): boolean {
  try {
    check(`the answer of ${name}`, value, rule)
    return true
  } catch (error) {
    failed(name, error)
    return false
  }
}

/** Whether the hook, if there is one, answers `true`; a promise is not an answer. Without a hook: yes. */
export function says(name: string, failed: HookFailed, hook: (() => unknown) | null): boolean {
  if (hook === null) return true
  try {
    const answer = hook()
    if (typeof answer === 'boolean') return answer
    reportRejection(name, answer, failed)
    failed(name, new OptionError(`the answer of ${name} must be true or false, not ${shown(answer)}`))
  } catch (error) {
    failed(name, error)
  }
  return false
}

/** Calls `hook` and passes its result on: at once, or when its promise is settled. A failure calls `onError()`. */
function call<T>(
  name: string,
  failed: HookFailed,
  hook: () => MaybePromise<T>,
  onError: T,
  done: (value: T) => void,
): void {
  let result: MaybePromise<T>
  try {
    result = hook()
  } catch (error) {
    failed(name, error)
    done(onError)
    return
  }
  if (!isPromise(result)) {
    done(result)
    return
  }
  // A thenable of another library may have no `catch`.
  Promise.resolve(result)
    .catch((error: unknown) => {
      failed(name, error)
      return onError
    })
    .then(done)
}

export function authenticatorOf(hook: AuthenticateHook | AuthenticationSource, failed: HookFailed): Authenticator {
  const onError: ConnectDecision = { reasonCode: ReasonCode.UnspecifiedError, reasonString: 'authentication failed' }
  const source: AuthenticationSource = typeof hook === 'function' ? { authenticate: hook } : hook
  return {
    isStillValid: (client, credential) =>
      says(
        'authenticate.isStillValid',
        failed,
        source.isStillValid === undefined ? null : () => source.isStillValid!(client, credential),
      ),
    isKnown: (client) =>
      says('authenticate.isKnown', failed, source.isKnown === undefined ? null : () => source.isKnown!(client)),
    authenticate(request, decide) {
      call<boolean | ConnectDecision | null>(
        'authenticate',
        failed,
        () => source.authenticate(request),
        onError,
        (result) => {
          if (result === true) decide({})
          else if (result === false || result === null) decide(REFUSED)
          else decide(isAnswer('authenticate', result, decisionRule, failed) ? result : onError)
        },
      )
    },
  }
}

export function enhancedAuthenticatorOf(hook: EnhancedAuthenticationHook, failed: HookFailed): EnhancedAuthenticator {
  const onError: AuthenticationAnswer = {
    reasonCode: ReasonCode.UnspecifiedError,
    reasonString: 'authentication failed',
  }
  return {
    methods: hook.methods,
    isStillValid: (client, credential) =>
      says(
        'enhancedAuthentication.isStillValid',
        failed,
        hook.isStillValid === undefined ? null : () => hook.isStillValid!(client, credential),
      ),
    step(step, answer) {
      call(
        'enhancedAuthentication',
        failed,
        () => hook.step(step),
        onError,
        (result) => answer(isAnswer('enhancedAuthentication', result, answerRule, failed) ? result : onError),
      )
    },
  }
}

/**
 * Converts an answer to a Reason Code: `true`, 0 and `false`, and codes that refuse. Anything else, also no answer, is
 * a failure of the hook.
 */
function reasonCodeOf(name: string, permission: unknown, failed: HookFailed): ReasonCode {
  if (permission === true || permission === ALLOW) return ALLOW
  if (permission === false) return ReasonCode.NotAuthorized
  if (Number.isInteger(permission) && (permission as number) >= 0x80 && (permission as number) <= 0xff)
    return permission as ReasonCode
  failed(
    name,
    new OptionError(`the answer of ${name} must be true, false or a Reason Code from 0x80, not ${shown(permission)}`),
  )
  return ReasonCode.NotAuthorized
}

/** Whether `subscribe` decides for this client; with null, whether it may for some client. */
export function decidesAtSubscribe(hooks: AuthorizeHooks, client: ClientInfo | null): boolean {
  if (hooks.decidesAtSubscribe !== undefined && client !== null) return hooks.decidesAtSubscribe(client)
  return hooks.subscribe !== undefined && hooks.mayReceive === undefined
}

/**
 * Function that carries out commands: the payload of a message to a topic below `$CONTROL/`. A returned number refuses
 * the PUBLISH with that Reason Code.
 */
export type ControlHook = (client: ClientInfo, payload: Uint8Array, topic: string) => MaybePromise<ReasonCode | void>

export function controllerOf(hook: ControlHook, topic: string, failed: HookFailed): Controller {
  const handle: Controller['handle'] = async (client, sentTo, payload, done) => {
    let reasonCode: ReasonCode = ReasonCode.ImplementationSpecificError
    try {
      // Later, because a controller must answer in a later turn.
      await null
      reasonCode = reasonCodeOf(`control ${topic}`, (await hook(client, payload, sentTo)) ?? ALLOW, failed)
    } catch (error) {
      failed(`control ${topic}`, error)
    }
    done(reasonCode)
  }
  return { handle }
}

export function transformerOf(hook: TransformHook, failed: HookFailed): Transformer {
  return {
    transform(client, message) {
      try {
        const answer = hook(message, client)
        if (answer === undefined) return null
        if (answer === null) return ReasonCode.Success
        if (isPromise(answer)) {
          reportRejection('transform', answer, failed)
          throw new OptionError('the answer of transform is a promise: it must answer at once')
        }
        check('the answer of transform', answer, transformationRule)
        return changesOf(answer, message)
      } catch (error) {
        failed('transform', error)
        return ReasonCode.ImplementationSpecificError
      }
    },
  }
}

function changesOf(
  { topic, payload, properties, ...rest }: MessageTransformation,
  message: ApplicationMessage,
): MessageChanges {
  const bytes = payload === undefined ? message.payload : toBytes(payload)
  // What cannot be encoded is found before anybody has the message.
  if (properties !== undefined || bytes.length > REMAINING_LENGTH_MAX / 2) {
    const propertyField = encodeProperties(properties ?? message.properties, PacketType.PUBLISH)
    // Topic and Packet Identifier have 4 bytes more.
    const size = utf8Length(topic ?? message.topic) + 4 + propertyField.length + bytes.length
    if (size > REMAINING_LENGTH_MAX)
      throw new OptionError(`the answer of transform makes a packet of ${size} bytes, more than MQTT allows`)
  }
  return {
    ...rest,
    ...(topic === undefined ? {} : { topic: parseTopicName(topic) }),
    ...(properties === undefined ? {} : { properties }),
    // A view of what came would change with the next packet.
    ...(payload === undefined ? {} : { payload: copyOf(bytes) }),
  }
}

export function authorizerOf(hooks: AuthorizeHooks, failed: HookFailed): Authorizer {
  const late = (name: string, answer: Promise<Permission>, decide: (reasonCode: ReasonCode) => void): Verdict => {
    Promise.resolve(answer)
      .catch((error: unknown): Permission => {
        failed(name, error)
        return ReasonCode.ImplementationSpecificError
      })
      .then((permission) => decide(reasonCodeOf(name, permission, failed)))
    return PENDING
  }
  const broken = (name: string, error: unknown): ReasonCode => {
    failed(name, error)
    return ReasonCode.ImplementationSpecificError
  }
  // One function for each question, without closures: `publish` is asked for every message.
  const authorizer: Authorizer = {
    isStable: hooks.isStable === true,
    publish(client, topic, qos, retain, decide) {
      if (hooks.publish === undefined) return ALLOW
      let answer: MaybePromise<Permission>
      try {
        answer = hooks.publish(client, topic, { qos, retain })
      } catch (error) {
        return broken('authorize.publish', error)
      }
      if (answer === true) return ALLOW
      if (isPromise(answer)) return late('authorize.publish', answer, decide)
      return reasonCodeOf('authorize.publish', answer, failed)
    },
    will(client, { topic, qos, retain }, decide) {
      if (hooks.will === undefined) return authorizer.publish(client, topic, qos, retain, decide)
      try {
        const answer = hooks.will(client, topic, { qos, retain })
        if (isPromise(answer)) return late('authorize.will', answer, decide)
        return reasonCodeOf('authorize.will', answer, failed)
      } catch (error) {
        return broken('authorize.will', error)
      }
    },
    subscribe(client, subscription, decide) {
      if (hooks.subscribe === undefined) return ALLOW
      try {
        const answer = hooks.subscribe(client, subscription)
        if (isPromise(answer)) return late('authorize.subscribe', answer, decide)
        return reasonCodeOf('authorize.subscribe', answer, failed)
      } catch (error) {
        return broken('authorize.subscribe', error)
      }
    },
  }
  if (hooks.decidesAtSubscribe !== undefined || decidesAtSubscribe(hooks, null)) {
    authorizer.decidesAtSubscribe = (client) => {
      try {
        const answer: unknown = decidesAtSubscribe(hooks, client)
        if (typeof answer === 'boolean') return answer
        reportRejection('authorize.decidesAtSubscribe', answer, failed)
        throw new OptionError(`the answer of authorize.decidesAtSubscribe must be true or false, not ${shown(answer)}`)
      } catch (error) {
        failed('authorize.decidesAtSubscribe', error)
        return true
      }
    }
  }
  for (const name of ['mayReceive', 'mayPublish', 'mayUnsubscribe'] as const) {
    const hook = hooks[name]
    if (hook === undefined) continue
    authorizer[name] = (client, topic) => says(`authorize.${name}`, failed, () => hook.call(hooks, client, topic))
  }
  return authorizer
}

/** Wraps an observer so that its exceptions, and rejections of what it returns, do not reach the core. */
export function guarded(observer: Observer, failed: HookFailed): Observer {
  const result: Observer = {}
  for (const name of Object.keys(observer) as (keyof BrokerEvents)[]) {
    const listener = observer[name] as ((event: never) => unknown) | undefined
    if (listener === undefined) continue
    const hook = `observer ${name}`
    // One that fails when it is told of a failure would be told of that for ever.
    const broken: HookFailed = name === 'hook.failed' ? () => {} : failed
    const guard = (event: never): void => {
      try {
        reportRejection(hook, listener(event), broken)
      } catch (error) {
        broken(hook, error)
      }
    }
    Object.assign(result, { [name]: guard })
  }
  return result
}

/** Catches errors of a watch; a message whose beginning fails is not followed. */
export function guardedWatch(watch: MessageWatch, failed: HookFailed): MessageWatch {
  const attempt = (name: keyof MessageWatch, call: () => void): void => {
    try {
      call()
    } catch (error) {
      failed(`watch ${name}`, error)
    }
  }
  return {
    published(client, message, messages) {
      try {
        return watch.published(client, message, messages) === true
      } catch (error) {
        failed('watch published', error)
        return false
      }
    },
    delivered: (client, message) => attempt('delivered', () => watch.delivered(client, message)),
    acknowledged: (message) => attempt('acknowledged', () => watch.acknowledged(message)),
    committed: (milliseconds) => attempt('committed', () => watch.committed(milliseconds)),
  }
}
