/**
 * Tables that sort: the order is in the address and the sorting is done by the broker, or here where all rows are here.
 *
 * A table that is wider than its place scrolls by itself and can be reached by keyboard; columns of lesser importance
 * leave first.
 */
import type { ComponentChildren } from 'preact'
import { t } from '../lib/i18n.ts'
import { Icon } from './icon.tsx'
import { Empty } from './parts.tsx'

export interface Column<Row> {
  readonly key: string
  readonly label: string
  readonly isNumber?: boolean
  /** Name by which the list is sorted; absent: it is not. */
  readonly sort?: string
  /** Columns from 2 on leave on narrow pages, those of 4 first. */
  readonly importance?: 1 | 2 | 3 | 4
  /** Value for sorting where all rows are here. */
  readonly valueIn?: (row: Row) => string | number
  readonly show: (row: Row) => ComponentChildren
}

export interface TableProps<Row> {
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  /** Present order, `-name` for descending. */
  readonly sort?: string
  readonly onSort?: (sort: string) => void
  readonly empty: string
}

/** Next order when the head of a column is pressed: numbers begin with the largest. */
function nextSort(present: string, name: string, isNumber: boolean): string {
  const [first, second] = isNumber ? [`-${name}`, name] : [name, `-${name}`]
  return present === first ? second : first
}

/** Rows in an order, where all of them are here. */
export function sorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sort: string): readonly Row[] {
  const name = sort.replace(/^-/, '')
  const valueIn = columns.find((column) => column.sort === name)?.valueIn
  if (valueIn === undefined) return rows
  const sign = sort.startsWith('-') ? -1 : 1
  return [...rows].sort((a, b) => {
    const [x, y] = [valueIn(a), valueIn(b)]
    return x < y ? -sign : x > y ? sign : 0
  })
}

export function Table<Row>({ label, columns, rows, keyOf, sort = '', onSort, empty }: TableProps<Row>) {
  if (rows.length === 0) return <Empty>{empty}</Empty>
  const classOf = ({ isNumber, importance = 1 }: Column<Row>): string => `${isNumber ? 'number' : ''} i${importance}`
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    // biome-ignore lint/a11y/useSemanticElements: a region of a table, not a part of the page
    <div class="table-scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.key} scope="col" class={classOf(column)} aria-sort={ariaSort(column, sort)}>
                {column.sort === undefined || onSort === undefined ? (
                  column.label
                ) : (
                  <button
                    type="button"
                    class="sort"
                    title={t('sortBy', { column: column.label })}
                    onClick={() => onSort(nextSort(sort, column.sort!, column.isNumber === true))}
                  >
                    {column.label}
                    <SortSign name={column.sort} sort={sort} />
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.key} class={classOf(column)}>
                  {column.show(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function ariaSort<Row>({ sort: name }: Column<Row>, sort: string) {
  if (name === undefined) return undefined
  if (sort === name) return 'ascending'
  return sort === `-${name}` ? 'descending' : 'none'
}

function SortSign({ name, sort }: { name: string; sort: string }) {
  if (sort === name) return <Icon name="up" />
  return sort === `-${name}` ? <Icon name="down" /> : <span class="icon" />
}
