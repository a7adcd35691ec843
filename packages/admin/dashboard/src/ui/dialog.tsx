/**
 * Dialogs and messages: a question before something is destroyed, and what came of it.
 *
 * `confirm` resolves when the reader has answered. The dialog is the browser's own (`showModal`): the rest of the page
 * cannot be reached meanwhile, Escape cancels, and the focus goes back to where it was.
 */
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { ApiError } from '../lib/api.ts'
import { t } from '../lib/i18n.ts'
import { Icon } from './icon.tsx'

export interface Question {
  readonly title: string
  readonly text: ComponentChildren
  /** Verb on the button. */
  readonly action: string
  readonly isDangerous?: boolean
}

interface Asked extends Question {
  answer(isConfirmed: boolean): void
}

const question = signal<Asked | null>(null)

/** Asks whether something is to be done. */
export function confirm(asked: Question): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = { ...asked, answer: resolve }
  })
}

export function Dialogs() {
  const asked = question.value
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (asked !== null) ref.current?.showModal()
  }, [asked])
  if (asked === null) return null
  const close = (isConfirmed: boolean): void => {
    ref.current?.close()
    question.value = null
    asked.answer(isConfirmed)
  }
  return (
    <dialog
      ref={ref}
      class="dialog"
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault()
        close(false)
      }}
    >
      <h2 id="dialog-title">{asked.title}</h2>
      <div class="dialog-text">{asked.text}</div>
      <div class="actions">
        <button type="button" class="button" onClick={() => close(false)}>
          {t('cancel')}
        </button>
        <button
          type="button"
          class={asked.isDangerous === false ? 'button primary' : 'button danger'}
          onClick={() => close(true)}
        >
          {asked.action}
        </button>
      </div>
    </dialog>
  )
}

interface Toast {
  readonly number: number
  readonly text: string
  readonly isBad: boolean
}

const SHOWN_MS = 6_000
const TOASTS_MAX = 4
const toasts = signal<readonly Toast[]>([])
let toastNumber = 0

const removeToast = (number: number): void => {
  toasts.value = toasts.value.filter((each) => each.number !== number)
}

/** Shows a message for some seconds; one about a failure stays until it is closed. */
export function say(text: string, isBad = false): void {
  const number = ++toastNumber
  toasts.value = [...toasts.value, { number, text, isBad }].slice(-TOASTS_MAX)
  if (!isBad) setTimeout(() => removeToast(number), SHOWN_MS)
}

/** Does something that may fail; says what came of it. Resolves with whether it was done. */
export async function attempt(action: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await action()
    say(done)
    return true
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    say(error.message, true)
    return false
  }
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ number, text, isBad }) => (
        <div key={number} class={isBad ? 'toast bad' : 'toast'}>
          <Icon name={isBad ? 'bad' : 'ok'} />
          <span>{text}</span>
          <button type="button" class="icon-button" aria-label={t('close')} onClick={() => removeToast(number)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  )
}
