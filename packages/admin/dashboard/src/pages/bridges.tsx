/**
 * Bridges to other brokers: whether they are connected, and what waits for them.
 */
import { ask } from '../lib/api.ts'
import { duration, number } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import type { Bridge } from '../lib/types.ts'
import { Badge, Card, PageHead, PolledContents } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const columns = (): readonly Column<Bridge>[] => [
  { key: 'name', label: t('name'), show: ({ name }) => <strong class="break">{name}</strong> },
  {
    key: 'state',
    label: t('bridges.state'),
    show: ({ state }) => <Badge tone={state === 'connected' ? 'ok' : 'warning'}>{state}</Badge>,
  },
  {
    key: 'address',
    label: t('col.address'),
    importance: 2,
    show: ({ address }) => <span class="mono">{address}</span>,
  },
  {
    key: 'lag',
    label: t('bridges.lag'),
    isNumber: true,
    show: ({ lagSeconds }) => (lagSeconds === 0 ? '0 s' : duration(lagSeconds)),
  },
  {
    key: 'queued',
    label: t('col.queued'),
    isNumber: true,
    show: ({ queuedMessages }) => number(queuedMessages),
  },
  {
    key: 'inflight',
    label: t('col.inflight'),
    isNumber: true,
    importance: 3,
    show: ({ inFlight }) => number(inFlight),
  },
  {
    key: 'connections',
    label: t('bridges.connections'),
    isNumber: true,
    importance: 3,
    show: ({ connections }) => number(connections),
  },
  {
    key: 'error',
    label: t('bridges.error'),
    importance: 2,
    show: ({ lastError, nextTrySeconds }) => (
      <>
        <span lang="en">{lastError || '–'}</span>
        {nextTrySeconds === null ? null : ` ${t('bridges.next', { n: Math.ceil(nextTrySeconds) })}`}
      </>
    ),
  },
]

export function BridgesPage() {
  const bridges = usePoll('bridges', 3_000, (signal) => ask<{ items: Bridge[] }>('/api/v1/bridges', {}, { signal }))
  return (
    <>
      <PageHead title={t('page.bridges')} text={t('bridges.text')} />
      <PolledContents polled={bridges}>
        {({ items }) => (
          <Card flush>
            <Table
              label={t('page.bridges')}
              columns={columns()}
              rows={items}
              keyOf={({ name }) => name}
              empty={t('bridges.none')}
            />
          </Card>
        )}
      </PolledContents>
    </>
  )
}
