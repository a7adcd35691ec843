/**
 * Entry of the dashboard: finds out who looks at it, and shows the view that the address names.
 *
 * Views but the first ones are loaded when they are opened.
 */

import { useSignal } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { session, whoAmI } from './lib/api.ts'
import { maybe, t } from './lib/i18n.ts'
import { here, onLink } from './lib/router.ts'
import { ClientsPage } from './pages/clients.tsx'
import { LoginPage } from './pages/login.tsx'
import { OverviewPage } from './pages/overview.tsx'
import { Dialogs, Toasts } from './ui/dialog.tsx'
import { Empty, Loading } from './ui/parts.tsx'
import { Shell, wantsLogin } from './ui/shell.tsx'

type Page = FunctionComponent
type Load = () => Promise<Page>

/** Views by path. */
const pages: Readonly<Record<string, Page | { readonly load: Load }>> = {
  '/': OverviewPage,
  '/clients': ClientsPage,
  '/client': { load: () => import('./pages/client.tsx').then(({ ClientPage }) => ClientPage) },
  '/topics': { load: () => import('./pages/topics.tsx').then(({ TopicsPage }) => TopicsPage) },
  '/live': { load: () => import('./pages/live.tsx').then(({ LivePage }) => LivePage) },
  '/publish': { load: () => import('./pages/publish.tsx').then(({ PublishPage }) => PublishPage) },
  '/why': { load: () => import('./pages/why.tsx').then(({ WhyPage }) => WhyPage) },
  '/trace': { load: () => import('./pages/trace.tsx').then(({ TracePage }) => TracePage) },
  '/drops': { load: () => import('./pages/drops.tsx').then(({ DropsPage }) => DropsPage) },
  '/shared': { load: () => import('./pages/shared.tsx').then(({ SharedPage }) => SharedPage) },
  '/bridges': { load: () => import('./pages/bridges.tsx').then(({ BridgesPage }) => BridgesPage) },
  '/configuration': {
    load: () => import('./pages/configuration.tsx').then(({ ConfigurationPage }) => ConfigurationPage),
  },
  '/bans': { load: () => import('./pages/bans.tsx').then(({ BansPage }) => BansPage) },
  '/tokens': { load: () => import('./pages/tokens.tsx').then(({ TokensPage }) => TokensPage) },
  '/audit': { load: () => import('./pages/audit.tsx').then(({ AuditPage }) => AuditPage) },
}

/** A view that is loaded when it is first opened. */
function Lazy({ load }: { load: Load }) {
  const page = useSignal<{ readonly Page: Page } | null>(null)
  const fault = useSignal(false)
  useEffect(() => {
    load().then(
      (Page) => {
        page.value = { Page }
      },
      () => {
        fault.value = true
      },
    )
  }, [load])
  if (fault.value) return <Empty>{t('loadFailed')}</Empty>
  if (page.value === null) return <Loading />
  const { Page } = page.value
  return <Page />
}

function App() {
  const who = session.value
  const { path } = here.value
  const view = path === '/' ? 'overview' : path.slice(1)
  const title = maybe(`page.${view}`)
  useEffect(() => {
    document.title = title === undefined ? 'Recado' : `${title} · Recado`
  }, [title])
  if (who === undefined) return <Loading />
  if (who === null) return <LoginPage />
  if (wantsLogin.value) return <LoginPage onCancel={() => (wantsLogin.value = false)} />
  const page = pages[path] ?? OverviewPage
  return <Shell>{typeof page === 'function' ? <Show page={page} /> : <Lazy key={path} load={page.load} />}</Shell>
}

const Show = ({ page: Page }: { page: Page }) => <Page />

addEventListener('click', onLink)
void whoAmI()
render(
  <>
    <App />
    <Dialogs />
    <Toasts />
  </>,
  document.getElementById('app')!,
)
