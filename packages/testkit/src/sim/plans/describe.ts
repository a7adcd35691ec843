/** Text of a step, for `--seed` and the trace. */
import type { Step } from './step.ts'

/** Describes a step in one line; fields that are empty, 0 or false are left out. */
export function describe(step: Step): string {
  const { kind, atMs: _, ...all } = step
  const { client = -1, ...rest } = all as { client?: number }
  const fields = Object.entries(rest).filter(
    ([, value]) =>
      value !== '' &&
      value !== 0 &&
      value !== false &&
      !(Array.isArray(value) && value.length === 0) &&
      JSON.stringify(value) !== '{}',
  )
  const what = fields.map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return `${name}=${text.length > 100 ? `${text.slice(0, 40)}…(${text.length})` : text}`
  })
  return `${client < 0 ? '' : `c${client} `}${kind} ${what.join(' ')}`.trimEnd()
}
