/**
 * A chart of time series by uPlot, drawn on a canvas in the colours of the theme.
 *
 * Each line has a colour and a dash of its own, so that no reader depends on colours; the legend has the present values as
 * text, which is what a screen reader gets.
 */
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { time } from '../lib/format.ts'
import { isDark, language } from '../lib/preferences.ts'

/** Ways to write a value, and to divide an axis. */
export interface Unit {
  readonly format: (value: number) => string
  /** Least value at the top of the axis: what is smaller is noise. */
  readonly least: number
  /** Whether marks are at powers of two. */
  readonly isBinary?: boolean
}

export interface Line {
  readonly label: string
  readonly values: readonly number[]
}

/** Distances of marks for sizes: 1, 2, 4 … bytes. */
const binarySteps = Array.from({ length: 50 }, (_, power) => 2 ** power)

const dashes: readonly (readonly number[])[] = [[], [6, 4], [2, 3]]
/** Sizes in `rem`, as everything else of the page; uPlot takes pixels. */
const HEIGHT = 10.5
const AXIS_TEXT = 0.6875
const AXIS_HEIGHT = 1.75
const AXIS_WIDTH = 3.875

const pixels = (rem: number): number =>
  Math.round(rem * Number.parseFloat(getComputedStyle(document.documentElement).fontSize))

const colorOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function optionsFor(lines: readonly Line[], { format, least, isBinary }: Unit, width: number): uPlot.Options {
  const [text, grid] = [colorOf('--muted'), colorOf('--grid')]
  const axis = {
    stroke: text,
    font: `${pixels(AXIS_TEXT)}px "Inter Variable", system-ui, sans-serif`,
    grid: { stroke: grid, width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height: pixels(HEIGHT),
    padding: [8, pixels(1.75), 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_chart, _min, max) => [0, Math.max(max * 1.1, least)] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: pixels(AXIS_HEIGHT),
        gap: pixels(0.5),
        space: pixels(AXIS_WIDTH),
        values: (_chart, at) => at.map((each) => time(each * 1e3)),
      },
      {
        ...axis,
        size: pixels(AXIS_WIDTH),
        space: pixels(2.25),
        values: (_chart, at) => at.map(format),
        ...(isBinary ? { incrs: binarySteps } : {}),
      },
    ],
    series: [
      {},
      ...lines.map(({ label }, i) => ({
        label,
        stroke: colorOf(`--series-${i + 1}`),
        width: 1.75,
        dash: [...dashes[i]!],
        fill: i === 0 ? `${colorOf('--series-1')}1f` : undefined,
        points: { show: false },
      })),
    ],
  }
}

export interface ChartProps {
  readonly title: string
  readonly atMs: readonly number[]
  readonly lines: readonly Line[]
  readonly unit: Unit
}

export function Chart({ title, atMs, lines, unit }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const latest = useRef(lines)
  latest.current = lines
  const look = `${isDark()} ${language.value}`
  const data: uPlot.AlignedData = [atMs.map((each) => each / 1e3), ...lines.map(({ values }) => [...values])]
  const latestData = useRef(data)
  latestData.current = data

  // Colours and words make another chart.
  useEffect(() => {
    const element = place.current!
    // The theme is in the document when the styles have been computed.
    const made = new uPlot(optionsFor(latest.current, unit, element.clientWidth), latestData.current, element)
    chart.current = made
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: pixels(HEIGHT) })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      chart.current = null
    }
  }, [look])

  useEffect(() => {
    chart.current?.setData(latestData.current)
  })

  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <ul class="legend">
          {lines.map(({ label, values }, i) => (
            <li key={label}>
              <svg class="swatch" viewBox="0 0 18 4" aria-hidden="true">
                <line class={`series-${i + 1}`} x1="0" y1="2" x2="18" y2="2" stroke-dasharray={dashes[i]!.join(' ')} />
              </svg>
              <span class="muted">{label}</span> <strong class="tabular">{unit.format(values.at(-1) ?? 0)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class="plot" aria-hidden="true" />
    </figure>
  )
}
