/**
 * The brokers that a message must reach over bridges, and how often: worked out from the plan alone, as docs/bridge.md
 * has it.
 */
import type { BridgePlan, BridgeRunPlan, LinePlan, QoS } from './plan.ts'

/** One direction of a `topic` line. */
interface Link {
  readonly bridge: number
  readonly plan: BridgePlan
  readonly from: number
  readonly to: number
  /** Whether the broker that the message comes from has the bridge in its configuration. */
  readonly isPush: boolean
  readonly line: LinePlan
  readonly prefix: string
  readonly prefixThere: string
}

/** Step of a route: over a bridge, out of its broker or into it. */
export interface Hop {
  readonly bridge: number
  readonly isPush: boolean
  readonly line: LinePlan
}

/** Place that a message gets to. */
export interface Arrival {
  readonly broker: number
  readonly topic: string
  /** Highest QoS that all lines on the way have. */
  readonly qos: QoS
  readonly hops: readonly Hop[]
  /** Brokers on the way, with their names of the topic. */
  readonly places: readonly { readonly broker: number; readonly topic: string }[]
  /** Whether all hops are MQTT 5.0, so that properties get there. */
  readonly keepsProperties: boolean
}

interface State extends Arrival {
  /** Bridge by which it came; -1 for none. */
  readonly via: number
  readonly path: readonly number[]
}

export function linksOf(plan: BridgeRunPlan): Link[] {
  return plan.bridges.flatMap((bridge, index) =>
    bridge.lines.flatMap((line) => {
      const { owner, remote } = bridge
      const { direction, localPrefix, remotePrefix } = line
      const both = { bridge: index, plan: bridge, line }
      const out = { ...both, from: owner, to: remote, isPush: true, prefix: localPrefix, prefixThere: remotePrefix }
      const into = { ...both, from: remote, to: owner, isPush: false, prefix: remotePrefix, prefixThere: localPrefix }
      return direction === 'out' ? [out] : direction === 'in' ? [into] : [out, into]
    }),
  )
}

/** Returns all places of a message that was published at a broker, that broker included. */
export function arrivalsOf(links: readonly Link[], broker: number, topic: string): Arrival[] {
  const first: State = {
    ...{ broker, topic, qos: 2, hops: [], places: [{ broker, topic }], keepsProperties: true, via: -1, path: [] },
  }
  const arrivals: State[] = [first]
  for (let i = 0; i < arrivals.length; i++) {
    for (const link of links) {
      const next = pass(link, arrivals[i]!)
      if (next !== null) arrivals.push(next)
    }
  }
  return arrivals
}

/** Returns the place on the other side; null when the message does not go there. */
function pass(link: Link, at: State): State | null {
  if (link.from !== at.broker || link.bridge === at.via) return null
  if (!at.topic.startsWith(`${link.prefix}${link.line.root}/`)) return null
  const { owner, version, options } = link.plan
  const isOff = version < 5 || options.includes('bridge_path off')
  // A bridge that takes messages away adds its broker, and one that brings them adds both.
  let { path } = at
  if (!isOff && link.isPush && path.at(-1) !== owner) path = [...path, owner]
  // A client that is none of Recado's bridges may bring the path too.
  if (version === 5 && (!isOff || link.isPush) && path.includes(link.to)) return null
  if (!isOff && !link.isPush) {
    if (path.at(-1) !== link.from) path = [...path, link.from]
    path = options.includes('bridge_path strip') ? [] : [...path, owner]
  }
  const topic = link.prefixThere + at.topic.slice(link.prefix.length)
  return {
    ...{ broker: link.to, topic, via: link.bridge, path },
    qos: Math.min(at.qos, link.line.qos) as QoS,
    hops: [...at.hops, { bridge: link.bridge, isPush: link.isPush, line: link.line }],
    places: [...at.places, { broker: link.to, topic }],
    keepsProperties: at.keepsProperties && version === 5,
  }
}
