/**
 * The tree of topics with retained messages, a level at a time, and the message of one topic: seen as it changes, set and
 * deleted.
 *
 * Invariant: a level is fetched when it is opened, in pages; only rows in sight are in the page, so that a million topics cost
 * no more than those that are opened.
 */
import { signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ApiError, ask, askOrNull, change, may } from '../lib/api.ts'
import type { View } from '../lib/decode.ts'
import { number, short } from '../lib/format.ts'
import { maybe, t } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Bytes, Message, Page, Publication, TopicLevel } from '../lib/types.ts'
import { attempt, confirm, say } from '../ui/dialog.tsx'
import { Icon } from '../ui/icon.tsx'
import { Card, ClientLink, Empty, Facts, Failure, Field, ForRole, PageHead, Select, Time } from '../ui/parts.tsx'
import { Payload, propertyRows, viewNames } from '../ui/payload.tsx'
import { type TreeRow, VirtualTree } from '../ui/virtual-list.tsx'
import { MessageRow, useMessages } from './live.tsx'
import { type Format, PayloadInput, payloadFields, qosOptions } from './publish.tsx'

const PAGE_ITEMS = 200
const LAST_MAX = 10

interface Level {
  readonly items: readonly TopicLevel[]
  readonly next: string | null
}

/** Levels that were fetched, by the topic above. */
const levels = signal<ReadonlyMap<string, Level>>(new Map())
const open = signal<ReadonlySet<string>>(new Set())
const fault = signal<ApiError | null>(null)

/** Separates the kind of a row from its topic, which cannot have it. */
const MORE = '\0more'

async function fetchLevel(below: string, isMore = false): Promise<void> {
  const known = isMore ? levels.peek().get(below) : undefined
  try {
    const page = await ask<Page<TopicLevel>>('/api/v1/topics', { below, limit: PAGE_ITEMS, cursor: known?.next })
    const items = [...(known?.items ?? []), ...page.items]
    levels.value = new Map(levels.peek()).set(below, { items, next: page.next })
    fault.value = null
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    fault.value = error
  }
}

/** Fetches all opened levels again. */
const fetchAgain = (): Promise<unknown> => Promise.all(['', ...open.peek()].map((below) => fetchLevel(below)))

/** Topics above a topic, from the first level on. */
function topicsAbove(topic: string): string[] {
  const names = topic.split('/')
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'))
}

function rowsOf(below: string, depth: number): TreeRow[] {
  const level = levels.value.get(below)
  if (level === undefined) return []
  const rows: TreeRow[] = []
  for (const item of level.items) {
    const isOpen = item.hasBelow ? open.value.has(item.topic) : undefined
    rows.push({ id: item.topic, depth, isOpen, content: <LevelRow item={item} isOpen={isOpen} /> })
    if (isOpen) rows.push(...rowsOf(item.topic, depth + 1))
  }
  if (level.next !== null) {
    rows.push({ id: below + MORE, depth, content: <span class="tree-more">{t('topics.more')}</span> })
  }
  return rows
}

function LevelRow({ item, isOpen }: { item: TopicLevel; isOpen: boolean | undefined }) {
  return (
    <>
      {isOpen === undefined ? <span class="icon" /> : <Icon name={isOpen ? 'down' : 'right'} />}
      <span class="mono clip">{item.name === '' ? t('topics.emptyLevel') : item.name}</span>
      {item.hasMessage ? <span class="dot" title={t('topics.hasMessage')} /> : null}
      <span class="muted tabular tree-count">{number(Math.max(item.messages, item.published))}</span>
    </>
  )
}

async function toggle({ id, isOpen }: TreeRow): Promise<void> {
  const next = new Set(open.peek())
  if (isOpen) next.delete(id)
  else {
    next.add(id)
    await fetchLevel(id)
  }
  open.value = next
}

/** What is known about a topic besides its message. */
function About({ topic }: { topic: string }) {
  const { value } = usePoll(
    `about ${topic}`,
    5_000,
    (signal) => ask<Page<Publication>>('/api/v1/publications', { topicFilter: topic, limit: 1 }, { signal }),
    { keep: false },
  )
  const last = value?.items[0]
  return (
    <Facts
      rows={[
        [t('topics.lastPublished'), last ? <Time atMs={last.atMs} /> : t('topics.unknown')],
        [
          t('topics.publisher'),
          last ? last.clientId === null ? t('theBroker') : <ClientLink clientId={last.clientId} /> : null,
        ],
        [t('topics.published'), last ? t('messages', { n: last.messages }) : null],
        [t('topics.rate'), last ? t('perSecond', { value: short(last.rate) }) : null],
        ['', <a href={`/why?topic=${encodeURIComponent(topic)}`}>{t('live.why')}</a>],
      ]}
    />
  )
}

function Editor({ topic, payload, onDone }: { topic: string; payload: Bytes | null; onDone(): void }) {
  const text = useSignal(payload?.text ?? '')
  const format = useSignal<Format>('text')
  const qos = useSignal('1')
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    try {
      const body = { qos: Number(qos.value), ...payloadFields(text.value, format.value) }
      const set = (): Promise<unknown> => change('PUT', '/api/v1/retained/message', { query: { topic }, body })
      if (await attempt(set, t('topics.set'))) onDone()
    } catch (error) {
      say((error as Error).message, true)
    }
  }
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <PayloadInput
        text={text.value}
        format={format.value}
        onText={(next) => (text.value = next)}
        onFormat={(next) => (format.value = next)}
      />
      <div class="form-row">
        <Select label="QoS" value={qos.value} options={qosOptions} onValue={(next) => (qos.value = next)} />
        <button type="submit" class="button primary">
          {t('topics.setAction')}
        </button>
      </div>
    </form>
  )
}

/** Deletes the retained messages of a filter, after having said how many there are. */
async function removeAll(topicFilter: string): Promise<boolean> {
  try {
    const query = { topicFilter, dryRun: true }
    const { messages: n } = await change<{ messages: number }>('DELETE', '/api/v1/retained', { query })
    if (n === 0) {
      say(t('topics.noneThere'))
      return false
    }
    const isSure = await confirm({
      title: t('topics.deleteTitle', { n }),
      text: t('topics.deleteText', { filter: topicFilter }),
      action: t('topics.deleteAction', { n }),
    })
    if (!isSure) return false
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    say(error.message, true)
    return false
  }
  return attempt(() => change('DELETE', '/api/v1/retained', { query: { topicFilter } }), t('topics.deleted'))
}

function Retained({ topic }: { topic: string }) {
  const view = useSignal<View>('auto')
  const isEditing = useSignal(false)
  const stream = useMessages(LAST_MAX)
  const retained = usePoll(
    `retained ${topic}`,
    5_000,
    (signal) => askOrNull<Message>('/api/v1/retained/message', { topic }, { signal }),
    { keep: false },
  )
  // Another topic is another stream.
  useEffect(() => {
    isEditing.value = false
    stream.start(topic, false)
  }, [topic])
  const message = retained.value
  const onDone = (): void => {
    isEditing.value = false
    retained.refresh()
    void fetchAgain()
  }
  return (
    <>
      <Card
        title={t('topics.retained')}
        aside={
          <Select
            label={t('view')}
            value={view.value}
            options={viewNames()}
            onValue={(next) => (view.value = next as View)}
          />
        }
      >
        <Failure error={retained.error} />
        {message === undefined ? null : message === null ? (
          <Empty>{t('topics.noRetained')}</Empty>
        ) : (
          <div class="stack">
            <Payload payload={message.payload} view={view.value} topic={message.topic} />
            <Facts
              rows={[
                ['QoS', String(message.qos)],
                ...propertyRows(message.properties),
                [t('col.expires'), message.expiresAtMs ? <Time atMs={message.expiresAtMs} /> : null],
              ]}
            />
          </div>
        )}
        <div class="actions">
          <button
            type="button"
            class="button"
            aria-expanded={isEditing.value}
            onClick={() => (isEditing.value = !isEditing.value)}
          >
            {message === null ? t('topics.setAction') : t('topics.edit')}
          </button>
          {message ? (
            <button
              type="button"
              class="button danger-quiet"
              onClick={() => void removeAll(topic).then((isDone) => isDone && onDone())}
            >
              {t('topics.delete')}
            </button>
          ) : null}
          <button
            type="button"
            class="button danger-quiet"
            onClick={() => void removeAll(`${topic}/#`).then((isDone) => isDone && onDone())}
          >
            {t('topics.deleteBelow')}
          </button>
        </div>
        {isEditing.value ? (
          <Editor key={topic} topic={topic} payload={message?.payload ?? null} onDone={onDone} />
        ) : null}
      </Card>
      <Card
        title={t('topics.last')}
        aside={<span class="muted">{stream.isRunning ? t('live.running') : ''}</span>}
        flush
      >
        <Failure error={stream.error} />
        {stream.messages.length === 0 ? (
          <Empty>{t('topics.noneYet')}</Empty>
        ) : (
          <ul class="messages">
            {stream.messages.map((each) => (
              <MessageRow key={each.number} message={each} view={view.value} />
            ))}
          </ul>
        )}
      </Card>
    </>
  )
}

export function TopicsPage() {
  const topic = queryOf('topic')
  const typed = useSignal(topic)
  useEffect(() => {
    if (topic !== '') open.value = new Set([...open.peek(), ...topicsAbove(topic)])
    void fetchAgain()
  }, [])
  const rows = rowsOf('', 0)
  const select = (row: TreeRow): void => {
    if (row.id.endsWith(MORE)) {
      void fetchLevel(row.id.slice(0, -MORE.length), true)
      return
    }
    if (row.isOpen !== undefined && (row.id === topic || row.isOpen === false)) void toggle(row)
    typed.value = row.id
    setQuery({ topic: row.id })
  }
  return (
    <>
      <PageHead title={t('page.topics')} text={t('topics.text')}>
        <button type="button" class="button" onClick={() => void fetchAgain()}>
          {t('refresh')}
        </button>
      </PageHead>
      <Failure error={fault.value} />
      <div class="grid tree-grid">
        <Card flush>
          <form
            class="filters"
            onSubmit={(event) => {
              event.preventDefault()
              setQuery({ topic: typed.value })
            }}
          >
            <Field label={t('topics.go')} value={typed.value} onValue={(value) => (typed.value = value)} />
          </form>
          {rows.length === 0 ? (
            <Empty>{t('topics.none')}</Empty>
          ) : (
            <VirtualTree
              label={t('page.topics')}
              rows={rows}
              selected={topic}
              onSelect={select}
              onToggle={(row) => void toggle(row)}
            />
          )}
        </Card>
        <div class="stack">
          {topic === '' ? (
            <Card>
              <Empty>{t('topics.choose')}</Empty>
            </Card>
          ) : (
            <>
              <Card title={t('topic')}>
                <p class="mono break topic-name">{topic}</p>
                <About topic={topic} />
              </Card>
              <ForRole needs="operator">
                <Retained topic={topic} />
              </ForRole>
            </>
          )}
        </div>
      </div>
      {may('operator') ? null : <p class="muted">{maybe('topics.viewer')}</p>}
    </>
  )
}
