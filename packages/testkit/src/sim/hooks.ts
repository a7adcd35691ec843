/**
 * The broker's questions to its embedder about logins and rights: some answers take time. The model is told when the
 * broker asks.
 */
import type { Core } from '@recado/broker/testing'
import type { BrokerConfig } from './broker-config.ts'
import type { Chance } from './chance.ts'
import { decideAuto, isAutoAsked } from './model/auto-subscriptions.ts'
import type { Model } from './model/model.ts'
import type { Change } from './model/types.ts'
import type { ModelFeed } from './model-feed.ts'

/** Decisions of the broker's hooks. */
export interface Policy {
  refusalOf(clientId: string, username: string, willTopic: string | null): number
  mayPublish(clientId: string, username: string, topic: string): boolean
  maySubscribe(clientId: string, username: string, topicFilter: string): boolean
  changeOf(payload: string): Change | number | null
}

/** Environment of the hooks of one process. */
export interface HookHost {
  readonly modelFeed: ModelFeed
  readonly model: Model
  readonly policy: Policy
  readonly config: BrokerConfig
  readonly chance: Chance
  /** Duration of a login in milliseconds; Infinity for ever. */
  credentialsMs(): number
  /** Milliseconds by the clock of the machine. */
  machineMs(): number
  /** No more faults. */
  isCalm(): boolean
  /** Number of changes of rights in this process. */
  rechecks(): number
  /** Decides after some time, if the process and the connection are still there. */
  later(name: string, decide: () => void): void
  /** The same for a decision during which the broker goes on reading the connection. */
  laterWhileRead(name: string, decide: () => void): void
}

type ClientInfo = { readonly clientId: string; readonly username: string | undefined }
type Ports = ConstructorParameters<typeof Core>[2]

export function authenticator(host: HookHost): NonNullable<Ports['authenticator']> {
  return {
    authenticate: (request, decide) => {
      const name = request.remoteAddress
      const rechecks = host.rechecks()
      const conclude = (): void => {
        const reasonCode = host.policy.refusalOf(request.clientId, request.connect.username ?? '', null)
        // When rights have changed meanwhile the broker asks again; also when it has waited for the disk.
        const isAskedAgain = reasonCode === 0 && host.rechecks() !== rechecks
        if (!isAskedAgain && host.modelFeed.named(name)?.connection.connect === null)
          host.modelFeed.tellAsked(name, 'CONNECT')
        const connection = host.modelFeed.named(name)?.connection
        const lifeMs = host.credentialsMs()
        if (connection !== undefined) connection.credentialsEndMs = host.model.nowMs + lifeMs
        const ends = lifeMs < Number.POSITIVE_INFINITY ? { expiresAtMs: host.machineMs() + lifeMs } : {}
        decide({ reasonCode, responseInformation: 'answers', ...ends })
      }
      if (host.chance.of(host.config.lateDecisions)) host.later(name, conclude)
      else conclude()
    },
  }
}

export function enhancedAuthenticator(host: HookHost): NonNullable<Ports['enhancedAuthenticator']> {
  return {
    methods: ['SIM'],
    step: (step, answer) => {
      const name = step.request.remoteAddress
      const asked = host.modelFeed.named(name)
      if (asked !== undefined && step.phase === 'connect') asked.rechecks = host.rechecks()
      const conclude = (): void => {
        host.model.cover(`auth.${step.phase}`)
        if (step.phase !== 'continue') answer({ reasonCode: 0x18, data: Uint8Array.of(1) })
        else {
          const observed = host.modelFeed.named(name)
          if (observed !== undefined) observed.isAuthenticating = false
          // Something that can be asked about when rights change meanwhile: without it the client has to come again.
          const hasCredential = host.chance.of(0.7)
          const isLost = !hasCredential && host.rechecks() !== observed?.rechecks
          if (observed?.connection.session == null && !isLost) host.modelFeed.tellAsked(name, 'CONNECT')
          answer(hasCredential ? { credential: 'sim' } : {})
        }
      }
      if (host.chance.of(host.config.lateDecisions)) host.later(name, conclude)
      else conclude()
    },
  }
}

export function transformer({ policy }: HookHost): NonNullable<Ports['transformer']> {
  return {
    transform: (_client, { payload }) => {
      const change = policy.changeOf(new TextDecoder().decode(payload))
      if (change === null || typeof change === 'number') return change
      const { payload: text, ...rest } = change
      return text === undefined ? rest : { ...rest, payload: new TextEncoder().encode(text) }
    },
  }
}

/** Answers after which a subscription stays, and is asked about again: nobody knows, or has time. */
const UNDECIDED = [0x80, 0x83, 0x88, 0x89, 0x97] as const

/** Answer about a subscription that is there. */
function verdictOf({ chance, config, isCalm }: HookHost): number {
  if (config.hasReviews !== true || isCalm() || chance.of(0.6)) return 0
  return chance.of(0.6) ? chance.pick(UNDECIDED) : 0x87
}

export function authorizer(host: HookHost): NonNullable<Ports['authorizer']> {
  const { rights, sources } = host.model
  return {
    ...(host.config.denials === null
      ? {}
      : {
          mayReceive: ({ clientId, username }: ClientInfo, topic: string) =>
            rights.allows(clientId, username ?? '', topic),
        }),
    ...(host.config.withdrawals === null
      ? {}
      : {
          mayPublish: ({ clientId, username }: ClientInfo, topic: string) =>
            sources.allows(clientId, username ?? '', topic),
        }),
    publish: (client, topic, _qos, _retain, decide) => {
      const name = client.remoteAddress
      const reasonCode = host.policy.mayPublish(client.clientId, client.username ?? '', topic) ? 0 : 0x87
      // A Will is asked for before the session is there.
      if ((client as { session?: unknown }).session === null) return reasonCode
      if (!host.chance.of(host.config.lateDecisions)) {
        host.modelFeed.tellAsked(name, 'PUBLISH')
        return reasonCode
      }
      host.later(name, () => {
        host.modelFeed.tellAsked(name, 'PUBLISH')
        decide(reasonCode)
      })
      return -1
    },
    decidesAtSubscribe: () => host.config.lateDecisions > 0,
    subscribe: (client, subscription, decide, isAgain) => {
      const name = client.remoteAddress
      if (isAgain) {
        const verdict = verdictOf(host)
        host.model.cover(verdict === 0 ? 'subscription.confirmed' : 'subscription.not-confirmed')
        if (!host.chance.of(host.config.lateDecisions)) return verdict
        host.laterWhileRead(name, () => decide(verdict))
        return -1
      }
      const reasonCode = host.policy.maySubscribe(client.clientId, client.username ?? '', subscription.topicFilter)
        ? 0
        : 0x87
      const observed = host.modelFeed.named(name)
      const { topicFilter } = subscription
      if (observed !== undefined && isAutoAsked(host.model, observed.connection, topicFilter)) {
        const decideOwn = (): void => decideAuto(host.model, observed.connection, reasonCode === 0)
        if (host.model.settings.autoSubscriptions.length === 1 && host.chance.of(host.config.lateDecisions)) {
          host.later(name, () => {
            decideOwn()
            decide(reasonCode)
          })
          return -1
        }
        decideOwn()
        return reasonCode
      }
      // Another filter of a SUBSCRIBE that it is at already.
      const at = observed?.filtersToBeAsked.indexOf(subscription.topicFilter) ?? -1
      if (at >= 0) {
        observed!.filtersToBeAsked.splice(0, at + 1)
        return reasonCode
      }
      const packet = observed?.inbox.find(({ type }) => type === 'SUBSCRIBE')
      const isAlone = packet?.type === 'SUBSCRIBE' && packet.filters.length === 1
      if (!isAlone || !host.chance.of(host.config.lateDecisions)) {
        host.modelFeed.tellAsked(name, 'SUBSCRIBE')
        if (packet?.type === 'SUBSCRIBE') {
          const filters = packet.filters.map(({ topicFilter }) => topicFilter)
          observed!.filtersToBeAsked = filters.slice(filters.indexOf(subscription.topicFilter) + 1)
        }
        return reasonCode
      }
      // What the broker can store it has judged before it asked.
      const { isFailing } = host.model
      const { level } = host.model.memory
      host.later(name, () => {
        const isFailingNow = host.model.isFailing
        const { memory } = host.model
        const levelNow = memory.level
        host.model.isFailing = isFailing
        memory.level = level
        host.modelFeed.tellAsked(name, 'SUBSCRIBE')
        host.model.isFailing = isFailingNow
        memory.level = levelNow
        decide(reasonCode)
      })
      return -1
    },
  }
}
