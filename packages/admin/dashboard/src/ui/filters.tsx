/**
 * Filters and pages of a list, which are kept in the address.
 */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { t } from '../lib/i18n.ts'
import { queryOf, setQuery } from '../lib/router.ts'
import { Icon } from './icon.tsx'

/** Pause after the last key before the broker is asked. */
const TYPING_MS = 250

/** Text of a field that becomes part of the address when the reader pauses. */
export function useTyped(name: string): [value: string, set: (value: string) => void] {
  const inUrl = queryOf(name)
  const typed = useSignal(inUrl)
  const text = typed.value
  useEffect(() => {
    if (text === queryOf(name)) return undefined
    const timer = setTimeout(() => setQuery({ [name]: text, cursor: null }), TYPING_MS)
    return () => clearTimeout(timer)
  }, [name, text])
  return [
    text,
    (value) => {
      typed.value = value
    },
  ]
}

/** Buttons for the next page and back to the first. */
export function Pager({ next, shown }: { next: string | null; shown: number }) {
  const isFirst = queryOf('cursor') === ''
  if (next === null && isFirst) return <p class="table-foot muted">{t('shown', { n: shown })}</p>
  return (
    <div class="table-foot">
      <button type="button" class="button small" disabled={isFirst} onClick={() => setQuery({ cursor: null })}>
        {t('firstPage')}
      </button>
      <span class="muted">{t('shown', { n: shown })}</span>
      <button type="button" class="button small" disabled={next === null} onClick={() => setQuery({ cursor: next })}>
        {t('nextPage')}
        <Icon name="right" />
      </button>
    </div>
  )
}
