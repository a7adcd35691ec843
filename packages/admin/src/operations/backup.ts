/** The operation that hands out a backup of what the broker keeps, as a stream. */
import { Readable } from 'node:stream'
import { z } from 'zod'
import { type Operation, operation } from '../http/operation.ts'
import { Problem } from '../http/problem.ts'
import { Reply } from '../http/reply.ts'
import { need, type Parts } from './parts.ts'

/** Operation of the group `server` that downloads a backup. One is made at a time: each takes the room of the data. */
export function backupOperation({ host }: Parts): Operation {
  let isRunning = false
  return operation({
    method: 'get',
    path: '/api/v1/backup',
    id: 'downloadBackup',
    tag: 'server',
    role: 'admin',
    summary: 'A backup of what the broker keeps, of one moment, as a data file.',
    description:
      'It has every session, message and retained message, payloads included. The copy is made beside the data first, so there must be room for it; the broker goes on meanwhile.',
    answer: z.string(),
    mediaType: 'application/octet-stream',
    problems: { 409: 'A backup is being made already, or it cannot be made.', 501: 'Nothing is kept.' },
    async handle({ audit, signal }) {
      const make = need(host, 'backup')
      if (isRunning) throw new Problem(409, 'A backup is being made already: wait for its end.')
      isRunning = true
      const end = (): void => {
        isRunning = false
      }
      try {
        const backup = await make(signal)
        if (backup === null) throw new Problem(501, 'This broker keeps nothing on the disk.')
        const { bytes, stream } = backup
        stream.once('close', end)
        if (signal.aborted) stream.destroy()
        audit(`downloaded a backup of ${bytes} bytes`)
        const name = `recado-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.mdb`
        return new Reply(200, Readable.toWeb(stream), {
          'content-length': String(bytes),
          'content-disposition': `attachment; filename="${name}"`,
        })
      } catch (error) {
        end()
        if (error instanceof Problem) throw error
        throw new Problem(409, `The backup cannot be made: ${(error as Error).message}.`)
      }
    },
  })
}
