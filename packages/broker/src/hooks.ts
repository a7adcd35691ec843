/**
 * The embedder's hooks as the core's ports: a hook may return a value or a promise, and may throw; the core only knows
 * callbacks that come exactly once, and Reason Codes.
 */
import { ReasonCode, type Subscription } from '@recado/protocol'
import {
  ALLOW,
  type AuthenticationAnswer,
  type AuthenticationStep,
  type Authenticator,
  type Authorizer,
  type BrokerEvents,
  type ClientInfo,
  type ConnectDecision,
  type ConnectRequest,
  type EnhancedAuthenticator,
  type Observer,
  PENDING,
  REFUSED,
  type Verdict,
} from './ports.ts'

type MaybePromise<T> = T | Promise<T>

/** `true` lets the client in; `false` refuses it with 0x87 Not authorized (5 in 3.1.1). */
export type AuthenticateHook = (request: ConnectRequest) => MaybePromise<boolean | ConnectDecision>

/** The same with more to say, as `passwordFile()` makes it. */
export interface AuthenticationSource {
  /** `null`: not a client of this source. Alone that is a refusal; `firstOf` asks the next one. */
  authenticate(request: ConnectRequest): MaybePromise<boolean | ConnectDecision | null>
  /** Asked by `broker.recheck()`: would this client, let in with `credential` of the decision, be let in again? Default: yes. */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
  /**
   * Is there still such a user? Asked when the Will of a client is to be published, which may have connected before the broker started.
   * Default: yes.
   */
  isKnown?(client: ClientInfo): boolean
}

/** `true` and 0 allow; `false` is 0x87 Not authorized; any other number is the Reason Code to refuse with. */
export type Permission = boolean | ReasonCode

export interface AuthorizeHooks {
  /**
   * What `publish` answers depends on the client and the topic alone, and holds until `broker.recheck()` or until the client logs in
   * again: it need not be asked for every message. Default false.
   */
  readonly isStable?: boolean
  /** May the client publish to this topic? */
  publish?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): MaybePromise<Permission>
  /** May the client connect with this Will? Default: as `publish`. */
  will?(client: ClientInfo, topic: string, options: { qos: number; retain: boolean }): MaybePromise<Permission>
  /**
   * May the client make this subscription? The hook may lower `subscription.qos`. Where there is no `mayReceive` (see `decidesAtSubscribe`) it is
   * asked again about each subscription of a session that is resumed, whoever comes, and after `broker.recheck()`. Until it has answered
   * nothing is sent to the client, and what comes waits; a subscription that it refuses ends. 0x80, 0x83, 0x88, 0x89, 0x97, and a hook that fails,
   * are no answer then: it is asked once more after 2 s.
   */
  subscribe?(client: ClientInfo, subscription: Subscription): MaybePromise<Permission>
  /**
   * May the client receive what is published to this topic? Asked once for each client and topic, not for each message; after a
   * change call `broker.recheck()`. Default: a granted subscription receives all that matches it.
   */
  mayReceive?(client: ClientInfo, topic: string): boolean
  /** Whether `subscribe` is asked again, as it says. Default: when there is a `subscribe` and no `mayReceive`. */
  decidesAtSubscribe?(client: ClientInfo): boolean
  /** May the client still publish to this topic? Asked before its Will, and before what it has retained, is sent. Default: yes. */
  mayPublish?(client: ClientInfo, topic: string): boolean
}

export interface EnhancedAuthenticationHook {
  readonly methods: readonly string[]
  step(step: AuthenticationStep): MaybePromise<AuthenticationAnswer>
  /** As that of `AuthenticationSource`, of clients that have come in by AUTH packets. Default: yes. */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
}

/** Told of every hook that throws. */
export type HookFailed = (hook: string, error: unknown) => void

function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown })?.then === 'function'
}

/** Calls `hook` and passes its result on: at once, or when its promise is settled. A failure becomes `onError()`. */
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
  result
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
    isStillValid(client, credential) {
      try {
        return source.isStillValid?.(client, credential) ?? true
      } catch (error) {
        failed('authenticate.isStillValid', error)
        return false
      }
    },
    isKnown(client) {
      try {
        return source.isKnown?.(client) ?? true
      } catch (error) {
        failed('authenticate.isKnown', error)
        return false
      }
    },
    authenticate(request, decide) {
      call<boolean | ConnectDecision | null>(
        'authenticate',
        failed,
        () => source.authenticate(request),
        onError,
        (result) => {
          if (result === true) decide({})
          else if (typeof result === 'object' && result !== null) decide(result)
          // Also a hook that forgets to answer.
          else decide(REFUSED)
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
    isStillValid(client, credential) {
      try {
        return hook.isStillValid?.(client, credential) ?? true
      } catch (error) {
        failed('enhancedAuthentication.isStillValid', error)
        return false
      }
    },
    step(step, answer) {
      call('enhancedAuthentication', failed, () => hook.step(step), onError, answer)
    },
  }
}

/** A hook that forgets to answer does not allow. */
function reasonCodeOf(permission: Permission): ReasonCode {
  if (typeof permission === 'number') return permission
  return permission === true ? ALLOW : ReasonCode.NotAuthorized
}

/** Of one client; null: of any. */
export function decidesAtSubscribe(hooks: AuthorizeHooks, client: ClientInfo | null): boolean {
  if (hooks.decidesAtSubscribe !== undefined && client !== null) return hooks.decidesAtSubscribe(client)
  return hooks.subscribe !== undefined && hooks.mayReceive === undefined
}

export function authorizerOf(hooks: AuthorizeHooks, failed: HookFailed): Authorizer {
  const late = (name: string, answer: Promise<Permission>, decide: (reasonCode: ReasonCode) => void): Verdict => {
    answer
      .catch((error: unknown): Permission => {
        failed(name, error)
        return ReasonCode.ImplementationSpecificError
      })
      .then((permission) => decide(reasonCodeOf(permission)))
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
      return isPromise(answer) ? late('authorize.publish', answer, decide) : reasonCodeOf(answer)
    },
    will(client, { topic, qos, retain }, decide) {
      if (hooks.will === undefined) return authorizer.publish(client, topic, qos, retain, decide)
      try {
        const answer = hooks.will(client, topic, { qos, retain })
        return isPromise(answer) ? late('authorize.will', answer, decide) : reasonCodeOf(answer)
      } catch (error) {
        return broken('authorize.will', error)
      }
    },
    subscribe(client, subscription, decide) {
      if (hooks.subscribe === undefined) return ALLOW
      try {
        const answer = hooks.subscribe(client, subscription)
        return isPromise(answer) ? late('authorize.subscribe', answer, decide) : reasonCodeOf(answer)
      } catch (error) {
        return broken('authorize.subscribe', error)
      }
    },
  }
  if (hooks.decidesAtSubscribe !== undefined || decidesAtSubscribe(hooks, null)) {
    authorizer.decidesAtSubscribe = (client) => {
      try {
        return decidesAtSubscribe(hooks, client)
      } catch (error) {
        failed('authorize.decidesAtSubscribe', error)
        return true
      }
    }
  }
  for (const name of ['mayReceive', 'mayPublish'] as const) {
    const hook = hooks[name]
    if (hook === undefined) continue
    authorizer[name] = (client, topic) => {
      try {
        return hook.call(hooks, client, topic) === true
      } catch (error) {
        failed(`authorize.${name}`, error)
        return false
      }
    }
  }
  return authorizer
}

/** An observer whose exceptions do not reach the core. */
export function guarded(observer: Observer, failed: HookFailed): Observer {
  const result: Observer = {}
  for (const name of Object.keys(observer) as (keyof BrokerEvents)[]) {
    const listener = observer[name] as ((event: never) => void) | undefined
    if (listener === undefined) continue
    const guard = (event: never): void => {
      try {
        listener(event)
      } catch (error) {
        if (name !== 'hook.failed') failed(`observer ${name}`, error)
      }
    }
    Object.assign(result, { [name]: guard })
  }
  return result
}
