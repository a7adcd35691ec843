/**
 * The disk after a power cut: makes, from a folder as it was and the journal of all writes to it since, a folder as it
 * may be.
 *
 * The journal is that of `packages/testkit/peers/power.c`; `power.ts` calls this after a kill. Synced data is kept: a
 * file's bytes by a sync of the file or O_DSYNC, its name by a sync of its folder. Of everything else chance keeps
 * some, sector by sector, so that a write may be torn and a later one may be there without an earlier one; of names
 * chance keeps the first ones. After a failed sync its data stays unsure for good: a later sync does not reach it, as
 * on Linux.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Random } from '../random.ts'

const Note = {
  Opened: 1,
  Created: 2,
  Written: 3,
  Dsynced: 4,
  Synced: 6,
  Unsynced: 7,
  Cut: 8,
  Renamed: 9,
  Unlinked: 10,
  Linked: 11,
  Mapped: 12,
  Folder: 13,
} as const

const HEADER_BYTES = 40

interface Entry {
  readonly kind: number
  readonly number: number
  readonly inode: number
  readonly a: number
  readonly bytes: Buffer
}

/** Yields whole notes only: a kill may have cut the last one. */
export function* entriesOf(journal: Buffer): Generator<Entry> {
  for (let at = 0; at + HEADER_BYTES <= journal.length; ) {
    const [kind, number, inode, a, length] = [0, 8, 16, 24, 32].map((i) => Number(journal.readBigUInt64LE(at + i))) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const end = at + HEADER_BYTES + length
    if (end > journal.length) return
    yield { kind, number, inode, a, bytes: journal.subarray(at + HEADER_BYTES, end) }
    at = end
  }
}

interface Change {
  readonly number: number
  /** Offset of the bytes; without bytes, the length of the file. */
  readonly at: number
  readonly bytes: Buffer | null
  isKept: boolean
  /** Whether a sync that failed had it: no other sync will write it. */
  isLost: boolean
}

class File {
  readonly base: Buffer
  readonly changes: Change[] = []
  /** Whether it was written through a mapping, which the journal cannot see. */
  isMapped = false
  /** Whether it was opened after the state of the base folder. */
  isNoted = false

  constructor(base: Buffer) {
    this.base = base
  }

  content({ random, keep, sector }: Chance): Buffer {
    let content = Buffer.from(this.base)
    const reach = (length: number): void => {
      if (length > content.length) content = Buffer.concat([content, Buffer.alloc(length - content.length)])
    }
    for (const { at, bytes, isKept } of this.changes) {
      if (bytes === null) {
        if (!isKept && !random.chance(keep)) continue
        reach(at)
        content = content.subarray(0, at)
      } else if (isKept) {
        reach(at + bytes.length)
        bytes.copy(content, at)
      } else {
        // Sectors of the file, not of the write
        for (let from = at; from < at + bytes.length; ) {
          const to = Math.min(at + bytes.length, (Math.floor(from / sector) + 1) * sector)
          if (random.chance(keep)) {
            reach(to)
            bytes.copy(content, from, from - at, to - at)
          }
          from = to
        }
      }
    }
    return content
  }
}

/** Change of names. */
interface Naming {
  readonly number: number
  readonly name: string
  /** File; null when the name is removed. */
  readonly file: File | null
  isKept: boolean
}

export interface Chance {
  readonly random: Random
  /** Probability that the disk has a sector that it need not have. */
  readonly keep: number
  /** Size of a sector, 512 or 4096 bytes, which is written whole or not at all. */
  readonly sector: number
}

export interface PowerCut {
  /** Number of writes that chance has decided on. */
  readonly unsure: number
  readonly writes: number
}

/** Makes `into` of `base` and `journal`. The folders are flat. */
export function cutPower(base: string, journal: Buffer, live: string, into: string, chance: Chance): PowerCut {
  const names = new Map<string, File>()
  const kept = new Map<string, File>()
  for (const name of readdirSync(base)) {
    const file = new File(readFileSync(join(base, name)))
    names.set(name, file)
    kept.set(name, file)
  }
  const byInode = new Map<number, File>()
  const folders = new Set<number>()
  const namings: Naming[] = []
  const name = (number: number, which: string, file: File | null): void => {
    if (file === null) names.delete(which)
    else names.set(which, file)
    namings.push({ number, name: which, file, isKept: false })
  }
  let writes = 0
  for (const { kind, number, inode, a, bytes } of entriesOf(journal)) {
    const [first = '', second = ''] = kind === Note.Written ? [] : pathsIn(bytes).map((path) => basename(path))
    const file = byInode.get(inode)
    switch (kind) {
      case Note.Opened: {
        const known = names.get(first) ?? new File(Buffer.alloc(0))
        known.isNoted = true
        byInode.set(inode, known)
        break
      }
      case Note.Created: {
        const created = new File(Buffer.alloc(0))
        created.isNoted = true
        byInode.set(inode, created)
        name(number, first, created)
        break
      }
      case Note.Written:
        writes++
        file?.changes.push({ number, at: a, bytes, isKept: false, isLost: false })
        break
      case Note.Cut:
        file?.changes.push({ number, at: a, bytes: null, isKept: false, isLost: false })
        break
      case Note.Dsynced:
        for (const change of file?.changes ?? []) if (change.number === a) change.isKept = true
        break
      case Note.Synced:
        if (folders.has(inode)) {
          for (const naming of namings) if (naming.number < a) naming.isKept = true
        }
        for (const change of file?.changes ?? []) if (change.number < a && !change.isLost) change.isKept = true
        break
      case Note.Unsynced:
        for (const change of file?.changes ?? []) if (change.number < a && !change.isKept) change.isLost = true
        break
      case Note.Renamed:
        if (names.has(first)) name(number, second, names.get(first)!)
        name(number, first, null)
        break
      case Note.Linked:
        if (names.has(first)) name(number, second, names.get(first)!)
        break
      case Note.Unlinked:
        name(number, first, null)
        break
      case Note.Mapped:
        if (file !== undefined) file.isMapped = true
        break
      case Note.Folder:
        folders.add(inode)
    }
  }
  const sure = namings.findLastIndex(({ isKept }) => isKept) + 1
  const more = chance.random.chance(chance.keep) ? chance.random.between(0, namings.length - sure) : 0
  for (const { name: which, file } of namings.slice(0, sure + more)) {
    if (file === null) kept.delete(which)
    else kept.set(which, file)
  }
  mkdirSync(into, { mode: 0o700 })
  // Writes of a C library's own streams are not in the journal (Mosquitto): they are taken for safe
  const seen = new Set([...names.keys(), ...namings.map((naming) => naming.name)])
  for (const which of readdirSync(live)) if (!seen.has(which)) copyFileSync(join(live, which), join(into, which))
  let unsure = 0
  for (const [which, file] of kept) {
    unsure += file.changes.filter(({ isKept }) => !isKept).length
    // Data written through a mapping may be there or not; nothing relies on it
    const asItIs = !file.isNoted || (file.isMapped && chance.random.chance(0.5))
    if (asItIs && existsSync(join(live, which))) copyFileSync(join(live, which), join(into, which))
    else writeFileSync(join(into, which), file.content(chance), { mode: 0o600 })
  }
  return { unsure, writes }
}

function pathsIn(bytes: Buffer): string[] {
  return bytes.toString().split('\0').slice(0, -1)
}
