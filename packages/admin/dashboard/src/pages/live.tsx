/**
 * Messages as they are published, by a stream of the API: no client, no subscription and no login of its own.
 *
 * Invariant: the page keeps the last `MESSAGES_MAX`; while it is paused, what comes is kept too and shown afterwards.
 */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { preview, type View, views } from '../lib/decode.ts'
import { exactTime } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import { type Numbered, useNumberedEvents } from '../lib/numbered-events.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { LiveMessage } from '../lib/types.ts'
import { Icon } from '../ui/icon.tsx'
import {
  Badge,
  Card,
  Check,
  ClientLink,
  Empty,
  Facts,
  Failure,
  Field,
  ForRole,
  PageHead,
  Select,
} from '../ui/parts.tsx'
import { Payload, propertyRows, viewNames } from '../ui/payload.tsx'

const MESSAGES_MAX = 500

/** Reads messages as they are published, the latest first. */
export function useMessages(max: number) {
  const { items, start, ...stream } = useNumberedEvents<LiveMessage>('/api/v1/messages', 'messages', max)
  return {
    ...stream,
    messages: [...items].reverse(),
    start: (topicFilter: string, retained: boolean): void =>
      start({ topicFilter, retained, payloadBytes: 16_384, seconds: 3_600 }),
  }
}

export function MessageRow({ message, view }: { message: Numbered<LiveMessage>; view: View }) {
  const isOpen = useSignal(false)
  return (
    <li class="message">
      <button
        type="button"
        class="message-head"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        <Icon name={isOpen.value ? 'down' : 'right'} />
        <span class="mono muted nowrap">{exactTime(message.atMs)}</span>
        <span class="mono break message-topic">{message.topic}</span>
        <span class="mono clip muted">{preview(message.payload)}</span>
        <span class="message-flags">
          {message.isRetained ? <Badge tone="accent">{t('live.retained')}</Badge> : null}
          <span class="muted nowrap">QoS {message.qos}</span>
        </span>
      </button>
      {isOpen.value ? (
        <div class="message-body">
          <Payload payload={message.payload} view={view} topic={message.topic} />
          <Facts
            rows={[
              [t('publisher'), message.clientId === null ? null : <ClientLink clientId={message.clientId} />],
              ...propertyRows(message.properties),
            ]}
          />
          <a href={`/why?topic=${encodeURIComponent(message.topic)}`}>{t('live.why')}</a>
        </div>
      ) : null}
    </li>
  )
}

/** Keeps the names of metrics that BIRTH messages of Sparkplug bind to aliases. `messages`: the latest first. */
function useSparkplugNames(messages: readonly Numbered<LiveMessage>[]): void {
  const done = useRef(0)
  const latest = messages[0]?.number ?? 0
  useEffect(() => {
    const births = messages.filter(
      ({ number, topic }) => number > done.current && /^spBv1\.0\/[^/]+\/[ND]BIRTH\//.test(topic),
    )
    done.current = latest
    if (births.length === 0) return
    void import('../lib/sparkplug-names.ts').then(async ({ rememberNames }) => {
      for (const { topic, payload } of births.reverse()) await rememberNames(topic, payload)
    })
  }, [latest])
}

export function LivePage() {
  const filter = queryOf('topicFilter')
  const withRetained = queryOf('retained') === 'true'
  const viewText = queryOf('view')
  const view: View = (views as readonly string[]).includes(viewText) ? (viewText as View) : 'auto'
  const stream = useMessages(MESSAGES_MAX)
  const paused = useSignal<readonly Numbered<LiveMessage>[] | null>(null)
  useSparkplugNames(stream.messages)
  const shown = paused.value ?? stream.messages
  const newer = paused.value === null ? 0 : (stream.messages[0]?.number ?? 0) - (paused.value[0]?.number ?? 0)
  const start = (event: Event): void => {
    event.preventDefault()
    paused.value = null
    stream.start(filter || '#', withRetained)
  }
  return (
    <>
      <PageHead title={t('page.live')} text={t('live.text')} />
      <ForRole needs="operator">
        <Card>
          <form class="form-row" onSubmit={start}>
            <Field
              label={t('topicFilter')}
              placeholder="#"
              value={filter}
              onValue={(topicFilter) => setQuery({ topicFilter })}
            />
            <Select label={t('view')} value={view} options={viewNames()} onValue={(next) => setQuery({ view: next })} />
            <Check
              label={t('live.withRetained')}
              checked={withRetained}
              onValue={(isOn) => setQuery({ retained: isOn ? 'true' : null })}
            />
            <div class="actions">
              {stream.isRunning ? (
                <>
                  <button
                    type="button"
                    class="button"
                    onClick={() => (paused.value = paused.value === null ? stream.messages : null)}
                  >
                    <Icon name={paused.value === null ? 'pause' : 'play'} />
                    {paused.value === null ? t('live.pause') : t('live.resume', { n: newer })}
                  </button>
                  <button type="button" class="button" onClick={stream.stop}>
                    <Icon name="stop" />
                    {t('stop')}
                  </button>
                </>
              ) : (
                <button type="submit" class="button primary">
                  <Icon name="play" />
                  {t('start')}
                </button>
              )}
              <button type="button" class="button" disabled={shown.length === 0} onClick={stream.clear}>
                {t('live.clear')}
              </button>
            </div>
          </form>
        </Card>
        <Failure error={stream.error} />
        <Card
          title={t('live.messages')}
          aside={
            <span role="status" class="muted">
              {stream.isRunning ? t('live.running') : ''}
              {stream.lost > 0 ? ` · ${t('live.lost', { n: stream.lost })}` : ''}
            </span>
          }
          flush
        >
          {shown.length === 0 ? (
            <Empty>{stream.isRunning ? t('live.waiting') : t('live.empty')}</Empty>
          ) : (
            <ul class="messages">
              {shown.map((message) => (
                <MessageRow key={message.number} message={message} view={view} />
              ))}
            </ul>
          )}
        </Card>
      </ForRole>
    </>
  )
}
