/**
 * Small parts that every page is made of: headings, cards, fields, states, times.
 */
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import type { ApiError } from '../lib/api.ts'
import { may } from '../lib/api.ts'
import { time } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import type { Polled } from '../lib/poll.ts'
import { clientUrl } from '../lib/router.ts'
import type { Role } from '../lib/types.ts'
import { Icon, type IconName } from './icon.tsx'

/** Head of a page. */
export function PageHead({ title, text, children }: { title: string; text?: string; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {text === undefined ? null : <p class="muted">{text}</p>}
      </div>
      {children === undefined ? null : <div class="actions">{children}</div>}
    </header>
  )
}

export function Card({
  title,
  aside,
  children,
  flush = false,
}: {
  title?: string
  aside?: ComponentChildren
  children: ComponentChildren
  /** Without space around its contents. */
  flush?: boolean
}) {
  return (
    <section class={flush ? 'card flush' : 'card'}>
      {title === undefined ? null : (
        <header class="card-head">
          <h2>{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  )
}

export type Tone = 'ok' | 'warning' | 'bad' | 'neutral' | 'accent'
const toneIcons: Readonly<Partial<Record<Tone, IconName>>> = { ok: 'ok', warning: 'warning', bad: 'bad' }

/** State in a word, with a sign besides its colour. */
export function Badge({ tone = 'neutral', children }: { tone?: Tone; children: ComponentChildren }) {
  const icon = toneIcons[tone]
  return (
    <span class={`badge ${tone}`}>
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </span>
  )
}

/** Sentence that stands for something that is not there. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

export function Loading() {
  return (
    <p class="empty" role="status">
      {t('loading')}
    </p>
  )
}

/** Failure of a request, in the broker's words. */
export function Failure({ error }: { error: ApiError | null }) {
  if (error === null) return null
  return (
    <div class="notice bad" role="alert">
      <Icon name="bad" />
      <span lang="en">{error.message}</span>
    </div>
  )
}

/** Shows a polled value: `children` of it from the first answer on, and above them the failure of the last request. */
export function PolledContents<Value>({
  polled: { value, error },
  children,
}: {
  polled: Polled<Value>
  children(value: Value): ComponentChildren
}) {
  return (
    <>
      <Failure error={error} />
      {value !== undefined ? children(value) : error === null ? <Loading /> : null}
    </>
  )
}

/** Contents that need a role; others are told which. */
export function ForRole({ needs, children }: { needs: Role; children: ComponentChildren }) {
  if (may(needs)) return <>{children}</>
  return (
    <div class="notice">
      <Icon name="user" />
      <span>{t('needsRole', { role: t(`role.${needs}`) })}</span>
    </div>
  )
}

export function Time({ atMs }: { atMs: number }) {
  return (
    <time dateTime={new Date(atMs).toISOString()} class="nowrap">
      {time(atMs)}
    </time>
  )
}

/** Client Identifier as a link to its page. */
export function ClientLink({ clientId }: { clientId: string }) {
  return (
    <a class="mono break" href={clientUrl(clientId)}>
      {clientId}
    </a>
  )
}

export interface FieldProps {
  readonly label: string
  readonly hint?: string
  readonly value: string
  onValue(value: string): void
  readonly type?: 'text' | 'search' | 'password' | 'number' | 'datetime-local'
  readonly required?: boolean
  readonly placeholder?: string
  readonly autocomplete?: 'username' | 'current-password' | 'off'
  readonly min?: string
  readonly max?: string
  readonly step?: string
  readonly maxLength?: number
}

/** Field with its label above and a hint below. */
export function Field({ label, hint, value, onValue, type = 'text', autocomplete = 'off', ...rest }: FieldProps) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...rest}
        // The types of Preact ask for one of them that is known.
        type={type as 'text'}
        autocomplete={autocomplete}
        spellcheck={false}
        id={id}
        value={value}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onInput={(event) => onValue(event.currentTarget.value)}
      />
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

export function Select({
  label,
  value,
  options,
  onValue,
}: {
  label: string
  value: string
  options: readonly (readonly [value: string, text: string])[]
  onValue(value: string): void
}) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}

export function Check({ label, checked, onValue }: { label: string; checked: boolean; onValue(value: boolean): void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onValue(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  )
}

/** Facts in two columns; what is null is left out. */
export function Facts({ rows }: { rows: readonly (readonly [label: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {rows.map(([label, value]) =>
        value === null ? null : (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  )
}
