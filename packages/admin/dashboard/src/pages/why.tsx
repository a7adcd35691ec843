/**
 * "Why was this message not delivered?": a topic and, if known, a client, and the answer as a sentence.
 *
 * The question is in the address, so that an answer can be shown to somebody else. The sentences are the broker's, which
 * sends them as templates, too, so that they can be in the reader's language.
 */
import { signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ask, may } from '../lib/api.ts'
import { maybe, t, verdictName } from '../lib/i18n.ts'
import { usePoll } from '../lib/poll.ts'
import { language } from '../lib/preferences.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import { translate } from '../lib/sayings.ts'
import type { Reason, Recipient, Saying, Why } from '../lib/types.ts'
import { Icon } from '../ui/icon.tsx'
import { Badge, Card, ClientLink, Empty, Failure, Field, Loading, PageHead, Time } from '../ui/parts.tsx'
import { type Column, Table } from '../ui/table.tsx'

interface Recipients {
  readonly recipients: readonly Recipient[]
  readonly total: number
  readonly programSubscriptions: number
}

const recipientColumns = (): readonly Column<Recipient>[] => [
  { key: 'client', label: t('client'), show: ({ clientId }) => <ClientLink clientId={clientId} /> },
  {
    key: 'verdict',
    label: t('why.verdict'),
    show: ({ verdict }) => <Badge tone={toneOf(verdict)}>{verdictName(verdict)}</Badge>,
  },
  {
    key: 'filter',
    label: t('topicFilter'),
    importance: 2,
    show: ({ topicFilter }) => <span class="mono break">{topicFilter}</span>,
  },
  { key: 'qos', label: 'QoS', isNumber: true, importance: 2, show: ({ deliveredQoS }) => deliveredQoS },
]

function toneOf(verdict: string): 'ok' | 'warning' | 'neutral' {
  if (verdict === 'gets') return 'ok'
  return verdict === 'waits' || verdict === 'not-chosen' ? 'neutral' : 'warning'
}

/** Spanish templates, once they have been loaded. */
const spanish = signal<Readonly<Record<string, string>> | null>(null)

/** A sentence of the broker in the reader's language where it is known in it, otherwise in English. */
function Sentence({ of: { sentence, said } }: { of: { sentence: string; said: Saying } }) {
  const isSpanish = language.value === 'es'
  useEffect(() => {
    if (!isSpanish || spanish.value !== null) return
    void import('../lib/why-es.ts').then(({ whyInSpanish }) => {
      spanish.value = whyInSpanish
    })
  }, [isSpanish])
  const translated = isSpanish && spanish.value !== null ? translate(said, spanish.value, 'es') : null
  return <span lang={translated === null ? 'en' : 'es'}>{translated ?? sentence}</span>
}

/** Whether the answer is that it arrives. */
const arrives = ({ reasons }: Why): boolean => reasons.length === 0

function Answer({ why }: { why: Why }) {
  const [first, ...others] = why.reasons
  return (
    <>
      <section class={arrives(why) ? 'answer ok' : 'answer'} aria-live="polite">
        <Icon name={arrives(why) ? 'ok' : 'warning'} />
        <div>
          <p class="answer-kind">{arrives(why) ? t('why.arrives') : titleOf(first!)}</p>
          <p class="answer-sentence">
            <Sentence of={why} />
          </p>
          <p class="muted">
            {first === undefined ? null : first.atMs === null ? t('why.holdsNow') : <Time atMs={first.atMs} />}
          </p>
        </div>
      </section>
      {others.length === 0 ? null : (
        <Card title={t('why.also')}>
          <ul class="lines">
            {kindsOf(others).map(({ first: each, more }) => (
              <li key={each.code}>
                <strong>{titleOf(each)}</strong> {each.atMs === null ? <Badge>{t('why.now')}</Badge> : null}
                <br />
                <Sentence of={each} /> {more === 0 ? null : <span class="muted">{t('why.more', { n: more })}</span>}
              </li>
            ))}
          </ul>
        </Card>
      )}
      <p class="muted">
        {why.lastPublished === null ? (
          t('why.neverPublished')
        ) : (
          <>
            {t('why.lastPublished', {
              client: why.lastPublished.clientId ?? t('theBroker'),
              qos: why.lastPublished.qos,
              n: why.lastPublished.messages,
            })}{' '}
            <Time atMs={why.lastPublished.atMs} />
          </>
        )}
      </p>
    </>
  )
}

/** Reasons of a kind as one, the first of each first. */
function kindsOf(reasons: readonly Reason[]): readonly { readonly first: Reason; readonly more: number }[] {
  const kinds = new Map<string, { readonly first: Reason; more: number }>()
  for (const reason of reasons) {
    const kind = kinds.get(reason.code)
    if (kind === undefined) kinds.set(reason.code, { first: reason, more: 0 })
    else kind.more++
  }
  return [...kinds.values()]
}

const titleOf = ({ code }: Reason): string =>
  maybe(`why.code.${code}`) ?? maybe(`reason.${code.replace(/^publish-/, '')}`) ?? code

export function WhyPage() {
  const asked = { topic: queryOf('topic'), client: queryOf('client'), at: queryOf('at') }
  const topic = useSignal(asked.topic)
  const client = useSignal(asked.client)
  const at = useSignal(asked.at)
  const isAsked = asked.topic !== ''
  const query = { ...asked, at: asked.at === '' ? '' : String(Date.parse(asked.at)) }
  const answer = usePoll(
    `why ${JSON.stringify(query)}`,
    0,
    async (signal) => (isAsked ? await ask<Why>('/api/v1/why', query, { signal }) : null),
    { keep: false },
  )
  const recipients = usePoll(
    `recipients ${asked.topic}`,
    0,
    async (signal) =>
      isAsked ? await ask<Recipients>('/api/v1/recipients', { topic: asked.topic }, { signal }) : null,
    { keep: false },
  )
  const submit = (event: Event): void => {
    event.preventDefault()
    const next = { topic: topic.value.trim(), client: client.value, at: at.value }
    const isSame = JSON.stringify(next) === JSON.stringify(asked)
    setQuery(next)
    if (!isSame) return
    answer.refresh()
    recipients.refresh()
  }
  return (
    <>
      <PageHead title={t('page.why')} text={t('why.text')} />
      <Card>
        <form class="form-row" onSubmit={submit}>
          <Field
            label={t('topic')}
            required
            placeholder="sensors/1/temperature"
            value={topic.value}
            onValue={(value) => (topic.value = value)}
          />
          <Field
            label={t('why.client')}
            placeholder={t('why.anybody')}
            value={client.value}
            onValue={(value) => (client.value = value)}
          />
          <Field
            label={t('why.at')}
            type="datetime-local"
            step="1"
            value={at.value}
            onValue={(value) => (at.value = value)}
          />
          <button type="submit" class="button primary">
            {t('why.action')}
          </button>
        </form>
      </Card>
      <Failure error={answer.error} />
      {!isAsked ? (
        <Empty>{t('why.empty')}</Empty>
      ) : answer.value ? (
        <Answer why={answer.value} />
      ) : answer.error === null ? (
        <Loading />
      ) : null}
      {isAsked && may('operator') ? (
        <p>
          <a href={`/trace?topicFilter=${encodeURIComponent(asked.topic)}&client=${encodeURIComponent(asked.client)}`}>
            {t('why.trace')}
          </a>
        </p>
      ) : null}
      {recipients.value ? (
        <Card
          title={t('why.recipients')}
          aside={<span class="muted">{t('why.total', { n: recipients.value.total })}</span>}
          flush
        >
          <Table
            label={t('why.recipients')}
            columns={recipientColumns()}
            rows={recipients.value.recipients}
            keyOf={({ clientId, topicFilter }) => `${clientId} ${topicFilter}`}
            empty={t('why.nobody')}
          />
        </Card>
      ) : null}
    </>
  )
}
