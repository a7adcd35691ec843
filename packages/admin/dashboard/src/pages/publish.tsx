/**
 * A pad to publish from, with a look at who would get the message before it is sent.
 */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ApiError, ask, change } from '../lib/api.ts'
import { base64Of, fromHex, json } from '../lib/decode.ts'
import { t, verdictName } from '../lib/i18n.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import type { Recipient } from '../lib/types.ts'
import { say } from '../ui/dialog.tsx'
import { Badge, Card, Check, ClientLink, Empty, Failure, Field, ForRole, PageHead, Select } from '../ui/parts.tsx'

const TYPING_MS = 300
const SHOWN_MAX = 20

export type Format = 'text' | 'json' | 'hex'

/** Payload fields of a request from what was typed. @throws Error with what is wrong */
export function payloadFields(text: string, format: Format): { payload: string } | { payloadBase64: string } {
  if (format === 'text') return { payload: text }
  if (format === 'json') {
    if (json(text) === null) throw new Error(t('publish.noJson'))
    return { payload: text }
  }
  const bytes = fromHex(text)
  if (bytes === null) throw new Error(t('publish.noHex'))
  return { payloadBase64: base64Of(bytes) }
}

export function PayloadInput({
  text,
  format,
  onText,
  onFormat,
}: {
  text: string
  format: Format
  onText(text: string): void
  onFormat(format: Format): void
}) {
  return (
    <div class="payload-input">
      <div class="field">
        <label for="payload-text">{t('payload')}</label>
        <textarea
          id="payload-text"
          rows={8}
          spellcheck={false}
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      </div>
      <Select
        label={t('publish.format')}
        value={format}
        options={[
          ['text', t('view.text')],
          ['json', t('view.json')],
          ['hex', t('view.hex')],
        ]}
        onValue={(next) => onFormat(next as Format)}
      />
    </div>
  )
}

export const qosOptions = ['0', '1', '2'].map((each) => [each, `QoS ${each}`] as const)

interface Recipients {
  readonly recipients: readonly Recipient[]
  readonly total: number
}

/** Who would get a message on a topic, once the reader has stopped typing. */
function useRecipients(topic: string, qos: string): Recipients | null {
  const found = useSignal<Recipients | null>(null)
  useEffect(() => {
    const abort = new AbortController()
    const timer = setTimeout(async () => {
      if (topic === '' || /[+#]/.test(topic)) {
        found.value = null
        return
      }
      try {
        found.value = await ask<Recipients>('/api/v1/recipients', { topic, qos }, { signal: abort.signal })
      } catch {
        // The pad works without; what is wrong with the topic is said when it is sent.
        found.value = null
      }
    }, TYPING_MS)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [topic, qos])
  return found.value
}

export function PublishPage() {
  const topic = queryOf('topic')
  const qos = queryOf('qos') || '0'
  const text = useSignal('')
  const format = useSignal<Format>('text')
  const retain = useSignal(false)
  const contentType = useSignal('')
  const expiry = useSignal('')
  const userProperties = useSignal('')
  const error = useSignal<ApiError | null>(null)
  const recipients = useRecipients(topic, qos)

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    error.value = null
    try {
      const pairs = userProperties.value
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => {
          const [name = '', ...rest] = line.split('=')
          return [name.trim(), rest.join('=').trim()]
        })
      const properties = {
        ...(contentType.value === '' ? {} : { contentType: contentType.value }),
        ...(expiry.value === '' ? {} : { messageExpiryIntervalSeconds: Number(expiry.value) }),
        ...(pairs.length === 0 ? {} : { userProperties: pairs }),
      }
      const body = {
        topic,
        qos: Number(qos),
        retain: retain.value,
        properties,
        ...payloadFields(text.value, format.value),
      }
      const { reasonCode } = await change<{ reasonCode: number }>('POST', '/api/v1/publish', { body })
      say(reasonCode === 16 ? t('publish.nobody') : t('publish.done'), reasonCode >= 0x80)
    } catch (thrown) {
      error.value = thrown instanceof ApiError ? thrown : new ApiError(422, (thrown as Error).message)
    }
  }
  return (
    <>
      <PageHead title={t('page.publish')} text={t('publish.text')} />
      <ForRole needs="operator">
        <div class="grid wide-left">
          <Card>
            <form class="form" onSubmit={(event) => void submit(event)}>
              <Field
                label={t('topic')}
                required
                placeholder="sensors/1/temperature"
                value={topic}
                onValue={(next) => setQuery({ topic: next })}
              />
              <PayloadInput
                text={text.value}
                format={format.value}
                onText={(next) => (text.value = next)}
                onFormat={(next) => (format.value = next)}
              />
              <div class="form-row">
                <Select label="QoS" value={qos} options={qosOptions} onValue={(next) => setQuery({ qos: next })} />
                <Field
                  label={t('publish.expiry')}
                  type="number"
                  min="0"
                  value={expiry.value}
                  onValue={(next) => (expiry.value = next)}
                />
                <Field
                  label={t('publish.contentType')}
                  placeholder="application/json"
                  value={contentType.value}
                  onValue={(next) => (contentType.value = next)}
                />
                <Check label={t('publish.retain')} checked={retain.value} onValue={(next) => (retain.value = next)} />
              </div>
              <div class="field">
                <label for="user-properties">{t('publish.userProperties')}</label>
                <textarea
                  id="user-properties"
                  rows={2}
                  spellcheck={false}
                  placeholder="traceparent=00-…"
                  value={userProperties.value}
                  onInput={(event) => (userProperties.value = event.currentTarget.value)}
                />
              </div>
              <Failure error={error.value} />
              <div class="actions">
                <button type="submit" class="button primary">
                  {t('publish.action')}
                </button>
              </div>
            </form>
          </Card>
          <Card title={t('publish.recipients')}>
            {recipients === null ? (
              <Empty>{t('publish.typeTopic')}</Empty>
            ) : recipients.total === 0 ? (
              <Empty>{t('why.nobody')}</Empty>
            ) : (
              <ul class="lines">
                {recipients.recipients.slice(0, SHOWN_MAX).map(({ clientId, topicFilter, verdict }) => (
                  <li key={`${clientId} ${topicFilter}`}>
                    <ClientLink clientId={clientId} /> <span class="mono muted break">{topicFilter}</span>{' '}
                    <Badge tone={verdict === 'gets' ? 'ok' : verdict === 'waits' ? 'neutral' : 'warning'}>
                      {verdictName(verdict)}
                    </Badge>
                  </li>
                ))}
                {recipients.total > SHOWN_MAX ? (
                  <li>
                    <a href={`/why?topic=${encodeURIComponent(topic)}`}>{t('all')}</a>
                  </li>
                ) : null}
              </ul>
            )}
          </Card>
        </div>
      </ForRole>
    </>
  )
}
