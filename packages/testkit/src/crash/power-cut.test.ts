import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Random } from '../random.ts'
import { cutPower, type PowerCut } from './power-cut.ts'

/** Kinds of notes, as in power.c. */
const Note = {
  opened: 1,
  created: 2,
  written: 3,
  dsynced: 4,
  syncing: 5,
  synced: 6,
  unsynced: 7,
  cut: 8,
  renamed: 9,
} as const
const FOLDER = 13
const INODE = 7
const FOLDER_INODE = 2

function noteOf(kind: number, number: number, inode: number, a: number, bytes: string | Uint8Array): Buffer {
  const body = Buffer.from(bytes as string)
  const header = Buffer.alloc(40)
  for (const [i, value] of [kind, number, inode, a, body.length].entries())
    header.writeBigUInt64LE(BigInt(value), i * 8)
  return Buffer.concat([header, body])
}

class Scene {
  readonly #folder: string
  readonly #notes: Buffer[] = []
  #number = 0

  constructor(context: TestContext) {
    this.#folder = mkdtempSync(join(tmpdir(), 'recado-cut-'))
    context.after(() => rmSync(this.#folder, { recursive: true, force: true }))
    for (const name of ['base', 'live']) {
      mkdirSync(join(this.#folder, name))
      writeFileSync(join(this.#folder, name, 'data'), 'a'.repeat(2_048))
    }
    this.note('opened', 0, '/x/data\0')
    this.#notes.push(noteOf(FOLDER, ++this.#number, FOLDER_INODE, 0, '/x\0'))
  }

  note(kind: keyof typeof Note, a = 0, bytes: string = '', inode = INODE): number {
    this.#notes.push(noteOf(Note[kind], ++this.#number, inode, a, bytes))
    return this.#number
  }

  sync(inode = INODE): void {
    this.note('synced', this.note('syncing', 0, '', inode), '', inode)
  }

  /** Files after the cut. */
  cut(keep: number, lost = 0, seed = 1): Record<string, string> & { result?: PowerCut } {
    const into = join(this.#folder, 'after')
    rmSync(into, { recursive: true, force: true })
    const journal = Buffer.concat(this.#notes)
    const chance = { random: new Random(seed), keep, sector: 512 }
    const { length } = journal
    cutPower(join(this.#folder, 'base'), journal.subarray(0, length - lost), join(this.#folder, 'live'), into, chance)
    return Object.fromEntries(readdirSync(into).map((name) => [name, readFileSync(join(into, name), 'latin1')]))
  }
}

test('what was synced is there, what was written after the sync began is chance', (t) => {
  const scene = new Scene(t)
  scene.note('written', 0, 'b'.repeat(512))
  const syncing = scene.note('syncing')
  scene.note('written', 512, 'c'.repeat(512))
  scene.note('synced', syncing)
  assert.equal(scene.cut(0)['data'], `${'b'.repeat(512)}${'a'.repeat(1_536)}`)
  assert.equal(scene.cut(1)['data'], `${'b'.repeat(512)}${'c'.repeat(512)}${'a'.repeat(1_024)}`)
})

test('a sync that has not come back makes nothing safe', (t) => {
  const scene = new Scene(t)
  scene.note('written', 0, 'b'.repeat(512))
  scene.note('syncing')
  assert.equal(scene.cut(0)['data'], 'a'.repeat(2_048))
})

test('a write with O_DSYNC is safe by itself, and nothing else is by it', (t) => {
  const scene = new Scene(t)
  scene.note('written', 0, 'b'.repeat(512))
  scene.note('dsynced', scene.note('written', 1_024, 'c'.repeat(512)))
  assert.equal(scene.cut(0)['data'], `${'a'.repeat(1_024)}${'c'.repeat(512)}${'a'.repeat(512)}`)
})

test('a write may be torn, at the sectors of the file', (t) => {
  const scene = new Scene(t)
  scene.note('written', 100, 'b'.repeat(1_500))
  const seen = new Set<string>()
  for (let seed = 1; seed < 60; seed++) seen.add(scene.cut(0.5, 0, seed)['data']!.replaceAll(/(.)\1*/g, '$1'))
  assert.ok(seen.has('aba') && seen.has('a') && seen.has('ababa'), [...seen].join())
  const torn = scene.cut(0.5, 0, 4)['data']!
  for (const [from, to] of [
    [100, 512],
    [512, 1_024],
    [1_024, 1_536],
    [1_536, 1_600],
  ] as const)
    assert.equal(new Set(torn.slice(from, to)).size, 1)
})

test('what a failed sync was to sync stays unsure after one that works', (t) => {
  const scene = new Scene(t)
  scene.note('written', 0, 'b'.repeat(512))
  scene.note('unsynced', scene.note('syncing'))
  scene.sync()
  assert.equal(scene.cut(0)['data'], 'a'.repeat(2_048))
  scene.note('written', 0, 'c'.repeat(512))
  scene.sync()
  assert.equal(scene.cut(0)['data'], `${'c'.repeat(512)}${'a'.repeat(1_536)}`)
})

test('a new file, and a new name, are safe when their folder was synced', (t) => {
  const scene = new Scene(t)
  scene.note('created', 0, '/x/new\0', 8)
  scene.note('written', 0, 'new', 8)
  scene.sync(8)
  assert.deepEqual(Object.keys(scene.cut(0)), ['data'])
  scene.sync(FOLDER_INODE)
  assert.equal(scene.cut(0)['new'], 'new')
  scene.note('renamed', 0, '/x/new\0/x/newer\0', 0)
  assert.equal(scene.cut(0)['new'], 'new')
  scene.sync(FOLDER_INODE)
  assert.deepEqual(Object.keys(scene.cut(0)), ['data', 'newer'])
})

test('a journal that was cut in the middle of a note is read up to there', (t) => {
  const scene = new Scene(t)
  scene.note('dsynced', scene.note('written', 0, 'b'.repeat(512)))
  assert.equal(scene.cut(0, 1)['data'], 'a'.repeat(2_048))
  assert.equal(scene.cut(0)['data'], `${'b'.repeat(512)}${'a'.repeat(1_536)}`)
})

test('a file can be cut short and grow again', (t) => {
  const scene = new Scene(t)
  scene.note('cut', 10)
  scene.note('written', 12, 'z')
  scene.sync()
  assert.equal(scene.cut(0)['data'], 'aaaaaaaaaa\0\0z')
})
