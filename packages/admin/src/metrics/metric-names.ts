/**
 * Names of metrics outside of the program: `recado_`, the name of the metric table in snake case, the base unit.
 *
 * `open-metrics.ts` and `otlp.ts` use them, so that both ways lead to the same names. Milliseconds become seconds.
 */
import type { Metric } from '@recado/broker'

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

interface Unit {
  /** Base unit, as the last word of the name. */
  readonly name: string
  readonly factor: number
  /** Word of the name that says the unit in the table. */
  readonly word: string
}

/** Units that a name carries; everything else is a count of things, which the name says already. */
const units: Readonly<Record<string, Unit>> = {
  milliseconds: { name: 'seconds', factor: 0.001, word: 'ms' },
  seconds: { name: 'seconds', factor: 1, word: 'seconds' },
  bytes: { name: 'bytes', factor: 1, word: 'bytes' },
}

/** Name of a metric for Prometheus, and the factor of its values. */
export interface Family {
  readonly name: string
  readonly factor: number
}

/** Parts of the name of a metric: the words without the unit, and the base unit; '' for a count of things. */
export function baseOf(name: string, { unit }: Metric): { words: string; unit: string; factor: number } {
  const base = units[unit]
  if (base === undefined) return { words: snake(name), unit: '', factor: 1 }
  const words = snake(name)
    .split('_')
    .filter((word) => word !== base.word)
  return { words: words.join('_'), unit: base.name, factor: base.factor }
}

/** Makes the name of a metric: `payloadBytesSent` is `recado_payload_sent_bytes`. */
export function familyOf(name: string, metric: Metric): Family {
  const { words, unit, factor } = baseOf(name, metric)
  return { name: ['recado', words, unit].filter((part) => part !== '').join('_'), factor }
}
