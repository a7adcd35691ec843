/**
 * `recado backup`: copies a broker's data to one file while the broker runs.
 *
 * Called by `main.ts`. A process of its own, which opens the data folder read-only and lets LMDB copy one moment of it;
 * the broker goes on and is not involved. With `--url` it asks the HTTP API of a broker, which may be on another machine.
 * Invariant: a file with the requested name is complete and on the disk.
 */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, helpRow, isGiven, type OptionRow, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { apiRows } from './api-client.ts'
import { fetchBackup } from './fetch-backup.ts'
import { byteText, Progress } from './progress.ts'
import { dataFolderOf, folderRows, jsonRow, openFolder, report, runTool } from './store-folder.ts'

const urlRow: OptionRow = {
  ...apiRows[0]!,
  help: 'take it from the HTTP API at URL (http://HOST:9883), not from a folder',
}

export const command: Command = {
  name: 'backup',
  summary: 'copies what a broker keeps into one file, while it runs.',
  usage: ['FILE [--data FOLDER | -c FILE]', 'FILE --url URL [--token-file FILE]'],
  operands: [{ name: 'FILE', help: 'a new file', completes: 'file' }],
  groups: [{ options: [...folderRows, urlRow, ...apiRows.slice(1), jsonRow, helpRow] }],
  notes: `To go back to a backup, stop the broker and make the file its data file, in a folder of its own:

  mkdir -m 700 restored && cp FILE restored/recado.mdb && recado --data restored

By the HTTP API it needs a token with the role admin, and the broker makes the copy beside its data first: there must be
room for it.

Exit code: 0 when the backup is complete and on the disk, else 1.`,
}

export function runBackup(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const file = resolve(parsed.operands[0]!)
    if (existsSync(file)) throw new ToolError(`${file} exists already: choose another name`)
    if (isGiven(parsed, '--url')) {
      if (isGiven(parsed, '--data') || isGiven(parsed, '--config-file'))
        throw new ToolError('give --url, or the folder with --data or -c, not both')
      const bytes = await fetchBackup(file, parsed, io)
      report(parsed, io, { file, bytes }, `What the broker kept as it was now is in ${file} (${byteText(bytes)})`)
      return 0
    }
    const folder = resolve(dataFolderOf(parsed))
    const reader = await openFolder(folder)
    const progress = new Progress(io.stderr)
    try {
      await reader.backup(file, (written, atMost) =>
        progress.at(() => `${byteText(written)} of at most ${byteText(atMost)} written`),
      )
    } finally {
      progress.clear()
      await reader.close()
    }
    const { size } = statSync(file)
    report(parsed, io, { folder, file, bytes: size }, `${folder} as it was now is in ${file} (${byteText(size)})`)
    return 0
  })
}
