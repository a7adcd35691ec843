/**
 * `recado reload`: makes a running broker read its configuration and files again, as SIGHUP does. It asks the broker's
 * HTTP API.
 *
 * Called by `main.ts`.
 */
import { type Command, helpRow } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiRows, changeNotes } from './api-client.ts'
import { jsonRow, report, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

export const command: Command = {
  name: 'reload',
  summary: 'makes a running broker read its configuration again.',
  usage: ['[options]'],
  groups: [{ options: [...apiRows, jsonRow, helpRow] }],
  notes: `Password files, ACL files and certificates are read again, too. A configuration that cannot be used changes nothing; what
was wrong with it is printed, and is in the log of the broker.

${changeNotes('admin')}`,
}

interface Outcome {
  readonly isDone: boolean
  readonly lines: readonly string[]
}

export function runReload(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const outcome = await new ApiClient(parsed, process.env).send<Outcome>('POST', '/api/v1/reload')
    report(parsed, io, outcome, outcome.lines.map(safeLine).join('\n'))
    return outcome.isDone ? 0 : 1
  })
}
