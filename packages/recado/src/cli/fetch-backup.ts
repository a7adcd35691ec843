/**
 * The download of a backup from a running broker, by its HTTP API: `recado backup FILE --url URL`.
 *
 * `backup.ts` calls it. Invariant: a file with the requested name is complete and on the disk.
 */
import { open, rename, rm } from 'node:fs/promises'
import { type ParsedCommand, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient } from './api-client.ts'
import { byteText, Progress } from './progress.ts'

/** Writes the backup to `file`, which does not exist. Returns its size in bytes. @throws ToolError */
export async function fetchBackup(file: string, parsed: ParsedCommand, io: Io): Promise<number> {
  const { body, bytes } = await new ApiClient(parsed, process.env).download('/api/v1/backup')
  const part = `${file}.part`
  const progress = new Progress(io.stderr)
  const target = await open(part, 'wx', 0o600)
  try {
    let written = 0
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        await target.writeFile(chunk)
        written += chunk.length
        progress.at(() => `${byteText(written)}${bytes === null ? '' : ` of ${byteText(bytes)}`} written`)
      }
      // A broker that ends meanwhile ends the answer, too.
      if (bytes !== null && written !== bytes) throw new ToolError(`only ${written} of ${bytes} bytes came`)
      await target.sync()
    } finally {
      progress.clear()
      await target.close()
    }
    await rename(part, file)
    return written
  } catch (error) {
    await rm(part, { force: true })
    if (error instanceof ToolError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error
    throw new ToolError(`the backup broke off: ${(error as Error).message}`)
  }
}
