/**
 * `recado kick`: ends the connections of clients, and with an option their sessions, or what waits in them. It asks the
 * broker's HTTP API.
 *
 * Called by `main.ts`.
 */
import { type Command, helpRow, isGiven, ToolError } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiRows, changeNotes, segment } from './api-client.ts'
import { counted } from './progress.ts'
import { jsonRow, report, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

export const command: Command = {
  name: 'kick',
  summary: 'disconnects clients of a running broker.',
  usage: ['[--end-session | --drain] CLIENT ...'],
  introduction: `  {program} noisy
  {program} --end-session gone-for-good   # with its subscriptions and queue
  {program} --drain slow                  # drop what waits for it; it stays connected`,
  operands: [{ name: 'CLIENT', help: 'Client Identifier', repeats: true }],
  groups: [
    {
      options: [
        { names: ['--end-session'], help: 'end the session too: subscriptions, and messages that wait' },
        { names: ['--drain'], help: 'drop the messages that wait, and leave connection and session' },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `A client that was disconnected may come back at once: recado ban keeps it away.

${changeNotes('operator')}`,
}

export function runKick(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const [endsSession, drains] = [isGiven(parsed, '--end-session'), isGiven(parsed, '--drain')]
    if (endsSession && drains) throw new ToolError('give --end-session or --drain, not both')
    const api = new ApiClient(parsed, process.env)
    let failures = 0
    for (const clientId of parsed.operands) {
      try {
        if (drains) {
          const { messages } = await api.send<{ messages: number }>(
            'DELETE',
            `/api/v1/sessions/${segment(clientId)}/queue`,
          )
          const text = `${counted(messages, 'message')} for ${safeLine(clientId)} dropped`
          report(parsed, io, { clientId, isDone: true, messages }, text)
          continue
        }
        await api.send('DELETE', `/api/v1/${endsSession ? 'sessions' : 'clients'}/${segment(clientId)}`)
        const text = `${safeLine(clientId)} ${endsSession ? 'disconnected, its session ended' : 'disconnected'}`
        report(parsed, io, { clientId, isDone: true }, text)
      } catch (error) {
        // The others are meant all the same.
        if (!(error instanceof ToolError) || parsed.operands.length === 1) throw error
        failures++
        io.stderr.write(`recado kick: ${safeLine(clientId)}: ${error.message}\n`)
      }
    }
    return failures === 0 ? 0 : 1
  })
}
