/** The policy of the simulation: which logins, publications and subscriptions its hooks refuse. */
import type { BrokerConfig } from '../broker-config.ts'
import type { Policy } from '../hooks.ts'
import { FREE_USER } from '../model/rights.ts'
import { changeOf } from './answers.ts'

export function policyOf(config: () => BrokerConfig): Policy {
  const isDenied = (clientId: string, username: string, name: string): boolean =>
    config().hasAuthorizer && clientId !== 'c0' && username !== FREE_USER && name.split('/').includes('no')
  return {
    refusalOf: (clientId, username, willTopic) => {
      if (config().hasAuthenticator && clientId === 'c4') return 0x86
      return willTopic !== null && isDenied(clientId, username, willTopic) ? 0x87 : 0
    },
    mayPublish: (clientId, username, topic) => !isDenied(clientId, username, topic),
    changeOf: (payload) => (config().hasTransformer === true ? changeOf(payload) : null),
    maySubscribe: (clientId, username, topicFilter) => !isDenied(clientId, username, topicFilter),
  }
}
