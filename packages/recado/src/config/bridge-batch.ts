/**
 * `bridge_batch` and `bridge_rate`: many readings in one message, and so many messages a second, for lines that are paid
 * by the message.
 *
 * `bridges.ts` calls it. Invariant: a batch that the other side would refuse as a whole cannot be configured.
 */
import type { BridgeTopic, Fault } from './bridge-topics.ts'
import type { Setting } from './parse.ts'

export interface BridgeBatch {
  /** Largest number of messages in one. */
  readonly count: number
  /** Time in seconds after which one is sent, however few messages there are. */
  readonly seconds: number
  /** Largest size in bytes, before compression; a single message that is larger goes alone. */
  readonly bytes: number
  readonly gzip: boolean
  /** Topic Name at the remote broker. */
  readonly topic: string
}

const limits = { count: 10_000, seconds: 3_600, bytes: 1_048_576 } as const
const LEAST_BYTES = 256

/** Parses `COUNT SECONDS BYTES [gzip]`. `payloadBytes` is the largest payload that the remote broker takes. */
export function batchFrom(
  setting: Setting | undefined,
  topic: string,
  topics: readonly BridgeTopic[],
  payloadBytes: number,
  fault: Fault,
): BridgeBatch | null {
  if (setting === undefined) return null
  const [countWord = '', secondsWord = '', bytesWord = '', last, ...surplus] = setting.value as readonly string[]
  const number = (name: keyof typeof limits, word: string, min: number): number => {
    const value = /^\d{1,9}$/.test(word) ? Number(word) : Number.NaN
    if (value >= min && value <= limits[name]) return value
    fault(
      setting,
      `needs COUNT SECONDS BYTES [gzip]: ${name} "${word}" is no whole number from ${min} to ${limits[name]}`,
    )
    return min
  }
  const count = number('count', countWord, 2)
  const seconds = number('seconds', secondsWord, 1)
  const bytes = number('bytes', bytesWord, LEAST_BYTES)
  if ((last !== undefined && last !== 'gzip') || surplus.length > 0)
    fault(setting, `knows gzip after its three numbers, not "${[last, ...surplus].join(' ')}"`)
  if (bytes > payloadBytes)
    fault(setting, `has ${bytes} bytes: the remote broker takes payloads of ${payloadBytes} bytes at most`)
  const exact = topics.find(({ direction, qos }) => direction !== 'in' && qos === 2)
  if (exact !== undefined)
    fault(setting, `sends at least once: the topic at line ${exact.line} has QoS 2; say 1 there, or no bridge_batch`)
  return { count, seconds, bytes, gzip: last === 'gzip', topic }
}
