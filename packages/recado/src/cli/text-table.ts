/**
 * Tables of text with aligned columns, for people.
 *
 * `inspect.ts` prints long ones row by row; the commands on the HTTP API print one page.
 */

/** Rows that decide the widths of the columns. */
const ROWS_MEASURED = 50

/** Cells of a row. */
export type Row = readonly string[]

/** Rows with aligned columns: the first rows decide the widths, longer cells in later ones stick out. */
export class Table {
  readonly #right: ReadonlySet<number>
  #widths: number[] | null = null
  #rows: Row[]

  constructor(head: Row, right: readonly number[]) {
    this.#rows = [head]
    this.#right = new Set(right)
  }

  /** Adds a row. Returns the text that can be printed now, or null. */
  add(row: Row): string | null {
    if (this.#widths !== null) return this.#text(row, this.#widths)
    this.#rows.push(row)
    return this.#rows.length > ROWS_MEASURED ? this.end() : null
  }

  /** Ends the table. Returns the text that is still to be printed, or null. */
  end(): string | null {
    if (this.#rows.length < 2) return null
    const widths = this.#rows[0]!.map((_, column) => Math.max(...this.#rows.map((row) => row[column]!.length)))
    const text = this.#rows.map((row) => this.#text(row, widths)).join('\n')
    this.#widths = widths
    this.#rows = []
    return text
  }

  #text(row: Row, widths: readonly number[]): string {
    return row
      .map((cell, column) => (this.#right.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd()
  }
}

/** A whole table as text, with a line feed at its end; '' without rows. */
export function tableText(head: Row, rows: readonly Row[], right: readonly number[] = []): string {
  const table = new Table(head, right)
  const parts = [...rows.map((row) => table.add(row)), table.end()].filter((part) => part !== null)
  return parts.map((part) => `${part}\n`).join('')
}
