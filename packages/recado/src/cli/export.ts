/**
 * `recado export`: everything in a data folder as lines of JSON, one record each (`contents-json.ts`).
 *
 * Called by `main.ts`. Works beside a running broker and writes one moment. A record at a time is in memory. The invariant:
 * a file with the name that was asked for is complete, because it has another name until it is.
 */
import { createWriteStream, existsSync, rmSync, statSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { StoreContents } from '@recado/broker'
import { type Command, helpRow, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { headerText, recordText } from './contents-json.ts'
import { Output } from './io.ts'
import { byteText, counted, grouped, Progress } from './progress.ts'
import { openFolder, runTool } from './store-folder.ts'

export const command: Command = {
  name: 'export',
  summary: 'writes everything that a broker keeps as lines of JSON.',
  usage: ['FOLDER FILE'],
  introduction: `The broker may be running: it is written as it is at one moment. Each line is a session, a message with those who wait for it,
or a retained message; docs/durability.md has the form. recado import reads it. The file holds payloads: keep it to yourself.`,
  operands: [
    { name: 'FOLDER', help: "the broker's data folder", completes: 'folder' },
    { name: 'FILE', help: 'a new file, or - for stdout', completes: 'file' },
  ],
  groups: [{ options: [helpRow] }],
  notes: 'Exit code: 0, or 1 when something went wrong.',
}

export function runExport(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async ({ operands }) => {
    const [folder = '', file = ''] = operands
    if (file !== '-' && existsSync(file)) throw new ToolError(`${file} exists already: choose another name`)
    const reader = await openFolder(folder)
    const contents = new StoreContents(reader)
    try {
      const count = file === '-' ? await writeTo(io.stdout, contents, io) : await writeFile(resolve(file), contents, io)
      if (contents.damagedRows > 0) {
        io.stderr.write(`recado export: ${counted(contents.damagedRows, 'damaged row')} passed over\n`)
      }
      if (file !== '-') {
        io.stderr.write(`${counted(count, 'record')} in ${file} (${byteText(statSync(file).size)})\n`)
      }
      return 0
    } finally {
      await reader.close()
    }
  })
}

async function writeFile(path: string, contents: StoreContents, io: Io): Promise<number> {
  const part = `${path}.part`
  try {
    const handle = await open(part, 'w', 0o600)
    const stream = createWriteStream('', { fd: handle, autoClose: false })
    const count = await writeTo(stream, contents, io)
    await handle.sync()
    await handle.close()
    await rename(part, path)
    return count
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
}

async function writeTo(stream: Writable, contents: StoreContents, io: Io): Promise<number> {
  let isBroken = false
  const output = new Output(stream, () => {
    isBroken = true
  })
  const progress = new Progress(io.stderr)
  let count = 0
  output.write(Buffer.from(`${headerText}\n`))
  for (const record of contents.all()) {
    const drained = output.write(Buffer.from(`${recordText(record)}\n`))
    if (drained !== null) await drained
    if (isBroken) break
    count++
    progress.step(() => `${grouped(count)} records written`)
  }
  progress.clear()
  // Whoever reads stdout may stop when it has seen enough.
  await output.end()
  return count
}
