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
  type Verdict,
} from './ports.ts'

type MaybePromise<T> = T | Promise<T>

/** `true` lets the client in; `false` refuses it with 0x87 Not authorized (5 in 3.1.1). */
export type AuthenticateHook = (request: ConnectRequest) => MaybePromise<boolean | ConnectDecision>

/** `true` and 0 allow; `false` is 0x87 Not authorized; any other number is the Reason Code to refuse with. */
export type Permission = boolean | ReasonCode

export interface AuthorizeHooks {
  /** May the client publish to this topic? Also asked for its Will. */
  publish?: (client: ClientInfo, topic: string, options: { qos: number; retain: boolean }) => MaybePromise<Permission>
  /** May the client make this subscription? The hook may lower `subscription.qos`. */
  subscribe?: (client: ClientInfo, subscription: Subscription) => MaybePromise<Permission>
}

export interface EnhancedAuthenticationHook {
  readonly methods: readonly string[]
  step(step: AuthenticationStep): MaybePromise<AuthenticationAnswer>
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

export function authenticatorOf(hook: AuthenticateHook, failed: HookFailed): Authenticator {
  const onError: ConnectDecision = { reasonCode: ReasonCode.UnspecifiedError, reasonString: 'authentication failed' }
  return {
    authenticate(request, decide) {
      call<boolean | ConnectDecision>(
        'authenticate',
        failed,
        () => hook(request),
        onError,
        (result) => {
          if (result === true) decide({})
          else if (typeof result === 'object' && result !== null) decide(result)
          // Also a hook that forgets to answer.
          else decide({ reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' })
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

export function authorizerOf(hooks: AuthorizeHooks, failed: HookFailed): Authorizer {
  const ask = (
    name: string,
    hook: () => MaybePromise<Permission>,
    decide: (reasonCode: ReasonCode) => void,
  ): Verdict => {
    let verdict: Verdict = PENDING
    let hasReturned = false
    call<Permission>(name, failed, hook, ReasonCode.ImplementationSpecificError, (permission) => {
      const reasonCode = reasonCodeOf(permission)
      if (hasReturned) decide(reasonCode)
      else verdict = reasonCode
    })
    hasReturned = true
    return verdict
  }
  return {
    publish(client, topic, qos, retain, decide) {
      const hook = hooks.publish
      return hook === undefined ? ALLOW : ask('authorize.publish', () => hook(client, topic, { qos, retain }), decide)
    },
    subscribe(client, subscription, decide) {
      const hook = hooks.subscribe
      return hook === undefined ? ALLOW : ask('authorize.subscribe', () => hook(client, subscription), decide)
    },
  }
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
