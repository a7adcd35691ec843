/**
 * The configuration in force: what the lints say about it, every option with the place where it is set, the types of the
 * log, and reading it again.
 */
import { ApiError, ask, change, may } from '../lib/api.ts'
import { maybe, t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Configuration } from '../lib/types.ts'
import { attempt, confirm, say } from '../ui/dialog.tsx'
import { useTyped } from '../ui/filters.tsx'
import { Icon } from '../ui/icon.tsx'
import { Badge, Card, Check, Field, ForRole, PageHead, PolledContents, type Tone } from '../ui/parts.tsx'
import { type Column, sorted, Table } from '../ui/table.tsx'

type Setting = Configuration['settings'][number]

const LOG_TYPES = [
  'error',
  'warning',
  'notice',
  'information',
  'debug',
  'subscribe',
  'unsubscribe',
  'websockets',
] as const

const columns = (): readonly Column<Setting>[] => [
  {
    key: 'name',
    label: t('configuration.option'),
    sort: 'name',
    valueIn: ({ name }) => name,
    show: ({ name }) => <span class="mono break">{name}</span>,
  },
  {
    key: 'value',
    label: t('configuration.value'),
    show: ({ value }) => <span class="mono break">{value}</span>,
  },
  {
    key: 'from',
    label: t('configuration.from'),
    sort: 'from',
    importance: 2,
    valueIn: ({ from }) => from,
    show: ({ from }) => <span class="mono break muted">{from === 'default' ? t('configuration.default') : from}</span>,
  },
]

const lintTones: Readonly<Record<string, Tone>> = { error: 'bad', warning: 'warning' }

function LogTypes() {
  const { value, refresh } = usePoll('log types', 0, (signal) =>
    ask<{ types: string[] }>('/api/v1/log/types', {}, { signal }),
  )
  if (value === undefined) return null
  const set = async (type: string, isOn: boolean): Promise<void> => {
    const types = LOG_TYPES.filter((each) => (each === type ? isOn : value.types.includes(each)))
    await attempt(() => change('PUT', '/api/v1/log/types', { body: { types } }), t('configuration.logDone'))
    refresh()
  }
  return (
    <Card title={t('configuration.log')}>
      <fieldset class="checks" disabled={!may('admin')}>
        <legend class="muted">{t('configuration.logText')}</legend>
        {LOG_TYPES.map((type) => (
          <Check
            key={type}
            label={maybe(`log.${type}`) ?? type}
            checked={value.types.includes(type)}
            onValue={(isOn) => void set(type, isOn)}
          />
        ))}
      </fieldset>
    </Card>
  )
}

export function ConfigurationPage() {
  const [q, setQ] = useTyped('q')
  const onlySet = queryOf('set') === 'true'
  const sort = queryOf('sort')
  const configuration = usePoll('configuration', 0, (signal) =>
    ask<Configuration>('/api/v1/configuration', {}, { signal }),
  )
  const reload = async (): Promise<void> => {
    const isSure = await confirm({
      title: t('reload.title'),
      text: t('reload.text'),
      action: t('reload.action'),
      isDangerous: false,
    })
    if (!isSure) return
    try {
      const { isDone, lines } = await change<{ isDone: boolean; lines: string[] }>('POST', '/api/v1/reload')
      if (isDone) say(t('reload.done'))
      else say(t('reload.failed', { text: lines.join(' ') }), true)
      configuration.refresh()
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown
      say(thrown.message, true)
    }
  }
  const wanted = queryOf('q').toLowerCase()
  const settings = (configuration.value?.settings ?? []).filter(
    ({ name, value: text, from }) =>
      (!onlySet || from !== 'default') && `${name} ${text} ${from}`.toLowerCase().includes(wanted),
  )
  return (
    <>
      <PageHead title={t('page.configuration')} text={configuration.value?.file ?? t('configuration.noFile')}>
        {may('admin') ? (
          <>
            <a class="button" href="/api/v1/backup" download>
              {t('configuration.backup')}
            </a>
            <button type="button" class="button" onClick={() => void reload()}>
              {t('reload.action')}
            </button>
          </>
        ) : null}
      </PageHead>
      <ForRole needs="operator">
        <PolledContents polled={configuration}>
          {({ lints }) => (
            <>
              <Card title={t('configuration.lints')}>
                {lints.length === 0 ? (
                  <p class="notice ok">
                    <Icon name="ok" />
                    <span>{t('configuration.noLints')}</span>
                  </p>
                ) : (
                  <ul class="lines">
                    {lints.map(({ level, where, text }) => (
                      <li key={where + text}>
                        <Badge tone={lintTones[level] ?? 'neutral'}>{maybe(`lint.${level}`) ?? level}</Badge>{' '}
                        <span lang="en">{text}</span> <span class="mono muted break">{where}</span>
                      </li>
                    ))}
                  </ul>
                )}
              </Card>
              <LogTypes />
              <Card flush>
                <search class="filters">
                  <Field label={t('configuration.search')} type="search" value={q} onValue={setQ} />
                  <Check
                    label={t('configuration.onlySet')}
                    checked={onlySet}
                    onValue={(isOn) => setQuery({ set: isOn ? 'true' : null })}
                  />
                </search>
                <Table
                  label={t('page.configuration')}
                  columns={columns()}
                  rows={sorted(settings, columns(), sort)}
                  keyOf={({ name }) => name}
                  sort={sort}
                  onSort={(next) => setQuery({ sort: next })}
                  empty={t('configuration.none')}
                />
                <p class="table-foot muted">{t('shown', { n: settings.length })}</p>
              </Card>
            </>
          )}
        </PolledContents>
      </ForRole>
    </>
  )
}
