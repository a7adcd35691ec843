import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from './config.ts'
import { configCases } from './mosquitto-cases.test-support.ts'
import { ConfigError } from './parse.ts'

/** Fault of a file; null for none. */
function faultOf(text: string): string | null {
  const command = { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false }
  const list = (): string[] => {
    throw Object.assign(new Error('there is no such folder'), { code: 'ENOENT' })
  }
  try {
    return loadConfig(command, { read: () => text, list }).bridgeFaults[0]?.message ?? null
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message
  }
}

test('each small file is taken or refused as its table says, with its line', () => {
  for (const { recado, texts } of configCases) {
    for (const text of texts) {
      const fault = faultOf(text)
      assert.equal(fault === null ? 'taken' : 'refused', recado, `${JSON.stringify(text)}: ${fault}`)
      if (fault !== null) assert.match(fault, /^a\.conf:\d+: ./, text)
    }
  }
})

test('whatever we say otherwise than both Mosquittos, or than one of them, has its reason', () => {
  for (const { mosquitto20, mosquitto21, recado, why, texts } of configCases) {
    const isSame = mosquitto20 === mosquitto21 && mosquitto21 === recado
    assert.equal(why === '', isSame, texts[0])
    if (why !== '') assert.match(why, /^[A-Z2].*\.$/)
  }
  const all = configCases.flatMap(({ texts }) => texts)
  assert.equal(new Set(all).size, all.length, 'each file once')
})
