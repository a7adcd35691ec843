/**
 * Opens what the configuration says about who may connect and do what: password and ACL files, keys for tokens, webhooks.
 *
 * `serve.ts` calls it before the broker is made. The invariants: what several listeners name is opened once; what cannot be read or
 * understood stops the start; on SIGHUP it stays as it was.
 */
import { readFile } from 'node:fs/promises'
import {
  type AclFile,
  type AuthenticationSource,
  type AuthorizeHooks,
  aclFile,
  allMethods,
  byGrants,
  type ConnectRequest,
  type EnhancedAuthenticationHook,
  firstOf,
  type Jwt,
  jwt,
  type PasswordFile,
  passwordFile,
  scram,
  type Webhook,
  webhook,
} from '@recado/broker'
import { MqttError } from '@recado/protocol'
import type { AccessConfig, JwtConfig, WebhookConfig } from './config/access.ts'
import type { Access } from './config/admission.ts'
import type { Config } from './config/config.ts'
import { unreadable } from './config/parse.ts'
import type { Reloadable } from './reload.ts'

export interface OpenedAccess extends Access {
  /** What SIGHUP reads again; `recheck` of the broker is to be called afterwards. */
  readonly reloadables: readonly Reloadable[]
  /** Of the files, one line each. */
  readonly warnings: readonly string[]
}

/** Told of what keeps logins from being decided, and how often it happened since it was told last. */
export type OnUnavailable = (what: string, error: Error, count: number) => void

/** @throws ConfigError for a file that cannot be read; MqttError ERR_MQTT_ACL_FILE, ERR_MQTT_JWT_KEY, ERR_MQTT_WEBHOOK */
export async function openAccess({ listeners }: Config, onUnavailable: OnUnavailable): Promise<OpenedAccess> {
  const logins = new Map<string, AuthenticationSource>()
  const rights = new Map<string, AuthorizeHooks>()
  const exchanges = new Map<string, EnhancedAuthenticationHook>()
  const opener = new Opener(onUnavailable)
  for (const { name, access } of listeners) {
    const opened = await opener.open(access)
    const source = loginsFrom(opened)
    if (source !== null) logins.set(name, source)
    const hooks = rightsFrom(opened)
    if (hooks !== null) rights.set(name, hooks)
    const methods: EnhancedAuthenticationHook[] = []
    if (opened.passwords !== null) methods.push(scram(opened.passwords))
    if (opened.tokens !== null) methods.push(opened.tokens)
    if (methods.length > 0) exchanges.set(name, allMethods(...methods))
  }
  return { logins, rights, exchanges, reloadables: opener.reloadables, warnings: opener.warnings() }
}

interface Opened {
  readonly passwords: PasswordFile | null
  readonly acl: AclFile | null
  readonly tokens: Jwt | null
  readonly hook: Webhook | null
  readonly config: AccessConfig
}

/** A token is known by its form; of the others the password file knows which users are its own. */
function loginsFrom({ passwords, tokens, hook, config }: Opened): AuthenticationSource | null {
  const sources: AuthenticationSource[] = []
  if (tokens !== null) sources.push(tokens)
  const asksHook = hook !== null && config.webhook?.loginUrl !== null
  if (passwords !== null && asksHook) {
    sources.push({
      authenticate: (request: ConnectRequest) =>
        passwords.has(request.connect.username ?? '') ? passwords.authenticate(request) : null,
      isStillValid: (client, credential) => passwords.isStillValid(client, credential),
    })
  } else if (passwords !== null) {
    sources.push(passwords)
  }
  if (asksHook) sources.push(hook)
  return sources.length === 0 ? null : sources.length === 1 ? sources[0]! : firstOf(...sources)
}

/** What came with the login comes first. */
function rightsFrom({ acl, tokens, hook, config }: Opened): AuthorizeHooks | null {
  const others = acl ?? (hook !== null && config.webhook?.rightsUrl !== null ? hook : null)
  return tokens !== null || config.webhook?.loginUrl != null ? byGrants(others ?? undefined) : others
}

class Opener {
  readonly reloadables: Reloadable[] = []
  readonly #onUnavailable: OnUnavailable
  readonly #opened: Map<string, unknown> = new Map()
  readonly #warnings: (() => readonly string[])[] = []

  constructor(onUnavailable: OnUnavailable) {
    this.#onUnavailable = onUnavailable
  }

  warnings(): string[] {
    return this.#warnings.flatMap((warnings) => warnings())
  }

  async open(config: AccessConfig): Promise<Opened> {
    const { passwordFile: passwordPath, aclFile: aclPath, jwt: tokens, webhook: hook } = config
    return {
      config,
      passwords:
        passwordPath &&
        (await readable(config, 'password_file', passwordPath, () =>
          this.#file('password file', passwordPath, (path) => passwordFile({ path })),
        )),
      acl:
        aclPath &&
        (await readable(config, 'acl_file', aclPath, () =>
          this.#file('ACL file', aclPath, (path) => aclFile({ path })),
        )),
      tokens:
        tokens &&
        (await readable(
          config,
          tokens.keyFile === null ? 'jwt_secret_file' : 'jwt_key_file',
          tokens.keyFile ?? tokens.secretFile,
          () => this.#once(tokens, () => this.#tokens(tokens)),
        )),
      hook:
        hook &&
        (await readable(config, 'webhook_header_file', hook.headerFile, () =>
          this.#once(hook, () => this.#hook(hook)),
        )),
    } as Opened
  }

  /** The same settings are the same thing. */
  async #once<T>(key: unknown, open: () => Promise<T>): Promise<T> {
    const name = JSON.stringify(key)
    if (!this.#opened.has(name)) this.#opened.set(name, await open())
    return this.#opened.get(name) as T
  }

  #file<T extends { readonly warnings: readonly string[]; reload(): Promise<void> }>(
    what: string,
    path: string,
    open: (path: string) => Promise<T>,
  ): Promise<T> {
    return this.#once([what, path], async () => {
      const file = await open(path)
      this.#warnings.push(() => file.warnings)
      this.reloadables.push({
        what: `${what} ${path}`,
        reload: async () => {
          await file.reload()
          return file.warnings
        },
      })
      return file
    })
  }

  async #tokens(config: JwtConfig): Promise<Jwt> {
    const { keyFile, secretFile, jwksUrl, algorithms, issuer, audience, clientIdClaim } = config
    const { usernameClaim, aclClaim, aclRequired, expiryRequired } = config
    const tokens = await jwt({
      ...(keyFile === null ? {} : { keyFile }),
      ...(secretFile === null ? {} : { secretFile }),
      ...(jwksUrl === null ? {} : { jwksUrl }),
      ...(algorithms === null ? {} : { algorithms }),
      ...(issuer === null ? {} : { issuer }),
      ...(audience === null ? {} : { audience }),
      ...(clientIdClaim === null ? {} : { clientIdClaim }),
      ...{ usernameClaim, aclClaim, aclRequired, expiryRequired },
      onError: this.#unavailable('tokens cannot be checked'),
    })
    const path = keyFile ?? secretFile
    if (path !== null) this.reloadables.push({ what: `key for tokens ${path}`, reload: () => tokens.reload() })
    return tokens
  }

  async #hook({
    loginUrl,
    rightsUrl,
    timeoutMs,
    cacheSeconds,
    concurrency,
    headerFile,
  }: WebhookConfig): Promise<Webhook> {
    // The same object: what is read again holds from the next request on.
    const headers: Record<string, string> = headerFile === null ? {} : await headersFrom(headerFile)
    const hook = webhook({
      ...(loginUrl === null ? {} : { loginUrl }),
      ...(rightsUrl === null ? {} : { rightsUrl }),
      ...{ timeoutMs, concurrency, headers },
      cacheMs: cacheSeconds * 1_000,
      onError: this.#unavailable('the webhook gives no answer'),
    })
    this.reloadables.push({
      what: headerFile === null ? 'webhook (its answers are forgotten)' : `webhook headers ${headerFile}`,
      reload: async () => {
        const next = headerFile === null ? {} : await headersFrom(headerFile)
        for (const name of Object.keys(headers)) delete headers[name]
        Object.assign(headers, next)
        hook.forget()
      },
    })
    return hook
  }

  /** A service that is down concerns every login: it is told every ten seconds, and how often. */
  #unavailable(what: string): (error: Error) => void {
    let toldAtMs = Number.NEGATIVE_INFINITY
    let count = 0
    return (error) => {
      count++
      const nowMs = Date.now()
      if (nowMs < toldAtMs + TELL_MS) return
      this.#onUnavailable(what, error, count)
      toldAtMs = nowMs
      count = 0
    }
  }
}

const TELL_MS = 10_000

/** That the file of an option cannot be read is told with the option's line; what is wrong in a file, by who has read it. */
async function readable<T>(
  { fail }: AccessConfig,
  option: string,
  path: string | null,
  open: () => Promise<T>,
): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined
    if (path !== null && cause?.syscall !== undefined) fail(option, `${path} ${unreadable(cause)}`)
    throw error
  }
}

/** @throws MqttError ERR_MQTT_WEBHOOK */
async function headersFrom(path: string): Promise<Record<string, string>> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new MqttError('ERR_MQTT_WEBHOOK', `${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  const headers: Record<string, string> = {}
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    const [name, value] = [line.slice(0, Math.max(0, colon)), line.slice(colon + 1).trim()]
    // What the line says is a secret: its number has to do.
    if (!/^[\w-]+$/.test(name) || /[^\x20-\x7e]/.test(value))
      throw new MqttError('ERR_MQTT_WEBHOOK', `${path}:${index + 1}: the line is not "name: value"`)
    headers[name] = value
  }
  return headers
}
