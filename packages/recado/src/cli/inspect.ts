/**
 * `recado inspect`: sessions with their queues, and retained messages of a data folder, as tables for people or as one
 * JSON document for programs. Payloads are not shown: `recado export` has them.
 *
 * Called by `main.ts`. Works beside a running broker and shows one moment. Messages are counted from their keys; rows
 * are printed as they are read, so that the length of a table does not matter.
 */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import {
  lmdbFile,
  type QueueTotals,
  StoreContents,
  type StoredRetainedMessage,
  type StoredSession,
} from '@recado/broker'
import { type Command, helpRow, isGiven } from '../command-table.ts'
import { escapeControls } from '../escape-controls.ts'
import type { Io } from '../io.ts'
import { recordJson } from './contents-json.ts'
import { Output } from './io.ts'
import { byteText, counted, grouped, Progress } from './progress.ts'
import { dataFolderOf, folderRows, openFolder, runTool } from './store-folder.ts'
import { type Row, Table } from './text-table.ts'

/** Rows of each table that are printed without `--all`. */
const ROWS_SHOWN = 50
const NEVER_EXPIRES = 0xffff_ffff
const NO_QUEUE: QueueTotals = { messages: 0, bytes: 0, inflight: 0 }

export const command: Command = {
  name: 'inspect',
  summary: 'shows what a broker keeps in its data folder.',
  usage: ['[FOLDER] [--json] [--all]'],
  introduction: `The broker may be running. Shown are sessions with what waits for them, and retained messages; for the messages themselves
see recado export.`,
  operands: [
    {
      name: 'FOLDER',
      help: 'the data folder (default: the one that the broker would take, ./data)',
      isOptional: true,
      completes: 'folder',
    },
  ],
  groups: [
    {
      options: [
        ...folderRows,
        {
          names: ['--json'],
          help: 'one JSON document: {"sessions": [...], "wills": [...], "retained": [...], "totals": {...}}',
        },
        { names: ['--all'], help: `all rows of the tables, not only the first ${ROWS_SHOWN}` },
        helpRow,
      ],
    },
  ],
  notes: `Columns: SUBS subscriptions; QUEUED messages that wait, of them IN FLIGHT sent and not acknowledged; BYTES of their topics and
payloads; RECEIVED the client's QoS 2 messages that it has not released; WILL whether it has one. WILL OF lists the
Wills of connected clients whose sessions end with their connections.
Exit code: 0, or 1 when the folder cannot be read.`,
}

export function runInspect(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const folder = resolve(dataFolderOf(parsed, parsed.operands[0]))
    const reader = await openFolder(folder)
    const output = new Output(io.stdout, () => {})
    const progress = new Progress(io.stderr)
    try {
      const contents = new StoreContents(reader)
      let read = 0
      const queues = contents.queues(() => {
        read++
        progress.step(() => `${grouped(read)} messages counted`)
      })
      progress.clear()
      const report = isGiven(parsed, '--json')
        ? new JsonReport(output)
        : new TableReport(output, isGiven(parsed, '--all'))
      await report.print(folder, contents, queues)
      return 0
    } finally {
      progress.clear()
      await output.end()
      await reader.close()
    }
  })
}

interface Totals {
  sessions: number
  messages: number
  messageBytes: number
  inflight: number
  retained: number
  retainedBytes: number
  delayed: number
  damagedRows: number
}

function noTotals(): Totals {
  return {
    sessions: 0,
    messages: 0,
    messageBytes: 0,
    inflight: 0,
    retained: 0,
    retainedBytes: 0,
    delayed: 0,
    damagedRows: 0,
  }
}

function addSession(totals: Totals, queue: QueueTotals): void {
  totals.sessions++
  totals.messages += queue.messages
  totals.messageBytes += queue.bytes
  totals.inflight += queue.inflight
}

const sizeOf = ({ topic, payload }: StoredRetainedMessage): number => Buffer.byteLength(topic) + payload.length

class JsonReport {
  readonly #output: Output

  constructor(output: Output) {
    this.#output = output
  }

  async print(folder: string, contents: StoreContents, queues: Map<string, QueueTotals>): Promise<void> {
    const totals = noTotals()
    await this.#write(`{"folder":${JSON.stringify(folder)},\n"sessions":[`)
    for (const session of contents.sessions()) {
      const queue = queues.get(session.clientId) ?? NO_QUEUE
      const { kind: _, will, ...rest } = recordJson(session) as { kind: string; will?: object }
      const row = { ...rest, queue, ...(will === undefined ? {} : { will: withoutPayload(will) }) }
      await this.#write(`${totals.sessions === 0 ? '' : ','}\n${JSON.stringify(row)}`)
      addSession(totals, queue)
    }
    await this.#write('],\n"wills":[')
    let wills = 0
    for (const will of contents.wills()) {
      const { kind: _, ...rest } = recordJson(will) as { kind: string }
      const row = { ...withoutPayload(rest), payloadBytes: will.payload.length }
      await this.#write(`${wills++ === 0 ? '' : ','}\n${JSON.stringify(row)}`)
    }
    await this.#write('],\n"retained":[')
    for (const message of contents.retained()) {
      const { kind: _, ...rest } = recordJson(message) as { kind: string }
      const row = { ...withoutPayload(rest), payloadBytes: message.payload.length }
      await this.#write(`${totals.retained === 0 ? '' : ','}\n${JSON.stringify(row)}`)
      totals.retained++
      totals.retainedBytes += sizeOf(message)
    }
    await this.#write('],\n"delayed":[')
    for (const message of contents.delayed()) {
      const { kind: _, ...rest } = recordJson(message) as { kind: string }
      const row = { ...withoutPayload(rest), payloadBytes: message.payload.length }
      await this.#write(`${totals.delayed++ === 0 ? '' : ','}\n${JSON.stringify(row)}`)
    }
    totals.damagedRows = contents.damagedRows
    await this.#write(`],\n"totals":${JSON.stringify(totals)}}\n`)
  }

  async #write(text: string): Promise<void> {
    const drained = this.#output.write(Buffer.from(text))
    if (drained !== null) await drained
  }
}

function withoutPayload(message: object): object {
  const { payload: _, payloadBase64: __, ...rest } = message as { payload?: string; payloadBase64?: string }
  return rest
}

class TableReport {
  readonly #output: Output
  readonly #isAll: boolean

  constructor(output: Output, isAll: boolean) {
    this.#output = output
    this.#isAll = isAll
  }

  async print(folder: string, contents: StoreContents, queues: Map<string, QueueTotals>): Promise<void> {
    const totals = noTotals()
    const nowMs = Date.now()
    await this.#line(`${folder}: ${byteText(statSync(lmdbFile(folder)).size)} on disk\n`)
    const sessions = new Table(
      ['CLIENT ID', 'AWAY SINCE', 'EXPIRES', 'SUBS', 'QUEUED', 'BYTES', 'IN FLIGHT', 'RECEIVED', 'WILL'],
      [3, 4, 5, 6, 7],
    )
    for (const session of contents.sessions()) {
      const queue = queues.get(session.clientId) ?? NO_QUEUE
      addSession(totals, queue)
      await this.#row(sessions, totals.sessions, () => sessionRow(session, queue, nowMs))
    }
    await this.#end(sessions, totals.sessions)
    await this.#line(
      `${counted(totals.sessions, 'session')}, ${counted(totals.messages, 'message')} waiting (${byteText(totals.messageBytes)}), ${grouped(totals.inflight)} in flight\n`,
    )
    const wills = new Table(['WILL OF', 'TOPIC', 'QOS', 'BYTES'], [2, 3])
    let willCount = 0
    for (const will of contents.wills()) {
      const { clientId, topic, qos, payload } = will
      const row = [escapeControls(clientId), escapeControls(topic), String(qos), grouped(payload.length)]
      await this.#row(wills, ++willCount, () => row)
    }
    await this.#end(wills, willCount)
    if (willCount > 0) await this.#line(`${counted(willCount, 'Will')} of clients without a session\n`)
    const retained = new Table(['RETAINED', 'QOS', 'BYTES', 'EXPIRES'], [1, 2])
    for (const message of contents.retained()) {
      totals.retained++
      totals.retainedBytes += sizeOf(message)
      await this.#row(retained, totals.retained, () => {
        const { topic, qos, payload, expiresAtMs } = message
        return [escapeControls(topic), String(qos), grouped(payload.length), expiryText(expiresAtMs, nowMs)]
      })
    }
    await this.#end(retained, totals.retained)
    await this.#line(`${counted(totals.retained, 'retained message')} (${byteText(totals.retainedBytes)})`)
    const delayed = new Table(['DELAYED', 'OF', 'QOS', 'BYTES', 'DUE'], [2, 3])
    for (const message of contents.delayed()) {
      await this.#row(delayed, ++totals.delayed, () => {
        const { topic, leftBy, qos, payload, dueAtMs } = message
        const client = escapeControls(leftBy?.clientId ?? '-')
        return [escapeControls(topic), client, String(qos), grouped(payload.length), dueText(dueAtMs, nowMs)]
      })
    }
    await this.#end(delayed, totals.delayed)
    if (totals.delayed > 0) await this.#line(counted(totals.delayed, 'delayed message'))
    if (contents.damagedRows > 0) {
      await this.#line(
        `\n${counted(contents.damagedRows, 'row')} could not be understood and ${contents.damagedRows === 1 ? 'was' : 'were'} passed over.`,
      )
    }
  }

  async #row(table: Table, number: number, row: () => Row): Promise<void> {
    if (!this.#isAll && number > ROWS_SHOWN) return
    const ready = table.add(row())
    if (ready !== null) await this.#line(ready)
  }

  async #end(table: Table, count: number): Promise<void> {
    const ready = table.end()
    if (ready !== null) await this.#line(ready)
    if (!this.#isAll && count > ROWS_SHOWN) await this.#line(`... and ${grouped(count - ROWS_SHOWN)} more: --all`)
  }

  async #line(text: string): Promise<void> {
    const drained = this.#output.write(Buffer.from(`${text}\n`))
    if (drained !== null) await drained
  }
}

function sessionRow(session: StoredSession, queue: QueueTotals, nowMs: number): Row {
  const { clientId, disconnectedAtMs, expirySeconds, subscriptions, receivedPacketIds, will } = session
  const expiresAtMs = expirySeconds === NEVER_EXPIRES ? null : (disconnectedAtMs ?? nowMs) + expirySeconds * 1000
  return [
    escapeControls(clientId),
    disconnectedAtMs === null ? 'connected' : new Date(disconnectedAtMs).toISOString().slice(0, 19).replace('T', ' '),
    disconnectedAtMs === null && expiresAtMs !== null
      ? `${ageText(expirySeconds)} later`
      : expiryText(expiresAtMs, nowMs),
    grouped(subscriptions.length),
    grouped(queue.messages),
    grouped(queue.bytes),
    grouped(queue.inflight),
    grouped(receivedPacketIds.length),
    will === null ? '-' : 'yes',
  ]
}

function expiryText(expiresAtMs: number | null, nowMs: number): string {
  if (expiresAtMs === null) return 'never'
  return expiresAtMs <= nowMs ? 'expired' : `in ${ageText((expiresAtMs - nowMs) / 1000)}`
}

function dueText(dueAtMs: number, nowMs: number): string {
  return dueAtMs <= nowMs ? 'at the next start' : `in ${ageText((dueAtMs - nowMs) / 1000)}`
}

/** Age as text: 45 s, 12 min, 5 h, 30 d */
function ageText(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
