/**
 * `recado export`: everything in a data folder as lines of JSON, one record each (`contents-json.ts`), or as Mosquitto's `mosquitto.db`.
 *
 * Called by `main.ts`. Works beside a running broker and writes one moment. A record at a time is in memory. The invariant:
 * a file with the name that was asked for is complete, because it has another name until it is.
 */
import { createWriteStream, existsSync, rmSync, statSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { StoreContents } from '@recado/broker'
import { type Command, helpRow, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { databaseBytes, type LeftBehind, type Written } from '../mosquitto-db/write-database.ts'
import { headerText, recordText } from './contents-json.ts'
import { Output } from './io.ts'
import { byteText, counted, grouped, Progress } from './progress.ts'
import { jsonRow, openFolder, report, runTool } from './store-folder.ts'

export const command: Command = {
  name: 'export',
  summary: 'writes everything that a broker keeps as lines of JSON, or as a file that Mosquitto reads.',
  usage: ['[--format FORMAT] FOLDER FILE'],
  introduction: `The broker may be running: it is written as it is at one moment. Each line is a session, a message with those who wait for it,
or a retained message; docs/durability.md has the form. recado import reads it. The file holds payloads: keep it to yourself.`,
  operands: [
    { name: 'FOLDER', help: "the broker's data folder", completes: 'folder' },
    { name: 'FILE', help: 'a new file, or - for stdout', completes: 'file' },
  ],
  groups: [
    {
      options: [
        {
          names: ['--format'],
          value: 'FORMAT',
          help: 'json (default): lines of JSON. mosquitto.db: the database of Mosquitto 2.0 and 2.1, for\ngoing back to it; what it cannot hold (Wills, Shared Subscriptions) is counted on stderr',
          completes: ['json', 'mosquitto.db'],
        },
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: 'Exit code: 0, or 1 when something went wrong.',
}

export function runExport(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const { operands } = parsed
    const [folder = '', file = ''] = operands
    if (file !== '-' && existsSync(file)) throw new ToolError(`${file} exists already: choose another name`)
    const reader = await openFolder(folder)
    const contents = new StoreContents(reader)
    const written = { sessions: 0, subscriptions: 0, deliveries: 0, retained: 0 }
    const left = { wills: 0, delayed: 0, sharedSubscriptions: 0, unreleased: 0 }
    const isDatabase = valueIn(parsed, '--format') === 'mosquitto.db'
    const pieces = isDatabase ? databaseBytes(contents, Date.now(), written, left) : lineBytes(contents)
    try {
      const count = file === '-' ? await writeTo(io.stdout, pieces, io) : await writeFile(resolve(file), pieces, io)
      if (isDatabase) for (const line of leftBehindText(left)) io.stderr.write(`recado export: ${line}\n`)
      if (contents.damagedRows > 0) {
        io.stderr.write(`recado export: ${counted(contents.damagedRows, 'damaged row')} passed over\n`)
      }
      if (file !== '-') {
        const what = isDatabase ? writtenText(written) : counted(count - 1, 'record')
        const { size } = statSync(file)
        const { damagedRows } = contents
        const result = isDatabase ? { ...written, leftBehind: left } : { records: count - 1 }
        report(parsed, io, { file, bytes: size, damagedRows, ...result }, `${what} in ${file} (${byteText(size)})`)
      }
      return 0
    } finally {
      await reader.close()
    }
  })
}

async function writeFile(path: string, pieces: Iterable<Buffer>, io: Io): Promise<number> {
  const part = `${path}.part`
  try {
    const handle = await open(part, 'w', 0o600)
    const stream = createWriteStream('', { fd: handle, autoClose: false })
    const count = await writeTo(stream, pieces, io)
    await handle.sync()
    await handle.close()
    await rename(part, path)
    return count
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
}

async function writeTo(stream: Writable, pieces: Iterable<Buffer>, io: Io): Promise<number> {
  let isBroken = false
  const output = new Output(stream, () => {
    isBroken = true
  })
  const progress = new Progress(io.stderr)
  let count = 0
  for (const piece of pieces) {
    const drained = output.write(piece)
    if (drained !== null) await drained
    if (isBroken) break
    count++
    progress.step(() => `${grouped(count)} records written`)
  }
  progress.clear()
  // The reader of stdout may stop early.
  await output.end()
  return count
}

function* lineBytes(contents: StoreContents): Generator<Buffer> {
  yield Buffer.from(`${headerText}\n`)
  for (const record of contents.all()) yield Buffer.from(`${recordText(record)}\n`)
}

function writtenText({ sessions, subscriptions, deliveries, retained }: Written): string {
  return [
    counted(sessions, 'session'),
    counted(subscriptions, 'subscription'),
    `${counted(deliveries, 'message')} waiting or in flight`,
    counted(retained, 'retained message'),
  ].join(', ')
}

function leftBehindText({ wills, delayed, sharedSubscriptions, unreleased }: LeftBehind): string[] {
  const lines: string[] = []
  if (wills > 0) lines.push(`${counted(wills, 'Will')} left behind: a mosquitto.db has none`)
  if (delayed > 0) lines.push(`${counted(delayed, 'delayed message')} left behind: a mosquitto.db has none`)
  if (sharedSubscriptions > 0) {
    lines.push(`${counted(sharedSubscriptions, 'Shared Subscription')} left behind: a mosquitto.db has none`)
  }
  if (unreleased > 0) {
    lines.push(
      `${counted(unreleased, 'QoS 2 message')} of clients not released yet: one that its client sends again comes twice`,
    )
  }
  return lines
}
