/**
 * Draws a soak run as one SVG: a small panel for each series, one column for each broker, time from left to right. Used
 * by `main.ts`. No dependency; text and colours follow the reader's light or dark mode.
 */
import type { Judged } from './verdict.ts'

const WIDTH = 920
const COLUMN = 440
const LEFT = 54
const HEIGHT = 62
const STEP = 96

export interface ChartText {
  title: string
  note: string
  minutes: number
  /** Seconds from the start at which the broker of the right column was stopped or killed. */
  restarts: readonly number[]
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

export function formatValue(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Draws a run. `columns` has the panels below each other, left and right. */
export function drawSoak(
  columns: readonly (readonly Judged[])[],
  { title, note, minutes, restarts }: ChartText,
): string {
  const parts: string[] = [`<text class="title" x="12" y="22">${escapeXml(title)}</text>`]
  let bottom = 0
  for (const [column, panels] of columns.entries()) {
    const x = 12 + column * (COLUMN + 20)
    const name = panels[0]?.broker ?? ''
    parts.push(`<text class="title" x="${x}" y="46">broker “${name}”</text>`)
    let y = 62
    for (const panel of panels) {
      if (panel.series.length === 0) continue
      parts.push(...drawPanel(panel, x, y, minutes * 60, column === 1 ? restarts : []))
      y += STEP
    }
    bottom = Math.max(bottom, y)
  }
  parts.push(`<text class="small" x="12" y="${bottom + 8}">${escapeXml(note)}</text>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${bottom + 22}" viewBox="0 0 ${WIDTH} ${bottom + 22}" role="img">
<title>${escapeXml(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.small { font-size: 9.5px; fill: #57606a }
.frame { fill: none; stroke: #8885 }
.half { stroke: #8886; stroke-dasharray: 2 3 }
.restart { stroke: #d9480f55 }
.line { fill: none; stroke: #1971c2; stroke-width: 1.2 }
.dot { fill: #1971c2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } .line { stroke: #4dabf7 } .dot { fill: #4dabf7 } }
</style>
${parts.join('\n')}
</svg>
`
}

function drawPanel(
  { measure, series, trend }: Judged,
  x: number,
  y: number,
  seconds: number,
  restarts: readonly number[],
): string[] {
  const top = Math.max(...series.map(({ value }) => value)) * 1.05 || 1
  const length = Math.max(seconds, series.at(-1)?.at ?? 0)
  const width = COLUMN - LEFT
  const atX = (at: number): string => (x + LEFT + (at / length) * width).toFixed(1)
  const atY = (value: number): string => (y + 12 + HEIGHT - (value / top) * HEIGHT).toFixed(1)
  const unit = measure.unit === '' ? '' : ` ${measure.unit}`
  const judged =
    trend === null
      ? ''
      : `: median ${formatValue(trend.median)}${unit}, growth ${formatSigned(trend.growth)} of ${formatValue(trend.allowed)} allowed, z ${trend.z.toFixed(1)}${trend.isGrowing ? ' GROWING' : ''}`
  const points = series.map(({ at, value }) => `${atX(at)},${atY(value)}`).join(' ')
  return [
    `<text x="${x}" y="${y + 6}">${escapeXml(measure.name)}<tspan class="small">${escapeXml(judged)}</tspan></text>`,
    `<rect class="frame" x="${x + LEFT}" y="${y + 12}" width="${width}" height="${HEIGHT}"/>`,
    ...restarts.map(
      (at) => `<line class="restart" x1="${atX(at)}" x2="${atX(at)}" y1="${y + 12}" y2="${y + 12 + HEIGHT}"/>`,
    ),
    `<line class="half" x1="${atX(length / 2)}" x2="${atX(length / 2)}" y1="${y + 12}" y2="${y + 12 + HEIGHT}"/>`,
    `<text class="small" x="${x + LEFT - 4}" y="${y + 20}" text-anchor="end">${formatValue(top)}${unit}</text>`,
    `<text class="small" x="${x + LEFT - 4}" y="${y + 12 + HEIGHT}" text-anchor="end">0</text>`,
    series.length === 1
      ? `<circle class="dot" cx="${atX(series[0]!.at)}" cy="${atY(series[0]!.value)}" r="1.5"/>`
      : `<polyline class="line" points="${points}"/>`,
  ]
}

function formatSigned(value: number): string {
  return value < 0 ? `−${formatValue(-value)}` : formatValue(value)
}
