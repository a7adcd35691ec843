/** The laboratory's charts as SVG: latency on bad lines, and the times around a fault. Dark and light by the reader's settings. */
import type { CellResult } from './cell.ts'
import type { Condition } from './conditions.ts'
import { deviceNames } from './devices.ts'
import type { Cell } from './plan.ts'
import { deviceTitles, type Words } from './words.ts'

/** What tables and charts are made of, in one language. */
export interface Material {
  readonly text: Words
  title(condition: Condition): string
  /** Returns the result of the usual cell of a condition, changed in some parts; undefined when it has not been run. */
  find(condition: Condition, change?: Partial<Cell>): CellResult | undefined
}

const LEFT = 310
const WIDTH = 940
const PLOT = WIDTH - LEFT - 150
const STYLE = `<style>text{font:13px system-ui,sans-serif;fill:#24292f}.n{font-size:12px;fill:#57606a}
.a{fill:#0072b2}.b{fill:#e69f00}.c{fill:#009e73}.l{stroke:#8c959f;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.n{fill:#9aa4ae}.a{fill:#56b4e9}.c{fill:#2bc79a}}</style>`

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

function svg(height: number, title: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">
${STYLE}
<text x="10" y="20" font-weight="600">${escaped(title)}</text>
${parts.join('\n')}
</svg>
`
}

const label = (y: number, text: string): string =>
  `<text x="${LEFT - 10}" y="${y}" text-anchor="end">${escaped(text)}</text>`
const number = (x: number, y: number, text: string): string =>
  `<text class="n" x="${x.toFixed(1)}" y="${y}">${text}</text>`

/** One line for each condition: a thick one up to p50, a thinner one up to p95, a thin one up to the largest. */
export function latencyChart(list: readonly Condition[], { find, text, title }: Material): string {
  const figures = list.map((condition) => ({ condition, figures: latencies(find(condition)) }))
  const most = Math.max(10, ...figures.map(({ figures: [, , max] }) => max))
  const x = (ms: number): number => (Math.log10(Math.max(1, ms)) / Math.log10(most)) * PLOT
  const rows = figures.map(({ condition, figures: [p50, p95, max] }, i) => {
    const y = 44 + i * 26
    if (max === 0) return label(y + 13, title(condition))
    return [
      label(y + 13, title(condition)),
      `<path class="l" d="M${LEFT} ${y + 9}h${x(max).toFixed(1)}"/>`,
      `<rect class="b" x="${LEFT}" y="${y + 6}" width="${x(p95).toFixed(1)}" height="6" rx="2"/>`,
      `<rect class="a" x="${LEFT}" y="${y + 3}" width="${x(p50).toFixed(1)}" height="12" rx="2"/>`,
      number(LEFT + x(max) + 6, y + 13, [p50, p95, max].map(Math.round).join(' / ')),
    ].join('')
  })
  return svg(50 + list.length * 26, text.latencyChart, rows)
}

function latencies(result: CellResult | undefined): [p50: number, p95: number, max: number] {
  if (result === undefined) return [0, 0, 0]
  const of = (name: 'p50Ms' | 'p95Ms' | 'maxMs'): number => Math.max(result.up[name] ?? 0, result.down[name] ?? 0)
  return [of('p50Ms'), of('p95Ms'), of('maxMs')]
}

/** For each fault and device three bars: device notices, server notices, messages come again. */
export function recoveryChart(list: readonly Condition[], { find, text, title }: Material): string {
  const results = list.map((condition) => deviceNames.map((device) => find(condition, { device })))
  const times = (result: CellResult | undefined): (number | null)[] =>
    [result?.deviceNoticedMs, result?.serverNoticedMs, result?.recoveredMs].map((ms) => ms ?? null)
  const most = Math.max(1, ...results.flat(2).flatMap((result) => times(result).map((ms) => ms ?? 0)))
  const parts: string[] = []
  const legend = [text.deviceNoticed, text.serverNoticed, text.recovered]
  for (const [i, word] of legend.entries()) {
    const at = LEFT + i * 180
    parts.push(`<rect class="${'abc'[i]}" x="${at}" y="32" width="12" height="8" rx="2"/>${number(at + 18, 40, word)}`)
  }
  let y = 52
  for (const [i, condition] of list.entries()) {
    parts.push(`<text x="10" y="${y + 14}" font-weight="600">${escaped(title(condition))}</text>`)
    y += 20
    for (const [j, device] of deviceNames.entries()) {
      parts.push(label(y + 13, deviceTitles[device]))
      for (const [k, ms] of times(results[i]![j]).entries()) {
        if (ms === null) continue
        const width = Math.max(1, (ms / most) * PLOT)
        parts.push(
          `<rect class="${'abc'[k]}" x="${LEFT}" y="${y + 1 + k * 5}" width="${width.toFixed(1)}" height="4" rx="1"/>`,
        )
      }
      const longest = Math.max(0, ...times(results[i]![j]).map((ms) => ms ?? 0))
      const all = times(results[i]![j]).map((ms) => (ms === null ? '–' : (ms / 1_000).toFixed(1)))
      parts.push(number(LEFT + (longest / most) * PLOT + 6, y + 13, all.join(' / ')))
      y += 19
    }
    y += 6
  }
  return svg(y + 6, text.recoveryChart, parts)
}
