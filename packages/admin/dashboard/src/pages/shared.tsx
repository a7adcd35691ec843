/**
 * Shared Subscriptions: each group with its members, and what waits in their queues.
 */
import { ask } from '../lib/api.ts'
import { number } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf } from '../lib/router.ts'
import type { Page, SharedGroup } from '../lib/types.ts'
import { Pager, useTyped } from '../ui/filters.tsx'
import { Badge, Card, ClientLink, Empty, Field, PageHead, PolledContents } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

type Member = SharedGroup['clients'][number]

const columns = (): readonly Column<Member>[] => [
  {
    key: 'client',
    label: t('client'),
    show: ({ clientId, isConnected, isCongested }) => (
      <>
        <ClientLink clientId={clientId} />{' '}
        {isConnected ? <Badge tone="ok">{t('connected')}</Badge> : <Badge>{t('away')}</Badge>}
        {isCongested ? <Badge tone="warning">{t('slow')}</Badge> : null}
      </>
    ),
  },
  { key: 'qos', label: 'QoS', isNumber: true, show: ({ qos }) => qos },
  {
    key: 'queued',
    label: t('col.queued'),
    isNumber: true,
    show: ({ queuedMessages }) => number(queuedMessages),
  },
]

export function SharedPage() {
  const [shareName, setShareName] = useTyped('shareName')
  const query = { shareName: queryOf('shareName'), cursor: queryOf('cursor'), limit: 50 }
  const groups = usePoll(`shared ${JSON.stringify(query)}`, 5_000, (signal) =>
    ask<Page<SharedGroup>>('/api/v1/shared', query, { signal }),
  )
  return (
    <>
      <PageHead title={t('page.shared')} text={t('shared.text')} />
      <search class="filters plain">
        <Field label={t('shared.name')} type="search" value={shareName} placeholder="work*" onValue={setShareName} />
      </search>
      <PolledContents polled={groups}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Card>
              <Empty>{t('shared.none')}</Empty>
            </Card>
          ) : (
            <>
              {items.map((group) => (
                <Card
                  key={`${group.shareName}/${group.topicFilter}`}
                  title={`$share/${group.shareName}/${group.topicFilter}`}
                  aside={
                    <span class="muted">
                      {t('shared.members', { n: group.members })} · {t('shared.queued', { n: group.queuedMessages })}
                    </span>
                  }
                  flush
                >
                  <Table
                    label={group.shareName}
                    columns={columns()}
                    rows={group.clients}
                    keyOf={({ clientId }) => clientId}
                    empty={t('clients.none')}
                  />
                </Card>
              ))}
              <Pager next={next} shown={items.length} />
            </>
          )
        }
      </PolledContents>
    </>
  )
}
