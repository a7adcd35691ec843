/**
 * Bans that were begun at run time: who, until when, by whom; begun and ended here.
 */
import { useSignal } from '@preact/signals'
import { ask, change, may } from '../lib/api.ts'
import { duration } from '../lib/format.ts'
import { maybe, t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import type { Ban } from '../lib/types.ts'
import { attempt, confirm } from '../ui/dialog.tsx'
import { Card, Field, PageHead, PolledContents, Select, Time } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const kindName = (kind: string): string => maybe(`ban.${kind}`) ?? kind

function NewBan({ onDone }: { onDone(): void }) {
  const kind = useSignal('clientid')
  const name = useSignal('')
  const seconds = useSignal('3600')
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    const body = { kind: kind.value, name: name.value, seconds: Number(seconds.value) }
    const isSure = await confirm({
      title: t('ban.title', { client: name.value }),
      text: t('ban.confirm', { kind: kindName(kind.value), time: duration(body.seconds) }),
      action: t('ban.action'),
    })
    if (!isSure) return
    if (await attempt(() => change('POST', '/api/v1/bans', { body }), t('ban.done'))) {
      name.value = ''
      onDone()
    }
  }
  return (
    <Card title={t('bans.new')}>
      <form class="form-row" onSubmit={(event) => void submit(event)}>
        <Select
          label={t('bans.kind')}
          value={kind.value}
          options={['clientid', 'username', 'address'].map((each) => [each, kindName(each)] as const)}
          onValue={(next) => (kind.value = next)}
        />
        <Field label={t('name')} required value={name.value} onValue={(next) => (name.value = next)} />
        <Field
          label={t('bans.seconds')}
          type="number"
          min="1"
          max="31536000"
          required
          value={seconds.value}
          onValue={(next) => (seconds.value = next)}
        />
        <button type="submit" class="button danger">
          {t('ban.action')}
        </button>
      </form>
    </Card>
  )
}

export function BansPage() {
  const bans = usePoll('bans', 5_000, (signal) => ask<{ items: Ban[] }>('/api/v1/bans', {}, { signal }))
  const end = async ({ kind, name }: Ban): Promise<void> => {
    const path = `/api/v1/bans/${kind}/${encodeURIComponent(name)}`
    await attempt(() => change('DELETE', path), t('bans.ended'))
    bans.refresh()
  }
  const columns: readonly Column<Ban>[] = [
    { key: 'kind', label: t('bans.kind'), show: ({ kind }) => kindName(kind) },
    { key: 'name', label: t('name'), show: ({ name }) => <span class="mono break">{name}</span> },
    { key: 'until', label: t('bans.until'), show: ({ untilMs }) => <Time atMs={untilMs} /> },
    { key: 'by', label: t('bans.by'), importance: 2, show: ({ by }) => by },
    ...(may('operator')
      ? [
          {
            key: 'end',
            label: t('bans.action'),
            show: (ban: Ban) => (
              <button type="button" class="button small" onClick={() => void end(ban)}>
                {t('bans.end')}
              </button>
            ),
          },
        ]
      : []),
  ]
  return (
    <>
      <PageHead title={t('page.bans')} text={t('bans.text')} />
      {may('operator') ? <NewBan onDone={bans.refresh} /> : null}
      <PolledContents polled={bans}>
        {({ items }) => (
          <Card flush>
            <Table
              label={t('page.bans')}
              columns={columns}
              rows={items}
              keyOf={({ kind, name }) => `${kind} ${name}`}
              empty={t('bans.none')}
            />
          </Card>
        )}
      </PolledContents>
    </>
  )
}
