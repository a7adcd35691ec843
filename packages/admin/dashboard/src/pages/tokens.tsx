/**
 * Bearer tokens of the API: made, shown once, and revoked.
 */
import { useSignal } from '@preact/signals'
import { ApiError, ask, change } from '../lib/api.ts'
import { day } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import type { Token } from '../lib/types.ts'
import { attempt, confirm, say } from '../ui/dialog.tsx'
import { Badge, Card, Field, ForRole, PageHead, PolledContents, Select } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

const DAYS = '90'

function NewToken({ onDone }: { onDone(): void }) {
  const name = useSignal('')
  const role = useSignal('viewer')
  const days = useSignal(DAYS)
  const made = useSignal<string | null>(null)
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    const body = { name: name.value, role: role.value, days: days.value === '' ? null : Number(days.value) }
    try {
      const { text } = await change<{ text: string }>('POST', '/api/v1/tokens', { body })
      made.value = text
      name.value = ''
      onDone()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      say(error.message, true)
    }
  }
  return (
    <Card title={t('tokens.new')}>
      <form class="form-row" onSubmit={(event) => void submit(event)}>
        <Field
          label={t('name')}
          required
          maxLength={100}
          placeholder="grafana"
          value={name.value}
          onValue={(next) => (name.value = next)}
        />
        <Select
          label={t('tokens.role')}
          value={role.value}
          options={[
            ['viewer', t('role.viewer')],
            ['operator', t('role.operator')],
            ['admin', t('role.admin')],
          ]}
          onValue={(next) => (role.value = next)}
        />
        <Field
          label={t('tokens.days')}
          hint={t('tokens.daysHint')}
          type="number"
          min="1"
          max="3650"
          value={days.value}
          onValue={(next) => (days.value = next)}
        />
        <button type="submit" class="button primary">
          {t('tokens.action')}
        </button>
      </form>
      {made.value === null ? null : (
        <div class="notice ok" role="status">
          <span>
            {t('tokens.once')} <code class="break">{made.value}</code>
          </span>
        </div>
      )}
    </Card>
  )
}

export function TokensPage() {
  const tokens = usePoll('tokens', 10_000, (signal) => ask<{ items: Token[] }>('/api/v1/tokens', {}, { signal }))
  const revoke = async ({ id, name }: Token): Promise<void> => {
    const isSure = await confirm({
      title: t('tokens.revokeTitle', { name }),
      text: t('tokens.revokeText'),
      action: t('tokens.revoke'),
    })
    if (isSure && (await attempt(() => change('DELETE', `/api/v1/tokens/${id}`), t('tokens.revoked')))) tokens.refresh()
  }
  const columns: readonly Column<Token>[] = [
    { key: 'name', label: t('name'), show: ({ name }) => <strong class="break">{name}</strong> },
    { key: 'id', label: 'Id', importance: 3, show: ({ id }) => <span class="mono">{id}</span> },
    { key: 'role', label: t('tokens.role'), show: ({ role }) => t(`role.${role}`) },
    {
      key: 'made',
      label: t('tokens.made'),
      importance: 2,
      show: ({ createdAtMs, createdBy }) => `${day(createdAtMs)}, ${createdBy}`,
    },
    {
      key: 'expires',
      label: t('col.expires'),
      show: ({ expiresAtMs }) =>
        expiresAtMs === null ? (
          t('never')
        ) : expiresAtMs < Date.now() ? (
          <Badge tone="warning">{t('tokens.expired')}</Badge>
        ) : (
          day(expiresAtMs)
        ),
    },
    {
      key: 'revoke',
      label: t('bans.action'),
      show: (token) => (
        <button type="button" class="button small danger-quiet" onClick={() => void revoke(token)}>
          {t('tokens.revoke')}
        </button>
      ),
    },
  ]
  return (
    <>
      <PageHead title={t('page.tokens')} text={t('tokens.text')} />
      <ForRole needs="admin">
        <PolledContents polled={tokens}>
          {({ items }) => (
            <>
              <NewToken onDone={tokens.refresh} />
              <Card flush>
                <Table
                  label={t('page.tokens')}
                  columns={columns}
                  rows={items}
                  keyOf={({ id }) => id}
                  empty={t('tokens.none')}
                />
              </Card>
            </>
          )}
        </PolledContents>
      </ForRole>
    </>
  )
}
