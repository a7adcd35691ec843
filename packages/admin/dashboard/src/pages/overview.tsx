/**
 * The overview: is it well, what does it do, who makes most of it.
 *
 * The history is asked for whole once, then only for what is new. Invariant: the page costs the broker the same however many
 * clients there are, but for the busiest ones, which are looked for every ten seconds.
 */
import { useRef } from 'preact/hooks'
import { type Alert, alertsOf } from '../lib/alerts.ts'
import { ask } from '../lib/api.ts'
import { bytes, duration, milliseconds, number, short } from '../lib/format.ts'
import { reasonName, t } from '../lib/i18n.ts'
import { between, quantile } from '../lib/latency.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Client, Drops, Durability, History, Latencies, Listener, Page, Server } from '../lib/types.ts'
import { Chart } from '../ui/chart.tsx'
import { Icon } from '../ui/icon.tsx'
import { Badge, Card, ClientLink, Empty, Failure, Loading, PageHead } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const SERIES = [
  'messagesReceived',
  'messagesSent',
  'bytesReceived',
  'bytesSent',
  'clients',
  'sessions',
  'subscriptions',
  'retainedMessages',
  'queuedMessages',
  'inflight',
  'dropped',
  'connectionsRefused',
  'slowReaders',
  'storeLagMs',
  'memoryLevel',
  'residentBytes',
] as const
/** Values that are shown: five minutes by the second, an hour by ten. */
const VALUES_MAX: Readonly<Record<string, number>> = { '1': 300, '10': 360 }
const TOP = 5
const MINUTE_MS = 60_000

/** History, asked for in parts. */
function useHistory(step: string): History | undefined {
  const known = useRef<{ step: string; history: History } | null>(null)
  const { value } = usePoll(`history ${step}`, step === '1' ? 2_000 : 10_000, async (signal) => {
    const before = known.current?.step === step ? known.current.history : null
    const query = { step, series: SERIES.join(','), since: before?.atMs.at(-1) }
    const fresh = await ask<History>('/api/v1/history', query, { signal })
    const history = before === null ? fresh : joined(before, fresh, VALUES_MAX[step]!)
    known.current = { step, history }
    return history
  })
  return value
}

function joined(before: History, fresh: History, max: number): History {
  const join = (a: readonly number[], b: readonly number[] | undefined): readonly number[] =>
    [...a, ...(b ?? [])].slice(-max)
  return {
    stepSeconds: fresh.stepSeconds,
    atMs: join(before.atMs, fresh.atMs),
    series: Object.fromEntries(Object.entries(before.series).map(([name, of]) => [name, join(of, fresh.series[name])])),
  }
}

/** Drops by reason, and as they were a minute ago. */
function useDrops() {
  const kept = useRef<{ atMs: number; byReason: Record<string, number> }[]>([])
  return usePoll('drops', 5_000, async (signal) => {
    const { byReason } = await ask<Drops>('/api/v1/drops', { limit: 0 }, { signal })
    const nowMs = Date.now()
    kept.current = [...kept.current.filter(({ atMs }) => nowMs - atMs <= MINUTE_MS), { atMs: nowMs, byReason }]
    return { byReason, before: kept.current[0]!.byReason }
  }).value
}

/** Latencies of the last minute; since the start where nothing came in it. */
function useLatencies() {
  const kept = useRef<{ atMs: number; latencies: Latencies }[]>([])
  return usePoll('latencies', 5_000, async (signal) => {
    const latencies = await ask<Latencies>('/api/v1/latencies', {}, { signal })
    const nowMs = Date.now()
    const before = kept.current.find(({ atMs }) => nowMs - atMs <= MINUTE_MS)?.latencies
    kept.current = [...kept.current.filter(({ atMs }) => nowMs - atMs <= MINUTE_MS), { atMs: nowMs, latencies }]
    return latencies.items.map(({ name, buckets }) => {
      // Before there are two answers, and where nothing came in between, those since the start say more than none.
      const fresh = between(before?.items.find((each) => each.name === name)?.buckets, buckets)
      const shown = fresh.some((count) => count > 0) ? fresh : buckets
      const at = (q: number): number | null => quantile(latencies.bounds, shown, q)
      return { name, median: at(0.5), high: at(0.99) }
    })
  }).value
}

interface LatencyRow {
  readonly name: 'deliver' | 'acknowledge' | 'commit'
  readonly median: number | null
  readonly high: number | null
}

const inMs = (seconds: number | null): string => (seconds === null ? '–' : milliseconds(seconds * 1_000))

const latencyColumns = (): readonly Column<LatencyRow>[] => [
  { key: 'name', label: t('latency.way'), show: ({ name }) => t(`latency.${name}`) },
  { key: 'median', label: t('latency.median'), isNumber: true, show: ({ median }) => inMs(median) },
  { key: 'high', label: t('latency.high'), isNumber: true, show: ({ high }) => inMs(high) },
]

function Tile({ label, value, note }: { label: string; value: string; note?: string }) {
  return (
    <div class="tile">
      <span class="tile-label">{label}</span>
      <strong class="tile-value tabular">{value}</strong>
      {note === undefined ? null : <span class="muted small">{note}</span>}
    </div>
  )
}

function Alerts({ alerts, isKnown }: { alerts: readonly Alert[]; isKnown: boolean }) {
  if (!isKnown) return null
  if (alerts.length === 0) {
    return (
      <div class="notice ok">
        <Icon name="ok" />
        <span>{t('overview.allWell')}</span>
      </div>
    )
  }
  return (
    <ul class="alerts" aria-label={t('overview.alerts')}>
      {alerts.map(({ level, key, values, href }) => {
        const reason = typeof values['reason'] === 'string' ? values['reason'] : ''
        const text = t(key, { ...values, reason: reasonName(reason) })
        return (
          <li key={key + JSON.stringify(values)} class={`notice ${level}`}>
            <Icon name={level} />
            <span>
              {text} {href === undefined ? null : <a href={href}>{t('look')}</a>}
            </span>
          </li>
        )
      })}
    </ul>
  )
}

const talkerColumns = (): readonly Column<Client>[] => [
  { key: 'client', label: t('client'), show: ({ clientId }) => <ClientLink clientId={clientId} /> },
  {
    key: 'in',
    label: t('col.rateReceived'),
    isNumber: true,
    show: ({ rates }) => t('perSecond', { value: short(rates.messagesReceived) }),
  },
  {
    key: 'out',
    label: t('col.rateSent'),
    isNumber: true,
    show: ({ rates }) => t('perSecond', { value: short(rates.messagesSent) }),
  },
  {
    key: 'queue',
    label: t('col.queued'),
    isNumber: true,
    importance: 3,
    show: ({ session }) => number(session.queuedMessages),
  },
]

function DropBars({ byReason }: { byReason: Readonly<Record<string, number>> | undefined }) {
  const rows = Object.entries(byReason ?? {})
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
  if (rows.length === 0) return <Empty>{t('overview.noDrops')}</Empty>
  const most = rows[0]![1]
  return (
    <ul class="bars">
      {rows.slice(0, 6).map(([reason, count]) => (
        <li key={reason}>
          <a href={`/drops?reason=${encodeURIComponent(reason)}`}>{reasonName(reason)}</a>
          <span class="tabular">{number(count)}</span>
          <span class="bar-track" aria-hidden="true">
            <span class="bar-fill" style={{ width: `${Math.max(2, (100 * count) / most)}%` }} />
          </span>
        </li>
      ))}
    </ul>
  )
}

export function OverviewPage() {
  const step = queryOf('step') === '10' ? '10' : '1'
  const history = useHistory(step)
  const drops = useDrops()
  const latencies = useLatencies()
  const { value: server, error } = usePoll('server', 10_000, (signal) => ask<Server>('/api/v1/server', {}, { signal }))
  const { value: ready } = usePoll('ready', 5_000, (signal) =>
    ask<{ problems: string[] }>('/readyz', {}, { signal, accept: [503] }),
  )
  const { value: durability } = usePoll('durability', 5_000, (signal) =>
    ask<Durability>('/api/v1/durability', {}, { signal }),
  )
  const { value: listeners } = usePoll('listeners', 60_000, (signal) =>
    ask<{ items: Listener[] }>('/api/v1/server/listeners', {}, { signal }),
  )
  const { value: top } = usePoll('top', 10_000, (signal) =>
    ask<Page<Client>>('/api/v1/clients', { sort: '-rateReceived', limit: TOP }, { signal }),
  )
  if (server === undefined) return error === null ? <Loading /> : <Failure error={error} />
  const last = (name: string): number => history?.series[name]?.at(-1) ?? 0
  const of = (name: string): readonly number[] => history?.series[name] ?? []
  const rate = (value: number): string => t('perSecond', { value: short(value) })
  const byteRate = (value: number): string => t('perSecond', { value: bytes(value) })
  const alerts = alertsOf({
    history,
    drops: drops?.byReason,
    dropsBefore: drops?.before,
    problems: ready?.problems ?? [],
    listeners: listeners?.items ?? [],
    durability,
    nowMs: Date.now(),
  })
  const atMs = history?.atMs ?? []
  return (
    <>
      <PageHead
        title={t('page.overview')}
        text={t('overview.server', {
          host: server.host,
          version: server.version,
          uptime: duration(server.uptimeSeconds),
        })}
      >
        <fieldset class="segments" aria-label={t('overview.span')}>
          <button type="button" aria-pressed={step === '1'} onClick={() => setQuery({ step: null })}>
            {t('overview.minutes')}
          </button>
          <button type="button" aria-pressed={step === '10'} onClick={() => setQuery({ step: '10' })}>
            {t('overview.hour')}
          </button>
        </fieldset>
      </PageHead>
      <Alerts alerts={alerts} isKnown={history !== undefined && drops !== undefined} />
      <div class="tiles">
        <Tile
          label={t('tile.clients')}
          value={number(last('clients'))}
          note={t('tile.sessions', { n: last('sessions') })}
        />
        <Tile label={t('tile.in')} value={rate(last('messagesReceived'))} note={byteRate(last('bytesReceived'))} />
        <Tile label={t('tile.out')} value={rate(last('messagesSent'))} note={byteRate(last('bytesSent'))} />
        <Tile
          label={t('tile.queued')}
          value={short(last('queuedMessages'))}
          note={t('tile.inflight', { n: last('inflight') })}
        />
        <Tile
          label={t('tile.retained')}
          value={short(last('retainedMessages'))}
          note={t('tile.subscriptions', { n: last('subscriptions') })}
        />
        <Tile
          label={t('tile.lag')}
          value={milliseconds(last('storeLagMs'))}
          note={
            durability === undefined || durability.batches === 0
              ? t('tile.noStore')
              : t('tile.commit', { time: milliseconds(durability.commitMs) })
          }
        />
      </div>
      <div class="grid two">
        <Card>
          <Chart
            title={t('chart.messages')}
            unit={{ format: rate, least: 5 }}
            atMs={atMs}
            lines={[
              { label: t('received'), values: of('messagesReceived') },
              { label: t('sent'), values: of('messagesSent') },
            ]}
          />
        </Card>
        <Card>
          <Chart
            title={t('chart.bytes')}
            unit={{ format: byteRate, least: 1_024, isBinary: true }}
            atMs={atMs}
            lines={[
              { label: t('received'), values: of('bytesReceived') },
              { label: t('sent'), values: of('bytesSent') },
            ]}
          />
        </Card>
        <Card>
          <Chart
            title={t('chart.queues')}
            unit={{ format: short, least: 5 }}
            atMs={atMs}
            lines={[
              { label: t('tile.queued'), values: of('queuedMessages') },
              { label: t('col.inflight'), values: of('inflight') },
            ]}
          />
        </Card>
        <Card>
          <Chart
            title={t('chart.trouble')}
            unit={{ format: rate, least: 5 }}
            atMs={atMs}
            lines={[
              { label: t('chart.dropped'), values: of('dropped') },
              { label: t('chart.refused'), values: of('connectionsRefused') },
            ]}
          />
        </Card>
        <Card>
          <Chart
            title={t('chart.lag')}
            unit={{ format: milliseconds, least: 20 }}
            atMs={atMs}
            lines={[{ label: t('chart.lagLine'), values: of('storeLagMs') }]}
          />
        </Card>
        <Card>
          <Chart
            title={t('chart.memory')}
            unit={{ format: bytes, least: 1_048_576, isBinary: true }}
            atMs={atMs}
            lines={[{ label: t('chart.resident'), values: of('residentBytes') }]}
          />
        </Card>
      </div>
      <div class="grid two">
        <div class="stack">
          <Card title={t('overview.talkers')} aside={<a href="/clients?sort=-rateReceived">{t('all')}</a>} flush>
            <Table
              label={t('overview.talkers')}
              columns={talkerColumns()}
              rows={top?.items ?? []}
              keyOf={({ clientId }) => clientId}
              empty={t('clients.none')}
            />
          </Card>
          <Card title={t('overview.listeners')} flush>
            <Table
              label={t('overview.listeners')}
              columns={listenerColumns()}
              rows={listeners?.items ?? []}
              keyOf={({ name }) => name}
              empty={t('overview.noListeners')}
            />
          </Card>
        </div>
        <div class="stack">
          <Card title={t('overview.drops')} aside={<a href="/drops">{t('all')}</a>}>
            <DropBars byReason={drops?.byReason} />
          </Card>
          <Card title={t('latency.title')} flush>
            <Table
              label={t('latency.title')}
              columns={latencyColumns()}
              rows={latencies ?? []}
              keyOf={({ name }) => name}
              empty={t('loading')}
            />
          </Card>
        </div>
      </div>
    </>
  )
}

const listenerColumns = (): readonly Column<Listener>[] => [
  { key: 'name', label: t('listener'), show: ({ name }) => <span class="mono">{name}</span> },
  { key: 'protocol', label: t('col.protocol'), show: ({ protocol }) => t(`protocol.${protocol}` as never) },
  {
    key: 'tls',
    label: 'TLS',
    show: ({ tls }) => (tls ? <Badge tone="ok">{t('yes')}</Badge> : <Badge>{t('no')}</Badge>),
  },
  {
    key: 'clients',
    label: t('page.clients'),
    isNumber: true,
    importance: 2,
    show: ({ traffic }) => (traffic === null ? '–' : number(traffic.clients)),
  },
  {
    key: 'anonymous',
    label: t('col.anonymous'),
    importance: 2,
    show: ({ allowAnonymous }) =>
      allowAnonymous ? <Badge tone="warning">{t('allowed')}</Badge> : <Badge>{t('no')}</Badge>,
  },
]
