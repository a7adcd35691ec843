/**
 * The frame of all pages: navigation, who is logged in, language and theme, and whether the broker answers.
 */
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { isReachable, logOut, may, session } from '../lib/api.ts'
import { t } from '../lib/i18n.ts'
import { language, setLanguage, type Theme, theme } from '../lib/preferences.ts'
import { here } from '../lib/router.ts'
import type { Role } from '../lib/types.ts'
import { Icon, type IconName, Logo } from './icon.tsx'

type View =
  | 'overview'
  | 'clients'
  | 'topics'
  | 'shared'
  | 'live'
  | 'publish'
  | 'why'
  | 'trace'
  | 'drops'
  | 'bridges'
  | 'configuration'
  | 'bans'
  | 'tokens'
  | 'audit'

interface Entry {
  readonly view: View
  readonly path: string
  readonly role: Role
}

const entry = (view: View, role: Role = 'viewer', path = `/${view}`): Entry => ({ view, path, role })

/** Views in groups, each with the least role that sees something in it. */
const groups: readonly (readonly [title: 'group.watch' | 'group.messages' | 'group.find' | 'group.broker', Entry[]])[] =
  [
    ['group.watch', [entry('overview', 'viewer', '/'), entry('clients'), entry('shared')]],
    ['group.messages', [entry('topics'), entry('live', 'operator'), entry('publish', 'operator')]],
    ['group.find', [entry('why'), entry('trace', 'operator'), entry('drops')]],
    [
      'group.broker',
      [
        entry('bridges'),
        entry('configuration', 'operator'),
        entry('bans'),
        entry('tokens', 'admin'),
        entry('audit', 'operator'),
      ],
    ],
  ]

const isMenuOpen = signal(false)
/** Whether an anonymous reader has asked for the login. */
export const wantsLogin = signal(false)

function Navigation() {
  const { path } = here.value
  const current = path === '/client' ? '/clients' : path
  return (
    <nav aria-label={t('navigation')}>
      {groups.map(([title, entries]) => (
        <div key={title} class="nav-group">
          <h2>{t(title)}</h2>
          <ul>
            {entries
              .filter(({ role }) => may(role))
              .map((each) => (
                <li key={each.view}>
                  <a href={each.path} aria-current={current === each.path ? 'page' : undefined}>
                    <Icon name={each.view satisfies IconName} />
                    {t(`page.${each.view}`)}
                  </a>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </nav>
  )
}

export function LanguageSwitch() {
  const other = language.value === 'en' ? 'es' : 'en'
  return (
    <button type="button" class="icon-button wide" lang={other} onClick={() => setLanguage(other)}>
      <Icon name="globe" />
      {other === 'es' ? 'Español' : 'English'}
    </button>
  )
}

const nextTheme: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' }
const themeIcons: Readonly<Record<Theme, IconName>> = { auto: 'auto', light: 'sun', dark: 'moon' }

export function ThemeSwitch() {
  const text = t('theme', { theme: t(`theme.${theme.value}`) })
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={text}
      title={text}
      onClick={() => {
        theme.value = nextTheme[theme.value]
      }}
    >
      <Icon name={themeIcons[theme.value]} />
    </button>
  )
}

function Account() {
  const who = session.value
  if (!who) return null
  const isAnonymous = who.via === 'anonymous'
  return (
    <div class="account">
      <div class="account-who">
        <Icon name="user" />
        <span>
          <strong class="break">{isAnonymous ? t('anonymous') : who.user}</strong>
          <span class="muted small">{t(`role.${who.role}`)}</span>
        </span>
      </div>
      {isAnonymous ? (
        <button type="button" class="button small" onClick={() => (wantsLogin.value = true)}>
          {t('login.action')}
        </button>
      ) : who.via === 'session' ? (
        <button type="button" class="button small" onClick={() => void logOut()}>
          {t('logout')}
        </button>
      ) : null}
    </div>
  )
}

export function Shell({ children }: { children: ComponentChildren }) {
  const address = here.value
  const menu = useRef<HTMLDialogElement>(null)
  const main = useRef<HTMLElement>(null)
  const before = useRef(address.path)
  useEffect(() => {
    isMenuOpen.value = false
    if (before.current === address.path) return
    before.current = address.path
    // A reader of the screen hears where the link has led.
    main.current?.querySelector('h1')?.focus({ preventScroll: true })
  }, [address.path])
  const isOpen = isMenuOpen.value
  useEffect(() => {
    if (isOpen) menu.current?.showModal()
    else menu.current?.close()
  }, [isOpen])
  const side = (
    <>
      <Navigation />
      <div class="side-foot">
        <Account />
        <div class="switches">
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
      </div>
    </>
  )
  return (
    <div class="shell">
      <a class="skip" href="#main">
        {t('skip')}
      </a>
      <header class="bar">
        <button
          type="button"
          class="icon-button menu-button"
          aria-label={t('menu')}
          aria-expanded={isOpen}
          onClick={() => (isMenuOpen.value = true)}
        >
          <Icon name="menu" />
        </button>
        <a class="brand" href="/">
          <Logo />
          <span>Recado</span>
        </a>
      </header>
      <aside class="side" aria-label={t('menu')}>
        {side}
      </aside>
      <dialog ref={menu} class="menu" aria-label={t('menu')} onClose={() => (isMenuOpen.value = false)}>
        <button
          type="button"
          class="icon-button menu-close"
          aria-label={t('close')}
          onClick={() => (isMenuOpen.value = false)}
        >
          <Icon name="close" />
        </button>
        {isOpen ? side : null}
      </dialog>
      <main id="main" ref={main} tabIndex={-1}>
        {isReachable.value ? null : (
          <div class="notice bad" role="alert">
            <Icon name="warning" />
            <span>{t('unreachable')}</span>
          </div>
        )}
        {children}
      </main>
    </div>
  )
}
