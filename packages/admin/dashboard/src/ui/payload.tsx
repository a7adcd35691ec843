/**
 * A payload in the view that the reader chooses, with what can be said about it.
 */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { type Decoded, decode, type View, views } from '../lib/decode.ts'
import { bytes as sizeText } from '../lib/format.ts'
import { t } from '../lib/i18n.ts'
import type { Bytes, Properties } from '../lib/types.ts'

export const viewNames = (): readonly (readonly [View, string])[] =>
  views.map((view) => [view, t(`view.${view}`)] as const)

export function Payload({ payload, view, topic }: { payload: Bytes; view: View; topic: string }) {
  const shown = useSignal<Decoded | null>(null)
  useEffect(() => {
    let isOver = false
    void decode(payload, view, topic).then((decoded) => {
      if (!isOver) shown.value = decoded
    })
    return () => {
      isOver = true
    }
  }, [payload, view, topic])
  const decoded = shown.value
  return (
    <div class="payload">
      <p class="hint">
        {sizeText(payload.bytes)}
        {decoded === null || payload.bytes === 0 ? '' : ` · ${t(`view.${decoded.as}`)}`}
        {payload.isWhole ? '' : ` · ${t('payloadCut')}`}
        {decoded?.fault ? ` · ${t('payloadFault', { view: decoded.fault })}` : ''}
      </p>
      {payload.bytes === 0 ? (
        <p class="muted">{t('payloadEmpty')}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        // biome-ignore lint/a11y/useSemanticElements: it has no heading of its own
        <pre tabIndex={0} role="region" aria-label={t('payload')}>
          {decoded?.text ?? ''}
        </pre>
      )}
    </div>
  )
}

/** Properties of a message as facts. */
export function propertyRows(properties: Properties): readonly (readonly [string, string])[] {
  const { userProperties = [], ...others } = properties
  return [
    ...Object.entries(others).map(([name, value]) => [name, String(value)] as const),
    ...userProperties.map(([name, value]) => [name, value] as const),
  ]
}
