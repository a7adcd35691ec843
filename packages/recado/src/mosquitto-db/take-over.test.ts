/* Data of a Mosquitto that a start does not take, and says so. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lmdbFile } from '@recado/broker'
import { loadConfig } from '../config/config.ts'
import { temporaryFolder } from '../testing/program.ts'
import { MAGIC } from './layout.ts'
import { databaseToTakeOver, overlookedData } from './take-over.ts'

test('a mosquitto.db that is a folder or a link to nothing is told of, and one that is missing is not', (context) => {
  const folder = temporaryFolder(context)
  const config = loadConfig({ configFile: null, dataFolder: folder, ports: [], verbose: false, quiet: false })
  assert.deepEqual(overlookedData(config), [])
  const path = join(folder, 'mosquitto.db')
  symlinkSync(join(folder, 'nowhere'), path)
  assert.equal(databaseToTakeOver(config), null)
  assert.match(overlookedData(config)[0]!, /mosquitto\.db is not imported: it is empty, or no file/)
  mkdirSync(join(folder, 'nowhere'))
  assert.equal(overlookedData(config).length, 1)
})

test('a mosquitto.db in the current folder is told of when no folder is named', (context) => {
  const folder = temporaryFolder(context)
  writeFileSync(join(folder, 'mosquitto.db'), 'x')
  const before = process.cwd()
  process.chdir(folder)
  try {
    const config = loadConfig({ configFile: null, dataFolder: null, ports: [], verbose: false, quiet: false })
    assert.match(overlookedData(config)[0]!, /mosquitto\.db, the data of a Mosquitto, is not imported: name its folder/)
  } finally {
    process.chdir(before)
  }
})

/** Makes a file anew until the clock of the file system has gone on since another one was made or changed. */
function writeAfter(path: string, bytes: Uint8Array, isLater: () => boolean): void {
  do {
    rmSync(path, { force: true })
    writeFileSync(path, bytes)
  } while (!isLater())
}

test('the data of a Mosquitto that is put beside our data is told of, and one that was there before is not', (context) => {
  const folder = temporaryFolder(context)
  const config = loadConfig({ configFile: null, dataFolder: folder, ports: [], verbose: false, quiet: false })
  const own = lmdbFile(folder)
  const theirs = join(folder, 'mosquitto.db')
  writeFileSync(theirs, MAGIC)
  const isNewer = (): boolean => statSync(theirs).ctimeMs > statSync(own).birthtimeMs
  writeAfter(own, new Uint8Array(8), () => statSync(own).birthtimeMs > statSync(theirs).ctimeMs)
  assert.deepEqual(overlookedData(config), [], 'it has been imported')
  writeAfter(theirs, MAGIC, isNewer)
  const told = overlookedData(config)
  assert.equal(told.length, 1)
  assert.match(told[0]!, /mosquitto\.db, the data of a Mosquitto, is not read: .*recado\.mdb has data already/)
  writeAfter(theirs, new TextEncoder().encode('no database'), isNewer)
  assert.deepEqual(overlookedData(config), [])
})
