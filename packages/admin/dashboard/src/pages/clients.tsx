/**
 * Clients and sessions: searched, filtered, sorted and paged by the broker; the page has one page of them at a time.
 */
import { ask } from '../lib/api.ts'
import { bytes, number, short } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Client, Page, SessionView } from '../lib/types.ts'
import { Pager, useTyped } from '../ui/filters.tsx'
import { Badge, Card, Check, ClientLink, Failure, Field, Loading, PageHead, Select, Time } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const LIMIT = 100

const clientColumns = (): readonly Column<Client>[] => [
  {
    key: 'clientId',
    label: t('clientId'),
    sort: 'clientId',
    show: ({ clientId, isCongested, isBridge }) => (
      <>
        <ClientLink clientId={clientId} /> {isBridge ? <Badge tone="accent">{t('bridge')}</Badge> : null}
        {isCongested ? <Badge tone="warning">{t('slow')}</Badge> : null}
      </>
    ),
  },
  { key: 'username', label: t('username'), sort: 'username', importance: 2, show: ({ username }) => username ?? '–' },
  {
    key: 'address',
    label: t('col.address'),
    sort: 'remoteAddress',
    importance: 3,
    show: ({ remoteAddress }) => <span class="mono">{remoteAddress}</span>,
  },
  {
    key: 'since',
    label: t('col.since'),
    sort: 'connectedAtMs',
    importance: 3,
    show: ({ connectedAtMs }) => <Time atMs={connectedAtMs} />,
  },
  {
    key: 'in',
    label: t('col.rateReceived'),
    sort: 'rateReceived',
    isNumber: true,
    show: ({ rates }) => short(rates.messagesReceived),
  },
  {
    key: 'out',
    label: t('col.rateSent'),
    sort: 'rateSent',
    isNumber: true,
    importance: 2,
    show: ({ rates }) => short(rates.messagesSent),
  },
  {
    key: 'subscriptions',
    label: t('col.subscriptions'),
    sort: 'subscriptions',
    isNumber: true,
    importance: 3,
    show: ({ session }) => number(session.subscriptions),
  },
  {
    key: 'queued',
    label: t('col.queued'),
    sort: 'queuedMessages',
    isNumber: true,
    importance: 2,
    show: ({ session }) => number(session.queuedMessages),
  },
  {
    key: 'dropped',
    label: t('col.dropped'),
    sort: 'droppedMessages',
    isNumber: true,
    importance: 2,
    show: ({ session }) => number(session.droppedMessages),
  },
  {
    key: 'waiting',
    label: t('col.waiting'),
    sort: 'waitingBytes',
    isNumber: true,
    importance: 4,
    show: ({ waitingBytes }) => bytes(waitingBytes),
  },
]

const sessionColumns = (): readonly Column<SessionView>[] => [
  {
    key: 'clientId',
    label: t('clientId'),
    sort: 'clientId',
    show: ({ clientId, isConnected }) => (
      <>
        <ClientLink clientId={clientId} />{' '}
        {isConnected ? <Badge tone="ok">{t('connected')}</Badge> : <Badge>{t('away')}</Badge>}
      </>
    ),
  },
  { key: 'username', label: t('username'), sort: 'username', importance: 2, show: ({ username }) => username ?? '–' },
  {
    key: 'end',
    label: t('col.lastEnd'),
    importance: 3,
    show: ({ lastEnd }) => (lastEnd === null ? '–' : <Time atMs={lastEnd.atMs} />),
  },
  {
    key: 'expires',
    label: t('col.expires'),
    sort: 'expiresAtMs',
    importance: 3,
    show: ({ expiresAtMs, isConnected }) =>
      isConnected ? '–' : expiresAtMs === null ? t('never') : <Time atMs={expiresAtMs} />,
  },
  {
    key: 'subscriptions',
    label: t('col.subscriptions'),
    sort: 'subscriptions',
    isNumber: true,
    importance: 2,
    show: ({ subscriptions }) => number(subscriptions),
  },
  {
    key: 'queued',
    label: t('col.queued'),
    sort: 'queuedMessages',
    isNumber: true,
    show: ({ queuedMessages }) => number(queuedMessages),
  },
  {
    key: 'bytes',
    label: t('col.queuedBytes'),
    sort: 'queuedBytes',
    isNumber: true,
    importance: 3,
    show: ({ queuedBytes }) => bytes(queuedBytes),
  },
  {
    key: 'dropped',
    label: t('col.dropped'),
    sort: 'droppedMessages',
    isNumber: true,
    importance: 2,
    show: ({ droppedMessages }) => number(droppedMessages),
  },
]

export function ClientsPage() {
  const kind = queryOf('kind') === 'sessions' ? 'sessions' : 'clients'
  const [q, setQ] = useTyped('q')
  const [topicFilter, setTopicFilter] = useTyped('topicFilter')
  const sort = queryOf('sort')
  const cursor = queryOf('cursor')
  const isCongested = queryOf('congested') === 'true'
  const listener = queryOf('listener')
  const away = queryOf('away') === 'true'
  const query = {
    q: queryOf('q'),
    topicFilter: queryOf('topicFilter'),
    sort,
    cursor,
    listener,
    limit: LIMIT,
    ...(kind === 'clients' ? (isCongested ? { isCongested } : {}) : away ? { isConnected: false } : {}),
  }
  const { value, error, isLoading } = usePoll(`${kind} ${JSON.stringify(query)}`, 5_000, async (signal) => {
    if (kind === 'clients') return { clients: await ask<Page<Client>>('/api/v1/clients', query, { signal }) }
    return { sessions: await ask<Page<SessionView>>('/api/v1/sessions', query, { signal }) }
  })
  const { value: listeners } = usePoll('listeners', 0, (signal) =>
    ask<{ items: { name: string }[] }>('/api/v1/server/listeners', {}, { signal }),
  )
  const onSort = (next: string): void => setQuery({ sort: next, cursor: null })
  const page = value?.clients ?? value?.sessions
  return (
    <>
      <PageHead title={t('page.clients')}>
        <fieldset class="segments" aria-label={t('clients.kind')}>
          <button
            type="button"
            aria-pressed={kind === 'clients'}
            onClick={() => setQuery({ kind: null, sort: null, cursor: null })}
          >
            {t('clients.connected')}
          </button>
          <button
            type="button"
            aria-pressed={kind === 'sessions'}
            onClick={() => setQuery({ kind: 'sessions', sort: null, cursor: null })}
          >
            {t('clients.sessions')}
          </button>
        </fieldset>
      </PageHead>
      <Card flush>
        <search class="filters">
          <Field label={t('clients.search')} type="search" value={q} onValue={setQ} />
          <Field label={t('clients.filter')} value={topicFilter} placeholder="sensors/*" onValue={setTopicFilter} />
          <Select
            label={t('listener')}
            value={listener}
            options={[['', t('any')], ...(listeners?.items ?? []).map(({ name }) => [name, name] as const)]}
            onValue={(next) => setQuery({ listener: next, cursor: null })}
          />
          {kind === 'clients' ? (
            <Check
              label={t('clients.onlySlow')}
              checked={isCongested}
              onValue={(only) => setQuery({ congested: only ? 'true' : null, cursor: null })}
            />
          ) : (
            <Check
              label={t('clients.onlyAway')}
              checked={away}
              onValue={(only) => setQuery({ away: only ? 'true' : null, cursor: null })}
            />
          )}
        </search>
        <Failure error={error} />
        {page === undefined ? (
          isLoading ? (
            <Loading />
          ) : null
        ) : (
          <div aria-busy={isLoading}>
            {value?.clients === undefined ? (
              <Table
                label={t('clients.sessions')}
                columns={sessionColumns()}
                rows={value?.sessions?.items ?? []}
                keyOf={({ clientId }) => clientId}
                sort={sort || 'clientId'}
                onSort={onSort}
                empty={t('clients.none')}
              />
            ) : (
              <Table
                label={t('clients.connected')}
                columns={clientColumns()}
                rows={value.clients.items}
                keyOf={({ clientId }) => clientId}
                sort={sort || 'clientId'}
                onSort={onSort}
                empty={t('clients.none')}
              />
            )}
            <Pager next={page.next} shown={page.items.length} />
          </div>
        )}
      </Card>
    </>
  )
}
