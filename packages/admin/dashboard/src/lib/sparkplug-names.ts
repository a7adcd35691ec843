/**
 * Names of Sparkplug metrics by their aliases: BIRTH messages bind them, and DATA messages have the alias alone.
 *
 * The page of live messages tells of each BIRTH that it sees; `decode.ts` asks. Invariants: the names of the last
 * `NODES_MAX` edge nodes are kept; an alias is unique within its edge node (Sparkplug 3.0, section 6.4.6).
 */
import { bytesOf } from './decode.ts'
import type { Bytes } from './types.ts'

const NODES_MAX = 200

const names = new Map<string, Map<string, string>>()

const BIRTH = /^spBv1\.0\/([^/]+)\/([ND])BIRTH\/([^/]+)/
const OF_NODE = /^spBv1\.0\/([^/]+)\/[ND](?:BIRTH|DEATH|DATA|CMD)\/([^/]+)/

/** Keeps the names of a BIRTH message; other messages, and those that cannot be read, are left alone. */
export async function rememberNames(topic: string, payload: Bytes): Promise<void> {
  const match = BIRTH.exec(topic)
  if (match === null) return
  const { sparkplug } = await import('./sparkplug.ts')
  let metrics: readonly { name?: string; alias?: number | string }[]
  try {
    metrics = (sparkplug(bytesOf(payload.base64)) as { metrics: typeof metrics }).metrics
  } catch {
    // It was cut, or is none.
    return
  }
  const node = `${match[1]}/${match[3]}`
  // An NBIRTH begins the node anew, a DBIRTH adds the metrics of a device.
  const known = match[2] === 'N' ? undefined : names.get(node)
  const all = known ?? new Map<string, string>()
  for (const { name, alias } of metrics) if (name !== undefined && alias !== undefined) all.set(String(alias), name)
  names.delete(node)
  if (names.size >= NODES_MAX) names.delete(names.keys().next().value!)
  names.set(node, all)
}

/** Names by alias for messages of a topic; none where no BIRTH of its edge node was seen. */
export function namesFor(topic: string): ReadonlyMap<string, string> {
  const match = OF_NODE.exec(topic)
  return (match === null ? undefined : names.get(`${match[1]}/${match[2]}`)) ?? new Map()
}
