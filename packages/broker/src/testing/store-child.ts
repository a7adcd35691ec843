/**
 * A process that uses an LMDB store and may be killed at any moment: `node store-child.js MODE DIR`.
 *
 * `write`: writes batch after batch for ever and reports on stdout, unbuffered: `open`, then `N` for each batch that is done. Batch N
 * has the rows of its positions, the removal of old ones, and the row Meta (1, 0, 0) that says how far it goes.
 * `compact`: compacts the folder again and again. `hold`: opens and waits. `check`: opens, reads everything, writes a little
 * and closes; prints `ok`.
 */
import { writeSync } from 'node:fs'
import { compactLmdbStore, openLmdbStore } from '../adapters/lmdb-store.ts'
import { type Store, Table } from '../ports.ts'

export const ROWS_KEPT = 2_000

/** Returns the value of the row at `position`, so that every byte can be checked. */
export function valueAt(position: number): Uint8Array {
  return Buffer.from(`${position} `.repeat(1 + ((position * 7_919) % 60)))
}

function report(line: string): void {
  writeSync(1, `${line}\n`)
}

function writeForEver(store: Store): void {
  const before = store.get(Table.Meta, 1, 0, 0)
  let last = before ? new DataView(before.buffer, before.byteOffset).getUint32(0) : 0
  let batch = 0
  const next = (): void => {
    const count = 1 + ((batch * 7_919) % 300)
    const end = last + count
    store.write(
      () => {
        for (let position = last + 1; position <= end; position++) {
          store.put(Table.Messages, position, 0, 0, valueAt(position))
          store.put(Table.Flights, position, 1, 1, valueAt(position).subarray(0, 4))
          if (position > ROWS_KEPT) store.remove(Table.Messages, position - ROWS_KEPT, 0, 0)
        }
        const counter = new Uint8Array(4)
        new DataView(counter.buffer).setUint32(0, end)
        store.put(Table.Meta, 1, 0, 0, counter)
      },
      (error) => {
        if (error !== null) throw error
        last = end
        batch++
        report(`${last}`)
        next()
      },
    )
  }
  next()
}

async function main(mode: string, path: string): Promise<void> {
  if (mode === 'compact') {
    for (;;) {
      await compactLmdbStore({ path })
      report('compacted')
    }
  }
  const store = await openLmdbStore({ path, onQuarantine: ({ reason }) => report(`quarantined: ${reason}`) })
  if (mode === 'check') {
    let rows = 0
    for (const table of Object.values(Table)) {
      store.scan(table, (a, b, c, value) => {
        const again = store.get(table, a, b, c)
        if (again !== undefined && again.length !== value.length) throw new Error(`row ${a}.${b}.${c} reads twice`)
        rows++
      })
    }
    await new Promise<void>((resolve, reject) => {
      store.write(
        () => {
          for (let i = 0; i < 50; i++) store.put(Table.Retained, rows + i, 0, 0, valueAt(i))
        },
        (error) => (error ? reject(error) : resolve()),
      )
    })
    await store.close()
    report('ok')
    return
  }
  report('open')
  if (mode === 'write') writeForEver(store)
  else setInterval(() => undefined, 60_000)
}

const [, program = '', mode, path] = process.argv
if (/store-child\.js$/.test(program) && mode !== undefined && path !== undefined) await main(mode, path)
