/**
 * What a reader has chosen in this browser: language, and light or dark. Kept in `localStorage`, where that is allowed.
 *
 * `theme.js` applies the theme before the page is painted; both use the same key.
 */
import { effect, signal } from '@preact/signals'

export type Theme = 'auto' | 'light' | 'dark'
export type Language = 'en' | 'es'

const THEME = 'recado.theme'
const LANGUAGE = 'recado.language'

function stored(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    // A browser that keeps nothing asks for nothing.
    return null
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // It holds until the page is closed.
  }
}

function firstTheme(): Theme {
  const text = stored(THEME)
  return text === 'light' || text === 'dark' ? text : 'auto'
}

function firstLanguage(): Language {
  const text = stored(LANGUAGE)
  if (text === 'en' || text === 'es') return text
  return navigator.language.toLowerCase().startsWith('es') ? 'es' : 'en'
}

export const theme = signal<Theme>(firstTheme())
export const language = signal<Language>(firstLanguage())

const darkQuery = matchMedia('(prefers-color-scheme: dark)')
const prefersDark = signal(darkQuery.matches)
darkQuery.addEventListener('change', ({ matches }) => {
  prefersDark.value = matches
})

/** Whether the page is dark now. */
export const isDark = (): boolean => (theme.value === 'auto' ? prefersDark.value : theme.value === 'dark')

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
  store(THEME, theme.value)
})
effect(() => {
  document.documentElement.lang = language.value
})

export function setLanguage(value: Language): void {
  language.value = value
  store(LANGUAGE, value)
}
