/**
 * `recado backup`: copies a broker's data to one file while the broker runs.
 *
 * Called by `main.ts`. A process of its own, which opens the data folder read-only and lets LMDB copy one moment of it;
 * the broker goes on and is not involved. Invariant: a file with the requested name is complete and on the disk.
 */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, helpRow, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { byteText, Progress } from './progress.ts'
import { dataFolderOf, folderRows, jsonRow, openFolder, report, runTool } from './store-folder.ts'

export const command: Command = {
  name: 'backup',
  summary: 'copies what a broker keeps into one file, while it runs.',
  usage: ['FILE [--data FOLDER | -c FILE]'],
  operands: [{ name: 'FILE', help: 'a new file', completes: 'file' }],
  groups: [{ options: [...folderRows, jsonRow, helpRow] }],
  notes: `To go back to a backup, stop the broker and make the file its data file, in a folder of its own:

  mkdir -m 700 restored && cp FILE restored/recado.mdb && recado --data restored

Exit code: 0 when the backup is complete and on the disk, else 1.`,
}

export function runBackup(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const file = resolve(parsed.operands[0]!)
    if (existsSync(file)) throw new ToolError(`${file} exists already: choose another name`)
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
