/**
 * A list of which only the rows in sight are in the page, so that a million of them cost no more than fifty.
 *
 * It is one stop for the Tab key; the arrow keys, Home, End and Page keys move in it (`aria-activedescendant`).
 */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'

/** Height of a row in `rem`, as in the style sheet. */
const ROW_REM = 2
const OVERSCAN = 8

export interface TreeRow {
  readonly id: string
  readonly depth: number
  /** undefined: it has nothing below. */
  readonly isOpen?: boolean
  readonly content: ComponentChildren
}

export interface TreeProps {
  readonly label: string
  readonly rows: readonly TreeRow[]
  readonly selected: string
  onSelect(row: TreeRow): void
  /** Opens or closes a row. */
  onToggle(row: TreeRow): void
}

export function VirtualTree({ label, rows, selected, onSelect, onToggle }: TreeProps) {
  const place = useRef<HTMLDivElement>(null)
  const top = useSignal(0)
  const height = useSignal(600)
  const active = useSignal(0)
  const rowPx = ROW_REM * Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
  useLayoutEffect(() => {
    const element = place.current!
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const selectedAt = rows.findIndex(({ id }) => id === selected)
  useEffect(() => {
    if (selectedAt !== -1) active.value = selectedAt
  }, [selectedAt])

  const first = Math.max(0, Math.floor(top.value / rowPx) - OVERSCAN)
  const last = Math.min(rows.length, Math.ceil((top.value + height.value) / rowPx) + OVERSCAN)
  const at = Math.min(active.value, rows.length - 1)

  const move = (to: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, to))
    active.value = next
    const element = place.current!
    if (next * rowPx < element.scrollTop) element.scrollTop = next * rowPx
    else if ((next + 1) * rowPx > element.scrollTop + element.clientHeight) {
      element.scrollTop = (next + 1) * rowPx - element.clientHeight
    }
  }
  const onKey = (event: KeyboardEvent): void => {
    const row = rows[at]
    if (row === undefined) return
    const page = Math.max(1, Math.floor(height.value / rowPx) - 1)
    const actions: Record<string, () => void> = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at - 1),
      PageDown: () => move(at + page),
      PageUp: () => move(at - page),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      ArrowRight: () => (row.isOpen === false ? onToggle(row) : move(at + 1)),
      ArrowLeft: () => {
        if (row.isOpen === true) onToggle(row)
        else move(rows.findLastIndex(({ depth }, i) => i < at && depth < row.depth))
      },
      Enter: () => onSelect(row),
      ' ': () => onSelect(row),
    }
    const action = actions[event.key]
    if (action === undefined) return
    event.preventDefault()
    action()
  }
  return (
    <div
      ref={place}
      class="tree"
      role="tree"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={rows[at] === undefined ? undefined : `row-${at}`}
      onKeyDown={onKey}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop
      }}
    >
      <div role="presentation" style={{ height: `${rows.length * rowPx}px`, position: 'relative' }}>
        {rows.slice(first, last).map((row, i) => {
          const index = first + i
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the focus and the keys
            // biome-ignore lint/a11y/useFocusableInteractive: as above
            <div
              key={row.id}
              id={`row-${index}`}
              role="treeitem"
              aria-level={row.depth + 1}
              aria-expanded={row.isOpen}
              aria-selected={row.id === selected}
              class={index === at ? 'tree-row active' : 'tree-row'}
              style={{ top: `${index * rowPx}px`, paddingInlineStart: `${row.depth * 1.25 + 1}rem` }}
              onClick={() => {
                active.value = index
                onSelect(row)
              }}
            >
              {row.content}
            </div>
          )
        })}
      </div>
    </div>
  )
}
