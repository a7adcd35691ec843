import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { VitalSigns } from './vitals.ts'

test('the process, its event loop and its disk are read', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'data')
  writeFileSync(file, 'x'.repeat(5_000))
  const signs = new VitalSigns(file)
  context.after(() => signs.stop())
  assert.equal(signs.read().disk, null)
  await signs.askDisk()
  const { heapBytes, residentBytes, eventLoop, disk } = signs.read()
  assert.equal(disk?.fileBytes, 5_000)
  assert.ok((disk?.freeBytes ?? 0) > 0)
  assert.ok(residentBytes > 0 && heapBytes > 0)
  assert.ok(eventLoop.utilization >= 0 && eventLoop.utilization <= 1)
  for (const value of Object.values(eventLoop)) assert.ok(Number.isFinite(value) && value >= 0)
  rmSync(file)
  await signs.askDisk()
  assert.equal(signs.read().disk, null)
})
