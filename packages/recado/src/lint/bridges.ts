/**
 * Findings about bridges: messages that go round or come back, that are lost while a bridge is away, and settings that
 * made people suffer elsewhere.
 *
 * `lint.ts` calls it. Each check names the threads of eclipse-mosquitto/mosquitto that it comes from.
 */
import { filterCovers, filtersOverlap, topicMatches } from '@recado/protocol'
import type { BridgeConfig } from '../config/bridges.ts'
import type { Config } from '../config/config.ts'
import type { Block, Setting } from '../config/parse.ts'
import { forgetful, isToItself, waysRound } from './bridge-loops.ts'
import type { Tell } from './lint.ts'

const last = (block: Block, name: string): Setting | undefined =>
  block.settings.filter(({ option }) => option.name === name).at(-1)

/** `others` are the configurations of other brokers, for ways round over several machines. */
export function bridgeFindings(config: Config, others: readonly Config[], tell: Tell): void {
  for (const bridge of config.bridges) {
    const block = config.source.bridges.find(({ head }) => head?.file === bridge.file && head.line === bridge.line)!
    if (isToItself(config, bridge))
      tell('bridge-to-itself', last(block, 'address'), `The bridge ${bridge.name} leads to this broker itself.`)
    loginFindings(bridge, block, tell)
    echoFindings(bridge, block, tell)
    lossFindings(bridge, block, tell)
    stateFindings(bridge, block, tell)
  }
  sameClientIds(config, tell)
  loops(config, others, tell)
}

function loginFindings(bridge: BridgeConfig, block: Block, tell: Tell): void {
  const { name, tls, remotePassword, addresses } = bridge
  const isFar = addresses.some(({ host }) => host !== 'localhost' && host !== '::1' && !host.startsWith('127.'))
  if (tls === null && remotePassword !== null && isFar) {
    tell('bridge-in-clear', last(block, 'remote_password'), `The bridge ${name} sends its password without TLS.`)
  }
  if (tls?.isInsecure === true) {
    tell('bridge-unchecked', last(block, 'bridge_insecure'), `The bridge ${name} does not look whom it talks to.`)
  }
}

/** Line of a topic. */
const lineOf = (block: Block, { file, line }: { file: string; line: number }): Setting | undefined =>
  block.settings.find((setting) => setting.file === file && setting.line === line)

/** Messages that come back over their own bridge (issues 1263, 3011). */
function echoFindings(bridge: BridgeConfig, block: Block, tell: Tell): void {
  const { name, topics, tryPrivate, protocolVersion } = bridge
  if (protocolVersion === 5 || tryPrivate) return
  for (const out of topics.filter(({ direction }) => direction !== 'in')) {
    const back = topics.find(
      ({ direction, remoteFilter }) => direction !== 'out' && filtersOverlap(remoteFilter, out.remoteFilter),
    )
    if (back === undefined) continue
    const text = `The bridge ${name} gets back what it sends to ${out.remoteFilter}, once: it does not say that it is a bridge.`
    tell('bridge-echo', last(block, 'try_private') ?? lineOf(block, out), text)
    return
  }
}

/** Messages that are lost while the bridge is away (issues 1632, 2604, 3394). */
function lossFindings(bridge: BridgeConfig, block: Block, tell: Tell): void {
  const { name, topics, cleanStart } = bridge
  const keepsAll = last(block, 'bridge_queue_qos0')?.value === true || bridge.startType === 'lazy'
  const [first, ...others] = topics.filter(({ direction, qos }) => direction !== 'in' && qos === 0)
  if (!keepsAll && first !== undefined) {
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`
    const text = `What is sent to ${first.localFilter}${more} while the bridge ${name} is away is lost: QoS 0.`
    tell('bridge-drops', lineOf(block, first), text)
  }
  const kept = topics.find(({ direction, qos }) => direction !== 'out' && qos > 0)
  if (cleanStart && kept !== undefined) {
    const text = `What is sent to ${kept.remoteFilter} there while the bridge ${name} is away is lost: its session ends with each connection.`
    tell('bridge-forgets', last(block, 'cleansession'), text)
  }
}

/** Notifications that cross, and a foreign $SYS over our own (issues 2467, 2499, 1510, 1902). */
function stateFindings(bridge: BridgeConfig, block: Block, tell: Tell): void {
  const { name, topics, notifications, notificationTopic } = bridge
  if (notifications !== 'none' && notificationTopic !== null) {
    const crossing = topics.find(({ localFilter, remoteFilter, direction }) =>
      topicMatches(direction === 'in' ? remoteFilter : localFilter, notificationTopic),
    )
    if (crossing !== undefined) {
      const text = `The state of the bridge ${name} on ${notificationTopic} crosses the bridge itself by line ${crossing.line}: each side overwrites the other's.`
      tell('bridge-state-crosses', last(block, 'notification_topic'), text)
    }
  }
  for (const topic of topics) {
    if (topic.direction === 'out' || !filterCovers('$SYS/#', topic.localFilter)) continue
    const text = `The bridge ${name} writes the other broker's ${topic.remoteFilter} over this broker's own ${topic.localFilter}.`
    tell('bridge-overwrites-sys', lineOf(block, topic), text)
  }
}

/** Two bridges that disconnect each other (issues 1486, 2892). */
function sameClientIds({ bridges, source }: Config, tell: Tell): void {
  for (const [index, bridge] of bridges.entries()) {
    const before = bridges
      .slice(0, index)
      .find(
        ({ remoteClientId, addresses }) =>
          remoteClientId === bridge.remoteClientId &&
          addresses.some(({ host, port }) => bridge.addresses.some((each) => each.host === host && each.port === port)),
      )
    if (before === undefined) continue
    const block = source.bridges[index]!
    const text = `The bridges ${before.name} and ${bridge.name} have one Client Identifier at one broker: each connection of the one ends that of the other.`
    tell('bridge-same-clientid', last(block, 'remote_clientid') ?? block.head, text)
  }
}

/** Ways round (issues 1263, 3011). */
function loops(config: Config, others: readonly Config[], tell: Tell): void {
  for (const way of waysRound([config, ...others])) {
    const lossy = forgetful(way)
    if (lossy.length === 0) continue
    const [first] = way
    const block = config.source.bridges.find(
      ({ head }) => head!.line === first!.bridge.line && head!.file === first!.bridge.file,
    )!
    const names = way.map(({ bridge }) => `${bridge.name} (${bridge.file}:${bridge.line})`).join(' and ')
    const which = [...new Set(lossy.map(({ name }) => name))].join(', ')
    const text = `Messages of ${first!.fromFilter} can go round for ever over the bridges ${names}: ${which} ${lossy.length === 1 ? 'does' : 'do'} not speak MQTT 5.0.`
    tell('bridge-loop', lineOf(block, first!.topic), text)
  }
}
