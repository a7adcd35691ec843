/**
 * Ways that a message can go round: over two bridges between the same brokers, or over a ring of them.
 *
 * `bridges.ts` reports them. Each configuration is a broker; so is each address that none of them listens on. A bridge
 * never sends a message back over its own connection (No Local at MQTT 5.0, the bit of a bridge before), so a way round
 * takes two bridges at least. Where all of them speak 5.0 a message carries the names of the bridges that it has passed;
 * over a single one of 3.1.1 it loses them, and nothing proves that it comes to an end. Invariant: a way that is reported
 * is one that some Topic Name can take.
 */
import { isIP } from 'node:net'
import { basename } from 'node:path'
import { filterCovers, filtersOverlap } from '@recado/protocol'
import type { BridgeTopic } from '../config/bridge-topics.ts'
import type { BridgeAddress, BridgeConfig } from '../config/bridges.ts'
import type { Config } from '../config/config.ts'

/** Step of a message from one broker to another, by one line of a bridge. */
export interface Hop {
  readonly bridge: BridgeConfig
  readonly topic: BridgeTopic
  /** Broker: the number of its configuration, or its address as text. */
  readonly from: number | string
  readonly to: number | string
  readonly fromFilter: string
  readonly toFilter: string
  readonly fromPrefix: string
  readonly toPrefix: string
}

/** Bridges in one way round, and steps looked at in all: bounds for files that are made to have very many ways. */
const BRIDGES_MAX = 8
const STEPS_MAX = 100_000

const isThisMachine = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.')

/** Whether this configuration is that of the broker at the address; `isOwn` when the bridge is in it as well. */
function listensAt(config: Config, { host, port }: BridgeAddress, isOwn: boolean): boolean {
  return config.listeners.some((listener) => {
    if (listener.path !== null || listener.port !== port) return false
    if (listener.host === host) return true
    if (isThisMachine(host)) return isOwn || listener.host === null || isThisMachine(listener.host)
    // A file that is named like the machine: hub.conf for hub, or for hub.example.com.
    const name = basename(config.file ?? '').replace(/\.conf$/, '')
    return isIP(host) === 0 && !isOwn && (host === name || host.startsWith(`${name}.`))
  })
}

/** Returns the number of the configuration that listens at an address; the address when there is none. */
function brokerAt(configs: readonly Config[], address: BridgeAddress, own: number): number | string {
  if (listensAt(configs[own]!, address, true)) return own
  const other = configs.findIndex((config, index) => index !== own && listensAt(config, address, false))
  return other >= 0 ? other : `${address.host}:${address.port}`
}

/** Whether a bridge leads to the broker that it belongs to. */
export function isToItself(config: Config, { addresses }: BridgeConfig): boolean {
  return addresses.some((address) => listensAt(config, address, true))
}

function hopsOf(configs: readonly Config[]): Hop[] {
  return configs.flatMap((config, near) =>
    config.bridges.flatMap((bridge) => {
      const brokers = new Set(bridge.addresses.map((address) => brokerAt(configs, address, near)))
      return [...brokers].flatMap((far) => bridge.topics.flatMap((topic) => hopsBetween(bridge, topic, near, far)))
    }),
  )
}

function hopsBetween(bridge: BridgeConfig, topic: BridgeTopic, near: number, far: number | string): Hop[] {
  const { direction, localFilter, remoteFilter, localPrefix, remotePrefix } = topic
  const out: Hop = {
    ...{ bridge, topic, from: near, to: far, fromFilter: localFilter, toFilter: remoteFilter },
    ...{ fromPrefix: localPrefix, toPrefix: remotePrefix },
  }
  const back: Hop = {
    ...{ bridge, topic, from: far, to: near, fromFilter: remoteFilter, toFilter: localFilter },
    ...{ fromPrefix: remotePrefix, toPrefix: localPrefix },
  }
  return direction === 'out' ? [out] : direction === 'in' ? [back] : [out, back]
}

/** Topic Filter of what a hop passes on of the topics of a filter; null for none. */
function passed(filter: string, hop: Hop): string | null {
  if (!filtersOverlap(filter, hop.fromFilter)) return null
  const narrow = filterCovers(hop.fromFilter, filter) ? filter : hop.fromFilter
  return narrow.startsWith(hop.fromPrefix) ? hop.toPrefix + narrow.slice(hop.fromPrefix.length) : hop.toFilter
}

/** Ways round that begin with a bridge of the first configuration: one for each set of bridges, its hops in order. */
export function waysRound(configs: readonly Config[]): Hop[][] {
  const hops = hopsOf(configs)
  const found = new Map<string, Hop[]>()
  let steps = 0
  const walk = (way: Hop[], filter: string): void => {
    const [first] = way
    const last = way.at(-1)!
    if (way.length > 1 && last.to === first!.from && filtersOverlap(filter, first!.fromFilter)) {
      const key = way
        .map(({ bridge }) => `${bridge.file}:${bridge.line}`)
        .sort()
        .join(' ')
      if (!found.has(key)) found.set(key, way)
      return
    }
    if (way.length >= BRIDGES_MAX) return
    for (const hop of hops) {
      if (++steps > STEPS_MAX) return
      if (hop.from !== last.to || way.some(({ bridge }) => bridge === hop.bridge)) continue
      const next = passed(filter, hop)
      if (next !== null) walk([...way, hop], next)
    }
  }
  for (const hop of hops) {
    const isOwn = configs[0]!.bridges.includes(hop.bridge)
    if (isOwn && hop.from === 0) walk([hop], passed(hop.fromFilter, hop)!)
  }
  return [...found.values()]
}

/** Bridges of a way that lose the names of those that a message has passed. */
export const forgetful = (way: readonly Hop[]): BridgeConfig[] =>
  way.map(({ bridge }) => bridge).filter(({ protocolVersion }) => protocolVersion < 5)
