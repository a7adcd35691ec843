/**
 * Messages that were dropped: how many for which reason, and the last thousand with topic and client.
 */
import { ask } from '../lib/api.ts'
import { number } from '../lib/format.ts'
import { reasonName, t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Drop, Drops } from '../lib/types.ts'
import { useTyped } from '../ui/filters.tsx'
import { Badge, Card, ClientLink, Field, PageHead, PolledContents, Select, Time } from '../ui/parts.tsx'
import { type Column, sorted, Table } from '../ui/table.tsx'

const LIMIT = 1_000

const columns = (): readonly Column<Drop>[] => [
  {
    key: 'time',
    label: t('time'),
    sort: 'time',
    isNumber: false,
    valueIn: ({ atMs }) => atMs,
    show: ({ atMs }) => <Time atMs={atMs} />,
  },
  {
    key: 'client',
    label: t('client'),
    sort: 'client',
    valueIn: ({ clientId }) => clientId,
    show: ({ clientId, isForSubscriber }) =>
      clientId === '' ? (
        '–'
      ) : (
        <>
          <ClientLink clientId={clientId} /> <Badge>{isForSubscriber ? t('subscriber') : t('publisher')}</Badge>
        </>
      ),
  },
  {
    key: 'topic',
    label: t('topic'),
    sort: 'topic',
    valueIn: ({ topic }) => topic,
    show: ({ topic, clientId, isForSubscriber }) => (
      <a
        class="mono break"
        href={`/why?topic=${encodeURIComponent(topic)}${isForSubscriber ? `&client=${encodeURIComponent(clientId)}` : ''}`}
      >
        {topic}
      </a>
    ),
  },
  {
    key: 'reason',
    label: t('reason'),
    sort: 'reason',
    valueIn: ({ reason }) => reasonName(reason),
    show: ({ reason }) => reasonName(reason),
  },
  { key: 'qos', label: 'QoS', isNumber: true, importance: 3, show: ({ qos }) => qos },
]

export function DropsPage() {
  const [client, setClient] = useTyped('client')
  const [topicFilter, setTopicFilter] = useTyped('topicFilter')
  const reason = queryOf('reason')
  const sort = queryOf('sort') || '-time'
  const query = { reason, client: queryOf('client'), topicFilter: queryOf('topicFilter'), limit: LIMIT }
  const drops = usePoll(`drops ${JSON.stringify(query)}`, 5_000, (signal) =>
    ask<Drops>('/api/v1/drops', query, { signal }),
  )
  const reasons = Object.entries(drops.value?.byReason ?? {})
    .filter(([name, count]) => count > 0 || name === reason)
    .sort(([, a], [, b]) => b - a)
  return (
    <>
      <PageHead title={t('page.drops')} text={t('drops.text')} />
      <Card flush>
        <search class="filters">
          <Select
            label={t('reason')}
            value={reason}
            options={[
              ['', t('any')],
              ...reasons.map(([name, count]) => [name, `${reasonName(name)} (${number(count)})`] as const),
            ]}
            onValue={(next) => setQuery({ reason: next })}
          />
          <Field label={t('clientId')} type="search" value={client} onValue={setClient} />
          <Field
            label={t('topicFilter')}
            type="search"
            placeholder="sensors/#"
            value={topicFilter}
            onValue={setTopicFilter}
          />
        </search>
        <PolledContents polled={drops}>
          {({ items }) => (
            <>
              <Table
                label={t('page.drops')}
                columns={columns()}
                rows={sorted(items, columns(), sort)}
                keyOf={(each) => JSON.stringify(each)}
                sort={sort}
                onSort={(next) => setQuery({ sort: next })}
                empty={t('drops.none')}
              />
              <p class="table-foot muted">{t('shown', { n: items.length })}</p>
            </>
          )}
        </PolledContents>
      </Card>
    </>
  )
}
