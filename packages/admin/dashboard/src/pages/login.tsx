/**
 * The login: user name and password, or a token. The answer sets a cookie that no script can read.
 */
import { useSignal } from '@preact/signals'
import { ApiError, logIn } from '../lib/api.ts'
import { t } from '../lib/i18n.ts'
import { Icon, Logo } from '../ui/icon.tsx'
import { Field } from '../ui/parts.tsx'
import { LanguageSwitch, ThemeSwitch } from '../ui/shell.tsx'

export function LoginPage({ onCancel }: { onCancel?: () => void }) {
  const username = useSignal('')
  const password = useSignal('')
  const token = useSignal('')
  const withToken = useSignal(false)
  const fault = useSignal('')
  const isBusy = useSignal(false)

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    isBusy.value = true
    fault.value = ''
    try {
      await logIn(
        withToken.value ? { token: token.value.trim() } : { username: username.value, password: password.value },
      )
      onCancel?.()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      fault.value = error.message
      password.value = ''
    } finally {
      isBusy.value = false
    }
  }
  return (
    <main class="login">
      <form class="card login-card" onSubmit={(event) => void submit(event)}>
        <div class="brand">
          <Logo />
          <h1>Recado</h1>
        </div>
        <p class="muted">{t('login.text')}</p>
        <fieldset class="segments" aria-label={t('login.with')}>
          <button type="button" aria-pressed={!withToken.value} onClick={() => (withToken.value = false)}>
            {t('login.password')}
          </button>
          <button type="button" aria-pressed={withToken.value} onClick={() => (withToken.value = true)}>
            {t('login.token')}
          </button>
        </fieldset>
        {withToken.value ? (
          <Field
            label={t('login.token')}
            hint={t('login.tokenHint')}
            type="password"
            required
            value={token.value}
            onValue={(value) => (token.value = value)}
          />
        ) : (
          <>
            <Field
              label={t('username')}
              autocomplete="username"
              required
              value={username.value}
              onValue={(value) => (username.value = value)}
            />
            <Field
              label={t('login.password')}
              type="password"
              autocomplete="current-password"
              required
              value={password.value}
              onValue={(value) => (password.value = value)}
            />
          </>
        )}
        {fault.value === '' ? null : (
          <div class="notice bad" role="alert">
            <Icon name="bad" />
            <span lang="en">{fault.value}</span>
          </div>
        )}
        <div class="actions">
          {onCancel === undefined ? null : (
            <button type="button" class="button" onClick={onCancel}>
              {t('cancel')}
            </button>
          )}
          <button type="submit" class="button primary" disabled={isBusy.value}>
            {t('login.action')}
          </button>
        </div>
      </form>
      <div class="login-foot">
        <LanguageSwitch />
        <ThemeSwitch />
      </div>
    </main>
  )
}
