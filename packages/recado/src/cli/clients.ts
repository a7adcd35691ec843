/**
 * `recado clients`: the clients that are connected to a running broker, or one of them with all that is known about it.
 * It asks the broker's HTTP API.
 *
 * Called by `main.ts`. Text that clients have chosen is escaped, so that none of it can move the cursor of a terminal.
 */
import { type Command, helpRow, isGiven, type ParsedCommand, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiNotes, apiRows, segment } from './api-client.ts'
import { byteText, grouped } from './progress.ts'
import { durationText } from './status.ts'
import { jsonRow, printsJson, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'
import { tableText } from './text-table.ts'
import { rateText } from './topic-tree.ts'
import { wholeNumber } from './whole-number.ts'

/** Columns by which a list can be sorted, as the API names them. */
const sortColumns = [
  'clientId',
  'username',
  'remoteAddress',
  'connectedAtMs',
  'rateReceived',
  'rateSent',
  'queuedMessages',
  'queuedBytes',
  'inflight',
  'droppedMessages',
  'subscriptions',
  'waitingBytes',
  'bytesReceived',
  'bytesSent',
] as const

const LIMIT_DEFAULT = 100
const LIMIT_MAX = 1_000

export const command: Command = {
  name: 'clients',
  summary: 'lists the clients of a running broker, or shows one.',
  usage: ['[--search TEXT] [--sort COLUMN] [options]', 'CLIENT [options]'],
  introduction: `  {program} --sort -queuedMessages --limit 10   # the longest queues
  {program} ada`,
  operands: [{ name: 'CLIENT', help: 'Client Identifier; default: all', isOptional: true }],
  groups: [
    {
      options: [
        { names: ['--search'], value: 'TEXT', help: 'only those with TEXT in Client Identifier, user name or address' },
        { names: ['--listener'], value: 'NAME', help: 'only those of this listener; * stands for any characters' },
        { names: ['--congested'], help: 'only those that read too slowly' },
        {
          names: ['--sort'],
          value: 'COLUMN',
          help: `order, with - in front for descending (default: clientId); one of\n${sortColumns.slice(0, 7).join(', ')},\n${sortColumns.slice(7).join(', ')}`,
          completes: sortColumns.flatMap((name) => [name, `-${name}`]),
        },
        {
          names: ['--limit'],
          value: 'N',
          help: `most clients that are listed, up to ${grouped(LIMIT_MAX)} (default: ${LIMIT_DEFAULT})`,
        },
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `Rates are messages a second over the last seconds.

${apiNotes}

Exit code: 0; 1 when there is no such client, or the broker could not be asked.`,
}

/** Part of a client's view that is shown. */
export interface ClientRow {
  readonly clientId: string
  readonly username: string | null
  readonly protocolVersion: number
  readonly remoteAddress: string
  readonly listener: string
  readonly tls: { readonly version: string | null; readonly commonName: string | null } | null
  readonly connectedAtMs: number
  readonly keepAliveSeconds: number
  readonly traffic: Traffic
  readonly rates: Traffic
  readonly waitingBytes: number
  readonly isCongested: boolean
  readonly will: { readonly topic: string } | null
  readonly session: {
    readonly isDurable: boolean
    readonly expirySeconds: number | null
    readonly subscriptions: number
    readonly queuedMessages: number
    readonly queuedBytes: number
    readonly inflight: number
    readonly droppedMessages: number
  }
}

interface Traffic {
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly messagesReceived: number
  readonly messagesSent: number
}

interface ClientPage {
  readonly items: readonly ClientRow[]
  readonly next: string | null
}

export function runClients(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const api = new ApiClient(parsed, process.env)
    const [clientId] = parsed.operands
    return clientId === undefined ? list(api, parsed, io) : show(api, clientId, parsed, io)
  })
}

async function list(api: ApiClient, parsed: ParsedCommand, io: Io): Promise<number> {
  const page = await api.get<ClientPage>('/api/v1/clients', {
    q: valueIn(parsed, '--search'),
    listener: valueIn(parsed, '--listener'),
    sort: valueIn(parsed, '--sort'),
    isCongested: isGiven(parsed, '--congested') ? 'true' : undefined,
    limit: String(wholeNumber(parsed, '--limit', LIMIT_DEFAULT, 1, LIMIT_MAX)),
  })
  if (printsJson(parsed, io, page)) return 0
  const head = ['CLIENT', 'USER', 'IN/S', 'OUT/S', 'QUEUE', 'FLIGHT', 'DROPS', 'SUBS', 'ADDRESS', 'LISTENER']
  const rows = page.items.map(({ clientId, username, rates, session, remoteAddress, listener, isCongested }) => [
    `${safeLine(clientId)}${isCongested ? ' (slow)' : ''}`,
    username === null ? '-' : safeLine(username),
    rateText(rates.messagesReceived),
    rateText(rates.messagesSent),
    grouped(session.queuedMessages),
    grouped(session.inflight),
    grouped(session.droppedMessages),
    grouped(session.subscriptions),
    safeLine(remoteAddress),
    safeLine(listener),
  ])
  if (rows.length === 0) io.stderr.write('No such client is connected.\n')
  io.stdout.write(tableText(head, rows, [2, 3, 4, 5, 6, 7]))
  if (page.next !== null) io.stderr.write('There are more: give --limit, --search, or --json for the cursor.\n')
  return 0
}

async function show(api: ApiClient, clientId: string, parsed: ParsedCommand, io: Io): Promise<number> {
  const client = await api.get<ClientRow>(`/api/v1/clients/${segment(clientId)}`)
  if (printsJson(parsed, io, client)) return 0
  for (const [label, value] of factsOf(client, Date.now())) io.stdout.write(`${`${label}:`.padEnd(16)}${value}\n`)
  return 0
}

function factsOf(client: ClientRow, nowMs: number): [label: string, value: string][] {
  const { session, traffic, rates, tls, will } = client
  const versions: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }
  const expiry = session.expirySeconds === null ? 'does not expire' : `expires after ${session.expirySeconds} s`
  const messages = (count: number, bytes: number, rate: number): string =>
    `${grouped(count)} messages, ${byteText(bytes)}, ${rateText(rate)}`
  return [
    ['client', safeLine(client.clientId)],
    ['user', client.username === null ? '-' : safeLine(client.username)],
    ['address', `${safeLine(client.remoteAddress)} on ${safeLine(client.listener)}`],
    ['protocol', `MQTT ${versions[client.protocolVersion] ?? client.protocolVersion}`],
    ['TLS', tls === null ? 'no' : safeLine([tls.version ?? '-', tls.commonName].filter(Boolean).join(', '))],
    ['connected for', durationText((nowMs - client.connectedAtMs) / 1_000)],
    ['keep alive', client.keepAliveSeconds === 0 ? 'none' : `${client.keepAliveSeconds} s`],
    ['received', messages(traffic.messagesReceived, traffic.bytesReceived, rates.messagesReceived)],
    ['sent', messages(traffic.messagesSent, traffic.bytesSent, rates.messagesSent)],
    ['reads', `${client.isCongested ? 'too slowly' : 'well'}, ${byteText(client.waitingBytes)} wait to be sent`],
    ['session', `${session.isDurable ? 'on the disk' : 'in memory'}, ${expiry}`],
    ['subscriptions', grouped(session.subscriptions)],
    ['queue', `${grouped(session.queuedMessages)} messages, ${byteText(session.queuedBytes)}`],
    ['in flight', grouped(session.inflight)],
    ['dropped', grouped(session.droppedMessages)],
    ['will', will === null ? 'none' : safeLine(will.topic)],
  ]
}
