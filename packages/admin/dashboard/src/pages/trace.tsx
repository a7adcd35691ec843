/**
 * A trace: every step of the messages of a topic, a client or a user, while they happen.
 *
 * Invariant: the page keeps the last `STEPS_MAX` steps, however many come.
 */
import { bytesOf } from '../lib/decode.ts'
import { bytes, exactTime, number } from '../lib/format.ts'
import { maybe, reasonName, t, verdictName } from '../lib/i18n.ts'
import { useNumberedEvents } from '../lib/numbered-events.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { TraceStep } from '../lib/types.ts'
import { Icon } from '../ui/icon.tsx'
import {
  Badge,
  Card,
  Check,
  ClientLink,
  Empty,
  Failure,
  Field,
  ForRole,
  PageHead,
  Select,
  type Tone,
} from '../ui/parts.tsx'

const STEPS_MAX = 1_000

const tones: Readonly<Record<string, Tone>> = {
  received: 'accent',
  refused: 'bad',
  authorized: 'neutral',
  matched: 'neutral',
  withheld: 'warning',
  chosen: 'neutral',
  queued: 'neutral',
  sent: 'accent',
  acknowledged: 'ok',
  dropped: 'warning',
}

/** What a step says, in words. */
function wordsOf(step: TraceStep): string {
  const { qos = 0, reason = '', reasonCode = 0 } = step
  const code = `0x${reasonCode.toString(16).toUpperCase().padStart(2, '0')}`
  const filter = step.topicFilter ?? ''
  switch (step.step) {
    case 'received':
      return t('step.received', { qos, size: bytes(step.payloadBytes ?? 0), retain: step.retain ? ', RETAIN' : '' })
    case 'refused':
      return t('step.refused', { qos, code })
    case 'authorized':
      return t('step.authorized', { by: step.by ?? '' })
    case 'matched':
      return t('step.matched', { n: step.subscriptions ?? 0 })
    case 'withheld':
      return t('step.withheld', { filter })
    case 'chosen':
      return t('step.chosen', { filter })
    case 'queued':
      return t('step.queued', { qos, n: step.queuedMessages ?? 0 })
    case 'sent':
      return t('step.sent', { qos, flags: `${step.retain ? ', RETAIN' : ''}${step.dup ? ', DUP' : ''}` })
    case 'acknowledged':
      return t('step.acknowledged', { packet: step.packet ?? '', code })
    case 'dropped':
      return t(droppedKey(step), { reason: reasonName(reason) })
    default:
      return step.step
  }
}

/** Who did not get it: a subscriber, all of a publisher's, or all where the publisher is not named. */
function droppedKey({ isForSubscriber, clientId }: TraceStep): 'step.dropped' | 'step.droppedForAll' | 'step.nobody' {
  if (isForSubscriber) return 'step.dropped'
  return clientId === null ? 'step.nobody' : 'step.droppedForAll'
}

/** Subject of the sentence of a step. */
function Subject({ step }: { step: TraceStep }) {
  const { clientId } = step
  if (step.step === 'matched' || (step.step === 'dropped' && clientId === null)) return null
  return clientId === null ? <em>{t('theBroker')}</em> : <ClientLink clientId={clientId} />
}

function Step({ step }: { step: TraceStep }) {
  const { recipients = [], payloadBase64 } = step
  return (
    <li class={step.step === 'received' || step.step === 'refused' ? 'step first' : 'step'}>
      <span class="mono nowrap muted">{exactTime(step.atMs)}</span>
      <span>
        <Badge tone={tones[step.step] ?? 'neutral'}>{maybe(`step.name.${step.step}`) ?? step.step}</Badge>
      </span>
      <span class="step-words">
        <Subject step={step} /> {wordsOf(step)} <span class="mono break muted">{step.topic}</span>
        {payloadBase64 === undefined ? null : <code class="clip">{textOf(payloadBase64)}</code>}
        {recipients.length === 0 ? null : (
          <ul class="step-recipients">
            {recipients.map(({ clientId, topicFilter, qos, verdict }) => (
              <li key={`${clientId} ${topicFilter}`}>
                <ClientLink clientId={clientId} /> <span class="mono break muted">{topicFilter}</span> QoS {qos}:{' '}
                {verdictName(verdict)}
              </li>
            ))}
          </ul>
        )}
      </span>
    </li>
  )
}

const textOf = (base64: string): string => new TextDecoder().decode(bytesOf(base64))

export function TracePage() {
  const asked = {
    topicFilter: queryOf('topicFilter'),
    client: queryOf('client'),
    username: queryOf('username'),
    seconds: queryOf('seconds') || '60',
    payload: queryOf('payload'),
  }
  const stream = useNumberedEvents<TraceStep>('/api/v1/trace', 'steps', STEPS_MAX)
  const submit = (event: Event): void => {
    event.preventDefault()
    stream.start(asked)
  }
  return (
    <>
      <PageHead title={t('page.trace')} text={t('trace.text')} />
      <ForRole needs="operator">
        <Card>
          <form class="form-row" onSubmit={submit}>
            <Field
              label={t('topicFilter')}
              placeholder="sensors/#"
              value={asked.topicFilter}
              onValue={(topicFilter) => setQuery({ topicFilter })}
            />
            <Field label={t('clientId')} value={asked.client} onValue={(client) => setQuery({ client })} />
            <Field label={t('username')} value={asked.username} onValue={(username) => setQuery({ username })} />
            <Select
              label={t('trace.seconds')}
              value={asked.seconds}
              options={['10', '60', '300', '3600'].map((each) => [each, `${number(Number(each))} s`] as const)}
              onValue={(seconds) => setQuery({ seconds })}
            />
            <Check
              label={t('trace.payload')}
              checked={asked.payload === 'true'}
              onValue={(isOn) => setQuery({ payload: isOn ? 'true' : null })}
            />
            {stream.isRunning ? (
              <button type="button" class="button" onClick={stream.stop}>
                <Icon name="stop" />
                {t('stop')}
              </button>
            ) : (
              <button type="submit" class="button primary">
                <Icon name="play" />
                {t('start')}
              </button>
            )}
          </form>
        </Card>
        <Failure error={stream.error} />
        <Card
          title={t('trace.steps')}
          aside={
            <span role="status" class="muted">
              {stream.isRunning ? t('trace.running') : stream.isOver ? t('trace.over') : ''}
              {stream.lost > 0 ? ` · ${t('trace.lost', { n: stream.lost })}` : ''}
            </span>
          }
        >
          {stream.items.length === 0 ? (
            <Empty>{stream.isRunning ? t('trace.waiting') : t('trace.empty')}</Empty>
          ) : (
            <ol class="steps">
              {stream.items.map((step) => (
                <Step key={step.number} step={step} />
              ))}
            </ol>
          )}
        </Card>
      </ForRole>
    </>
  )
}
