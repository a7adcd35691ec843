import { rowStoreSuite } from '../testing/row-store-suite.ts'
import { MemoryRows } from './memory.ts'

rowStoreSuite('memory', () => {
  const rows = new MemoryRows()
  return { store: () => rows }
})
