/**
 * The address of the page: its view and what is asked for, so that a view can be bookmarked, shared and gone back to.
 *
 * Filters, sorting and the chosen item are in the query; a change of a filter replaces the entry of the history, a click
 * on a link adds one.
 */
import { signal } from '@preact/signals'

export interface Location {
  readonly path: string
  readonly query: URLSearchParams
}

const read = (): Location => ({
  path: location.pathname,
  query: new URLSearchParams(location.search),
})

/** Address that is shown. */
export const here = signal<Location>(read())

addEventListener('popstate', () => {
  here.value = read()
})

/** Goes to another view. */
export function go(url: string): void {
  history.pushState(null, '', url)
  here.value = read()
  scrollTo(0, 0)
}

/** Puts filters into the query; '' and null take them out. */
export function setQuery(values: Readonly<Record<string, string | null>>): void {
  const query = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === '') query.delete(name)
    else query.set(name, value)
  }
  const text = query.toString()
  const url = text === '' ? location.pathname : `${location.pathname}?${text}`
  if (url === location.pathname + location.search) return
  history.replaceState(null, '', url)
  here.value = read()
}

/** Value of the query; '' when it is absent. */
export const queryOf = (name: string): string => here.value.query.get(name) ?? ''

/** Address of the page of a client. */
export const clientUrl = (clientId: string): string => `/client?id=${encodeURIComponent(clientId)}`

/** Takes clicks on links of the page itself; those with a key held are the browser's. */
export function onLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return
  const link = (event.target as Element | null)?.closest('a')
  if (link?.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return
  if (link.getAttribute('href')?.startsWith('#')) return
  event.preventDefault()
  go(link.pathname + link.search)
}
