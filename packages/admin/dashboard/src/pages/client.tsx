/**
 * One client: its connection, session, subscriptions, what is in flight and what waits, its last errors and drops, and
 * what an operator may do to it.
 */
import { useSignal } from '@preact/signals'
import { ask, askOrNull, change, may } from '../lib/api.ts'
import { preview } from '../lib/decode.ts'
import { bytes, duration, number, short } from '../lib/format.ts'
import { reasonName, t } from '../lib/i18n.ts'
import { type Polled, usePoll } from '../lib/poll.ts'
import { go, queryOf } from '../lib/router.ts'
import type { Client, ConnectionError, Drop, Drops, Message, Page, SessionView, Subscription } from '../lib/types.ts'
import { attempt, confirm } from '../ui/dialog.tsx'
import { Icon } from '../ui/icon.tsx'
import { Badge, Card, Empty, Facts, Failure, ForRole, Loading, PageHead, Select, Time } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const EVERY_MS = 3_000

interface Queued {
  readonly qos: number
  readonly retain: boolean
  readonly message: Message | null
}
interface InFlight extends Queued {
  readonly packetId: number
  readonly waitsFor: string
}

const versions: Readonly<Record<number, string>> = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }

function Connection({ client }: { client: Client }) {
  const { rates, traffic } = client
  const perSecond = (value: number): string => t('perSecond', { value: short(value) })
  const both = (rate: number, count: number, size: number): string =>
    `${perSecond(rate)} · ${t('messages', { n: count })} · ${bytes(size)}`
  return (
    <Facts
      rows={[
        [t('username'), client.username ?? '–'],
        [t('col.address'), <span class="mono">{client.remoteAddress}</span>],
        [t('listener'), <span class="mono">{client.listener}</span>],
        [t('col.protocol'), versions[client.protocolVersion] ?? String(client.protocolVersion)],
        [
          'TLS',
          client.tls === null
            ? t('no')
            : [client.tls.version, client.tls.commonName].filter(Boolean).join(', ') || t('yes'),
        ],
        [t('col.since'), <Time atMs={client.connectedAtMs} />],
        [t('client.keepAlive'), duration(client.keepAliveSeconds)],
        [t('client.receiveMaximum'), number(client.receiveMaximum)],
        [
          t('client.maximumPacketSize'),
          client.maximumPacketSize === null ? t('client.noLimit') : bytes(client.maximumPacketSize),
        ],
        [t('client.fromIt'), both(rates.messagesReceived, traffic.messagesReceived, traffic.bytesReceived)],
        [t('client.toIt'), both(rates.messagesSent, traffic.messagesSent, traffic.bytesSent)],
        [t('col.waiting'), bytes(client.waitingBytes)],
        [
          t('client.will'),
          client.will === null ? (
            t('client.noWill')
          ) : (
            <span>
              <span class="mono break">{client.will.topic}</span>, QoS {client.will.qos},{' '}
              {bytes(client.will.payloadBytes)}
            </span>
          ),
        ],
      ]}
    />
  )
}

function SessionFacts({ session }: { session: SessionView }) {
  const { lastEnd } = session
  return (
    <Facts
      rows={[
        [t('client.durable'), session.isDurable ? t('yes') : t('client.inMemory')],
        [t('client.expiry'), session.expirySeconds === null ? t('never') : duration(session.expirySeconds)],
        [t('col.expires'), session.expiresAtMs === null ? null : <Time atMs={session.expiresAtMs} />],
        [t('col.subscriptions'), number(session.subscriptions)],
        [t('col.queued'), `${number(session.queuedMessages)} · ${bytes(session.queuedBytes)}`],
        [t('col.inflight'), `${number(session.inflight)} · ${bytes(session.inflightBytes)}`],
        [t('col.dropped'), number(session.droppedMessages)],
        [
          t('col.lastEnd'),
          lastEnd === null ? null : (
            <span>
              <Time atMs={lastEnd.atMs} />: <span lang="en">{lastEnd.why}</span>
            </span>
          ),
        ],
      ]}
    />
  )
}

function BanDialogText({ kinds, choice }: { kinds: readonly (readonly [string, string])[]; choice: BanChoice }) {
  const shown = useSignal({ ...choice })
  const set = (values: Partial<BanChoice>): void => {
    Object.assign(choice, values)
    shown.value = { ...choice }
  }
  return (
    <>
      <p>{t('ban.text')}</p>
      <Select label={t('ban.whom')} value={shown.value.kind} options={kinds} onValue={(kind) => set({ kind })} />
      <Select
        label={t('ban.time')}
        value={shown.value.seconds}
        options={[
          ['600', duration(600)],
          ['3600', duration(3_600)],
          ['86400', duration(86_400)],
          ['604800', duration(604_800)],
        ]}
        onValue={(seconds) => set({ seconds })}
      />
    </>
  )
}

interface BanChoice {
  kind: string
  seconds: string
}

interface ActionsProps {
  readonly clientId: string
  readonly client: Client | null
  /** Messages that wait for it. */
  readonly queued: number
  onDone(): void
}

function Actions({ clientId, client, queued, onDone }: ActionsProps) {
  if (!may('operator')) return null
  const path = encodeURIComponent(clientId)
  const disconnect = async (): Promise<void> => {
    const isSure = await confirm({
      title: t('disconnect.title', { client: clientId }),
      text: t('disconnect.text'),
      action: t('disconnect.action'),
    })
    if (isSure && (await attempt(() => change('DELETE', `/api/v1/clients/${path}`), t('disconnect.done')))) onDone()
  }
  const ban = async (): Promise<void> => {
    const address = client?.remoteAddress.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') ?? ''
    const kinds: (readonly [string, string])[] = [['clientid', `${t('clientId')}: ${clientId}`]]
    if (client?.username) kinds.push(['username', `${t('username')}: ${client.username}`])
    if (address !== '') kinds.push(['address', `${t('col.address')}: ${address}`])
    const choice: BanChoice = { kind: 'clientid', seconds: '3600' }
    const isSure = await confirm({
      title: t('ban.title', { client: clientId }),
      text: <BanDialogText kinds={kinds} choice={choice} />,
      action: t('ban.action'),
    })
    if (!isSure) return
    const name = choice.kind === 'clientid' ? clientId : choice.kind === 'username' ? client!.username : address
    const body = { kind: choice.kind, name, seconds: Number(choice.seconds) }
    if (await attempt(() => change('POST', '/api/v1/bans', { body }), t('ban.done'))) onDone()
  }
  const drain = async (): Promise<void> => {
    const isSure = await confirm({
      title: t('drain.title', { client: clientId }),
      text: t('drain.text', { n: queued }),
      action: t('drain.action'),
    })
    if (isSure && (await attempt(() => change('DELETE', `/api/v1/sessions/${path}/queue`), t('drain.done')))) onDone()
  }
  const remove = async (): Promise<void> => {
    const isSure = await confirm({
      title: t('deleteSession.title', { client: clientId }),
      text: t('deleteSession.text'),
      action: t('deleteSession.action'),
    })
    if (!isSure) return
    const isDone = await attempt(() => change('DELETE', `/api/v1/sessions/${path}`), t('deleteSession.done'))
    if (isDone) go('/clients')
  }
  return (
    <>
      {client === null ? null : (
        <button type="button" class="button" onClick={() => void disconnect()}>
          {t('disconnect.action')}
        </button>
      )}
      <button type="button" class="button" onClick={() => void ban()}>
        {t('ban.action')}
      </button>
      {queued === 0 ? null : (
        <button type="button" class="button danger-quiet" onClick={() => void drain()}>
          {t('drain.action')}
        </button>
      )}
      <button type="button" class="button danger-quiet" onClick={() => void remove()}>
        {t('deleteSession.action')}
      </button>
    </>
  )
}

const subscriptionColumns = (): readonly Column<Subscription>[] => [
  { key: 'filter', label: t('topicFilter'), show: ({ topicFilter }) => <span class="mono break">{topicFilter}</span> },
  { key: 'qos', label: 'QoS', isNumber: true, show: ({ qos }) => qos },
  {
    key: 'options',
    label: t('col.options'),
    importance: 2,
    show: ({ noLocal, retainAsPublished, shareName }) =>
      [
        shareName === null ? '' : t('client.shared', { name: shareName }),
        noLocal ? 'No Local' : '',
        retainAsPublished ? 'Retain As Published' : '',
      ]
        .filter(Boolean)
        .join(', ') || '–',
  },
]

const messageColumns = (): readonly Column<Queued>[] => [
  {
    key: 'topic',
    label: t('topic'),
    show: ({ message }) =>
      message === null ? t('client.unreadable') : <span class="mono break">{message.topic}</span>,
  },
  { key: 'qos', label: 'QoS', isNumber: true, show: ({ qos }) => qos },
  {
    key: 'payload',
    label: t('payload'),
    importance: 2,
    show: ({ message }) => (message === null ? '–' : <span class="mono clip">{preview(message.payload)}</span>),
  },
]

const inFlightColumns = (): readonly Column<InFlight>[] => [
  { key: 'id', label: t('packetId'), isNumber: true, show: ({ packetId }) => packetId },
  { key: 'waits', label: t('client.waitsFor'), show: ({ waitsFor }) => waitsFor },
  ...(messageColumns() as readonly Column<InFlight>[]),
]

const dropColumns = (): readonly Column<Drop>[] => [
  { key: 'time', label: t('time'), show: ({ atMs }) => <Time atMs={atMs} /> },
  { key: 'topic', label: t('topic'), show: ({ topic }) => <span class="mono break">{topic}</span> },
  { key: 'reason', label: t('reason'), show: ({ reason }) => reasonName(reason) },
  { key: 'qos', label: 'QoS', isNumber: true, importance: 3, show: ({ qos }) => qos },
]

/** List of what has been asked for, or why it is not there. */
function Asked<Row>({
  polled,
  columns,
  label,
  keyOf,
  empty,
}: {
  polled: Polled<{ items: readonly Row[] } | null>
  columns: readonly Column<Row>[]
  label: string
  keyOf: (row: Row) => string
  empty: string
}) {
  if (polled.error !== null) return <Failure error={polled.error} />
  if (polled.value === undefined) return <Loading />
  return <Table label={label} columns={columns} rows={polled.value?.items ?? []} keyOf={keyOf} empty={empty} />
}

function Messages({ clientId }: { clientId: string }) {
  const path = `/api/v1/sessions/${encodeURIComponent(clientId)}`
  const query = { first: 20, payloadBytes: 200 }
  const queue = usePoll(`queue ${clientId}`, EVERY_MS, (signal) =>
    askOrNull<{ items: Queued[] }>(`${path}/queue`, query, { signal }),
  )
  const inFlight = usePoll(`inflight ${clientId}`, EVERY_MS, (signal) =>
    askOrNull<{ items: InFlight[] }>(`${path}/inflight`, query, { signal }),
  )
  return (
    <div class="grid two">
      <Card title={t('client.queue')} flush>
        <Asked
          polled={queue}
          label={t('client.queue')}
          columns={messageColumns()}
          keyOf={(each) => JSON.stringify(each)}
          empty={t('client.noQueue')}
        />
      </Card>
      <Card title={t('col.inflight')} flush>
        <Asked
          polled={inFlight}
          label={t('col.inflight')}
          columns={inFlightColumns()}
          keyOf={({ packetId }) => String(packetId)}
          empty={t('client.noInflight')}
        />
      </Card>
    </div>
  )
}

export function ClientPage() {
  const clientId = queryOf('id')
  const path = encodeURIComponent(clientId)
  const both = usePoll(
    `client ${clientId}`,
    EVERY_MS,
    async (signal) => {
      const session = await askOrNull<SessionView>(`/api/v1/sessions/${path}`, {}, { signal })
      const client = session?.isConnected ? await askOrNull<Client>(`/api/v1/clients/${path}`, {}, { signal }) : null
      return { session, client }
    },
    { keep: false },
  )
  // A * in a Client Identifier would stand for others.
  const exact = (rows: readonly Subscription[]): Subscription[] => rows.filter((each) => each.clientId === clientId)
  const subscriptions = usePoll(`subscriptions ${clientId}`, EVERY_MS * 2, async (signal) => {
    const page = await ask<Page<Subscription>>('/api/v1/subscriptions', { clientId, limit: 1_000 }, { signal })
    return { items: exact(page.items) }
  })
  const drops = usePoll(`drops ${clientId}`, EVERY_MS * 2, (signal) =>
    ask<Drops>('/api/v1/drops', { client: clientId, limit: 20 }, { signal }),
  )
  const errors = usePoll(`errors ${clientId}`, EVERY_MS * 2, (signal) =>
    ask<{ items: ConnectionError[] }>('/api/v1/errors', { clientId, limit: 10 }, { signal }),
  )
  if (both.value === undefined) return both.error === null ? <Loading /> : <Failure error={both.error} />
  const { client, session } = both.value
  const isThere = client !== null
  if (!isThere && session === null) {
    return (
      <>
        <PageHead title={clientId} />
        <Empty>{t('client.missing')}</Empty>
      </>
    )
  }
  return (
    <>
      <a class="back" href="/clients">
        <Icon name="right" />
        {t('page.clients')}
      </a>
      <PageHead title={clientId}>
        <Actions clientId={clientId} client={client} queued={session?.queuedMessages ?? 0} onDone={both.refresh} />
      </PageHead>
      <p class="badges">
        {isThere ? <Badge tone="ok">{t('connected')}</Badge> : <Badge>{t('away')}</Badge>}
        {client?.isCongested ? <Badge tone="warning">{t('client.congested')}</Badge> : null}
        {client?.isPaused ? <Badge tone="warning">{t('client.paused')}</Badge> : null}
        {client?.isBridge ? <Badge tone="accent">{t('bridge')}</Badge> : null}
      </p>
      <div class="grid two">
        {client === null ? null : (
          <Card title={t('client.connection')}>
            <Connection client={client} />
          </Card>
        )}
        {session === null ? null : (
          <Card title={t('client.session')}>
            <SessionFacts session={session} />
          </Card>
        )}
        <Card title={t('col.subscriptions')} flush>
          <Asked
            polled={subscriptions}
            label={t('col.subscriptions')}
            columns={subscriptionColumns()}
            keyOf={({ topicFilter }) => topicFilter}
            empty={t('client.noSubscriptions')}
          />
        </Card>
        <Card
          title={t('client.drops')}
          aside={<a href={`/drops?client=${encodeURIComponent(clientId)}`}>{t('all')}</a>}
          flush
        >
          <Asked
            polled={drops}
            label={t('client.drops')}
            columns={dropColumns()}
            keyOf={(each) => JSON.stringify(each)}
            empty={t('client.noDrops')}
          />
        </Card>
      </div>
      <ForRole needs="operator">
        <Messages clientId={clientId} />
      </ForRole>
      <Card title={t('client.errors')}>
        {(errors.value?.items.length ?? 0) === 0 ? (
          <Empty>{t('client.noErrors')}</Empty>
        ) : (
          <ul class="lines">
            {errors.value!.items.map((each) => (
              <li key={JSON.stringify(each)}>
                <Time atMs={each.atMs} /> <Badge tone="warning">{each.kind}</Badge> <span lang="en">{each.why}</span>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </>
  )
}
