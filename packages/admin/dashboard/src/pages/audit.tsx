/**
 * The audit log: every change that was made by the API or refused, latest first.
 */
import { ask } from '../lib/api.ts'
import { t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { AuditLine } from '../lib/types.ts'
import { Badge, Card, ForRole, PageHead, PolledContents, Time } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const LIMIT = 100

const columns = (): readonly Column<AuditLine>[] => [
  { key: 'time', label: t('time'), show: ({ atMs }) => <Time atMs={atMs} /> },
  { key: 'user', label: t('audit.who'), show: ({ user }) => <strong class="break">{user}</strong> },
  {
    key: 'what',
    label: t('audit.what'),
    show: ({ what, isDone }) => (
      <>
        <span class="break" lang="en">
          {what}
        </span>{' '}
        {isDone ? null : <Badge tone="bad">{t('audit.refused')}</Badge>}
      </>
    ),
  },
  {
    key: 'from',
    label: t('audit.from'),
    importance: 2,
    show: ({ remoteAddress }) => <span class="mono">{remoteAddress}</span>,
  },
  { key: 'via', label: t('audit.via'), importance: 3, show: ({ via }) => via },
]

export function AuditPage() {
  const before = queryOf('before')
  const lines = usePoll(`audit ${before}`, before === '' ? 5_000 : 0, (signal) =>
    ask<{ items: AuditLine[] }>('/api/v1/audit', { limit: LIMIT, before }, { signal }),
  )
  return (
    <>
      <PageHead title={t('page.audit')} text={t('audit.text')} />
      <ForRole needs="operator">
        <PolledContents polled={lines}>
          {({ items }) => (
            <Card flush>
              <Table
                label={t('page.audit')}
                columns={columns()}
                rows={items}
                keyOf={({ number }) => String(number)}
                empty={t('audit.none')}
              />
              <div class="table-foot">
                <button
                  type="button"
                  class="button small"
                  disabled={before === ''}
                  onClick={() => setQuery({ before: null })}
                >
                  {t('firstPage')}
                </button>
                <button
                  type="button"
                  class="button small"
                  disabled={items.length < LIMIT}
                  onClick={() => setQuery({ before: String(items.at(-1)!.number) })}
                >
                  {t('nextPage')}
                </button>
              </div>
            </Card>
          )}
        </PolledContents>
      </ForRole>
    </>
  )
}
