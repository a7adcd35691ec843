/**
 * Opens what the configuration says about who may connect and do what: password and ACL files, keys for tokens,
 * webhooks.
 *
 * `serve.ts` calls it before the broker is made. The invariants: what several listeners name is opened once; what
 * cannot be read or understood stops the start; on SIGHUP it stays as it was.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import {
  type AclFile,
  type AuthenticationSource,
  type AuthorizeHooks,
  aclFile,
  allMethods,
  type Broker,
  byGrants,
  type ConnectRequest,
  type DynamicSecurity,
  dynamicSecurity,
  type EnhancedAuthenticationHook,
  firstOf,
  type GoAuthService,
  goAuth,
  goAuthRights,
  type Jwt,
  jwt,
  type PasswordFile,
  passwordFile,
  scram,
  type Webhook,
  webhook,
} from '@recado/broker'
import { MqttError, ReasonCode } from '@recado/protocol'
import type { AccessConfig } from './config/access.ts'
import type { DynamicSecurityConfig, GoAuthServiceConfig, JwtConfig, WebhookConfig } from './config/access-parts.ts'
import type { Access } from './config/admission.ts'
import type { BanConfig, Config } from './config/config.ts'
import { servesApi } from './config/listeners.ts'
import type { MosquittoVersion } from './config/log.ts'
import { unreadable } from './config/parse.ts'
import { BanFile, ConnectCounts, Gate } from './gate.ts'
import { ManualBans } from './manual-bans.ts'
import type { Reloadable } from './reload.ts'

export interface OpenedAccess extends Access {
  /** Sources that SIGHUP reads again; call the broker's `recheck` afterwards. */
  readonly reloadables: readonly Reloadable[]
  /** Warnings about the files, one line each. */
  readonly warnings: readonly string[]
  /** Opened sources, by their settings. */
  readonly parts: ReadonlySet<string>
}

/** Callbacks for events of the opened sources. */
export interface AccessObserver {
  onUnavailable: OnUnavailable
  /** A line of dynamic security, or about a ban. */
  onLog(level: 'information' | 'warning' | 'error', text: string): void
}

/** Called when logins cannot be decided, with the number of such events since the last call. */
export type OnUnavailable = (what: string, error: Error, count: number) => void

/**
 * Opens what configurations say, one after the other: what the next one says as well is the same thing, with all that
 * it knows; so a login by it stays valid.
 */
export class AccessOpener {
  readonly #observer: AccessObserver
  readonly #mayMake: boolean
  readonly #untold: Set<() => void> = new Set()
  /** Bans of all configurations: one outlives a SIGHUP. */
  readonly #counts: ConnectCounts = new ConnectCounts()
  readonly #attached: Map<OpenedPart, { close(): void }> = new Map()
  #cache: Map<string, OpenedPart> = new Map()

  /** Bans that were begun by hand. */
  readonly manualBans: ManualBans = new ManualBans()

  /** `mayMake`: a file that is made when it is not there is made, and not only asked about. */
  constructor(observer: AccessObserver, mayMake = true) {
    this.#observer = observer
    this.#mayMake = mayMake
  }

  /**
   * @throws ConfigError for a file that cannot be read; MqttError ERR_MQTT_ACL_FILE, ERR_MQTT_JWT_KEY, ERR_MQTT_WEBHOOK
   */
  async open({ listeners, bans, asMosquitto }: Config): Promise<OpenedAccess> {
    const logins = new Map<string, AuthenticationSource>()
    const rights = new Map<string, AuthorizeHooks>()
    const acls = new Map<string, AclFile>()
    const exchanges = new Map<string, EnhancedAuthenticationHook>()
    const opener = new Opener(this.#observer, this.#mayMake, this.#untold, this.#cache)
    for (const { name, access } of listeners) {
      const opened = await opener.open(access, asMosquitto)
      const source = loginsFrom(opened)
      if (source !== null) logins.set(name, source)
      const hooks = rightsFrom(opened)
      if (hooks !== null) rights.set(name, hooks)
      if (opened.acl !== null) acls.set(name, opened.acl)
      const methods: EnhancedAuthenticationHook[] = []
      if (opened.passwords !== null) methods.push(scram(opened.passwords))
      if (opened.tokens !== null) methods.push(opened.tokens)
      if (methods.length > 0) exchanges.set(name, allMethods(...methods))
    }
    const hasApi = listeners.some(servesApi)
    const gate = await this.#gateFor(bans, opener, hasApi)
    return { logins, rights, acls, exchanges, gate, ...opener.opened() }
  }

  /** Reports events that were summed up and not reported yet, at the end. */
  tellRest(): void {
    for (const tell of this.#untold) tell()
  }

  /** Returns null when nobody is to be banned. */
  async #gateFor(bans: BanConfig, opener: Opener, hasApi: boolean): Promise<Gate | null> {
    const { file, seconds, ...limits } = bans
    if (!hasApi && file === null && Object.values(limits).every((most) => most === 0)) return null
    return new Gate({
      limits,
      banMs: seconds * 1_000,
      file: file === null ? null : await opener.banFile(file),
      counts: this.#counts,
      manual: this.manualBans,
      onBan: (text) => this.#observer.onLog('warning', text),
    })
  }

  /**
   * Commands to what has been opened are taken from the clients of this broker; what only an earlier configuration had
   * takes none any more.
   */
  attach({ parts }: OpenedAccess, broker: Broker): void {
    for (const [name, part] of this.#cache) {
      if (parts.has(name)) continue
      this.#attached.get(part)?.close()
      this.#attached.delete(part)
    }
    for (const name of parts) {
      const part = this.#cache.get(name)!
      if (part.attach !== undefined && !this.#attached.has(part)) this.#attached.set(part, part.attach(broker))
    }
  }

  /** Closes sources that only an earlier configuration had. */
  forgetUnused({ parts }: OpenedAccess): void {
    for (const [name, part] of this.#cache) {
      if (parts.has(name)) continue
      this.#cache.delete(name)
      part.close?.()
    }
  }
}

/** Opened file, key or service. */
interface OpenedPart {
  readonly value: unknown
  readonly reloadable: Reloadable | null
  readonly warnings: (() => readonly string[]) | null
  readonly close?: () => void
  readonly attach?: (broker: Broker) => { close(): void }
}

interface Opened {
  readonly passwords: PasswordFile | null
  readonly acl: AclFile | null
  readonly tokens: Jwt | null
  readonly hook: Webhook | null
  readonly security: DynamicSecurity | null
  readonly service: GoAuthService | null
  readonly config: AccessConfig
}

/**
 * Combines sources of logins. A token is recognized by its form; for other passwords the password file knows which
 * users are its own.
 */
function loginsFrom({ passwords, tokens, hook, security, service, config }: Opened): AuthenticationSource | null {
  const sources: AuthenticationSource[] = []
  if (tokens !== null) sources.push(tokens)
  const isLast = passwords === null && service === null && config.webhook?.loginUrl == null
  if (security !== null) sources.push(isLast ? security : usersOf(security))
  const asksHook = hook !== null && config.webhook?.loginUrl !== null
  if (passwords !== null && service !== null) {
    sources.push(eitherOf(passwords, service))
  } else if (service !== null) {
    sources.push(service)
  } else if (passwords !== null && asksHook) {
    sources.push(usersOf(passwords))
  } else if (passwords !== null) {
    sources.push(passwords)
  }
  if (asksHook) sources.push(hook)
  // Also for one source: after a reload there may be others, and an old login must be recognized as this one's.
  return sources.length === 0 ? null : firstOf(...sources)
}

/**
 * Joins a password file and a service as mosquitto-go-auth does: the service may let in whom the file refuses. Returns
 * the same object each time for the same service.
 */
function eitherOf(passwords: PasswordFile, service: GoAuthService): AuthenticationSource {
  let either = eitherByService.get(service)
  if (either === undefined) {
    either = {
      async authenticate(request: ConnectRequest) {
        const decision = await passwords.authenticate(request)
        const isRefused = decision?.reasonCode === ReasonCode.NotAuthorized
        return decision === null || isRefused ? service.authenticate(request) : decision
      },
      isStillValid: (client, credential) => passwords.isStillValid(client, credential),
    }
    eitherByService.set(service, either)
  }
  return either
}

const eitherByService = new WeakMap<GoAuthService, AuthenticationSource>()

type Users = PasswordFile | DynamicSecurity
const usersByFile = new WeakMap<Users, AuthenticationSource>()

/**
 * A password file, or dynamic security, beside another source: it decides about its own users only. For each file the
 * same object.
 */
function usersOf(passwords: Users): AuthenticationSource {
  let users = usersByFile.get(passwords)
  if (users === undefined) {
    users = {
      authenticate: (request: ConnectRequest) =>
        passwords.has(request.connect.username ?? '') ? passwords.authenticate(request) : null,
      isStillValid: (client, credential) => passwords.isStillValid(client, credential),
    }
    usersByFile.set(passwords, users)
  }
  return users
}

/** Combines rights; those that came with the login take precedence. */
function rightsFrom({ acl, tokens, hook, security, service, config }: Opened): AuthorizeHooks | null {
  const { goAuth: ofPlugin } = config
  const ownHook = hook !== null && config.webhook?.rightsUrl !== null ? hook : null
  const files =
    ofPlugin === null || ofPlugin.isFileAlone
      ? (acl ?? ownHook)
      : goAuthRights({ acl, service, denySpecialCharacters: ofPlugin.denySpecialCharacters })
  // Where its rules say nothing the others are asked, as for Mosquitto.
  const others = security?.rights(files) ?? files
  return tokens !== null || config.webhook?.loginUrl != null ? byGrants(others ?? undefined) : others
}

/** Refuses a file that Mosquitto 2.1 does not start with. @throws MqttError ERR_MQTT_PASSWORD_FILE */
function mustBeWhole({ path, damaged }: PasswordFile): void {
  const [first] = damaged
  if (first === undefined) return
  const what = {
    name: `Invalid line in password file '${path}'`,
    hash: `Unable to decode line in password file '${path}'`,
    repeated: `Duplicate user '${first.username}' in password file '${path}'`,
  }[first.what]
  const advice =
    'mend or remove this line: Mosquitto 2.1 does not start with it, and Recado does without --as-mosquitto'
  throw new MqttError('ERR_MQTT_PASSWORD_FILE', `password-file: Error: ${what}. ${path}:${first.line}: ${advice}`)
}

class Opener {
  readonly #observer: AccessObserver
  readonly #mayMake: boolean
  /** Sources with unreported events, as functions that report them. */
  readonly #untold: Set<() => void>
  readonly #cache: Map<string, OpenedPart>
  readonly #used: Set<string> = new Set()

  constructor(observer: AccessObserver, mayMake: boolean, untold: Set<() => void>, cache: Map<string, OpenedPart>) {
    this.#observer = observer
    this.#mayMake = mayMake
    this.#untold = untold
    this.#cache = cache
  }

  opened(): Pick<OpenedAccess, 'reloadables' | 'warnings' | 'parts'> {
    const parts = [...this.#used].map((name) => this.#cache.get(name)!)
    return {
      reloadables: parts.flatMap(({ reloadable }) => (reloadable === null ? [] : [reloadable])),
      warnings: parts.flatMap(({ warnings }) => warnings?.() ?? []),
      parts: this.#used,
    }
  }

  async open(config: AccessConfig, asMosquitto: MosquittoVersion | null): Promise<Opened> {
    const isOld = asMosquitto === '2.0'
    const { passwordFile: passwordPath, aclFile: aclPath, jwt: tokens, webhook: hook } = config
    return {
      config,
      passwords:
        passwordPath &&
        (await readable(config, 'password_file', passwordPath, () =>
          this.#file('password file', passwordPath, async (path) => {
            const file = await passwordFile({ path })
            if (asMosquitto === '2.1') mustBeWhole(file)
            return file
          }),
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
      service: config.goAuth?.service ? await this.#goAuthService(config.goAuth.service) : null,
      security: config.dynamicSecurity && (await this.#security(config.dynamicSecurity, isOld)),
    } as Opened
  }

  banFile(path: string): Promise<BanFile> {
    return this.#file('ban file', path, BanFile.open)
  }

  #goAuthService(config: GoAuthServiceConfig): Promise<GoAuthService> {
    return this.#once(['go-auth', config], async () => {
      const { userUrl, superuserUrl, aclUrl, params, response, timeoutMs, cacheSeconds } = config
      const service = goAuth({
        ...(userUrl === null ? {} : { userUrl }),
        ...(superuserUrl === null ? {} : { superuserUrl }),
        ...(aclUrl === null ? {} : { aclUrl }),
        ...{ params, response, timeoutMs, cacheMs: cacheSeconds * 1_000 },
        onError: this.#unavailable('the service of go-auth gives no answer'),
      })
      const reloadable = { what: 'service of go-auth (its answers are forgotten)', reload: () => service.forget() }
      return { value: service, warnings: null, reloadable }
    })
  }

  #security({ path, passwordInitFile }: DynamicSecurityConfig, isOld: boolean): Promise<DynamicSecurity | null> {
    return this.#once<DynamicSecurity | null>(['dynamic security', path], async () => {
      if (!this.#mayMake && !existsSync(path)) {
        const text = `${path} is not there: a start makes it`
        return { value: null, warnings: () => [text], reloadable: null }
      }
      const initPassword = process.env['MOSQUITTO_DYNSEC_PASSWORD']
      const security = await dynamicSecurity({
        path,
        ...(passwordInitFile === null ? {} : { passwordInitFile }),
        ...(initPassword === undefined ? {} : { initPassword }),
        showsConnections: !isOld,
        onLog: (level, text) => this.#observer.onLog(level, text),
      })
      return {
        value: security,
        warnings: () => security.warnings,
        reloadable: {
          what: `dynamic security ${path}`,
          reload: async () => {
            await security.reload()
            return security.warnings
          },
        },
        close: () => void security.close(),
        attach: (broker) => security.attach(broker),
      }
    })
  }

  /** Opens a source once: the same settings are the same source. */
  async #once<T>(key: unknown, open: () => Promise<OpenedPart & { readonly value: T }>): Promise<T> {
    const name = JSON.stringify(key)
    if (!this.#cache.has(name)) this.#cache.set(name, await open())
    this.#used.add(name)
    return this.#cache.get(name)!.value as T
  }

  #file<T extends { readonly warnings: readonly string[]; reload(): Promise<void>; close?(): unknown }>(
    what: string,
    path: string,
    open: (path: string) => Promise<T>,
  ): Promise<T> {
    return this.#once([what, path], async () => {
      const file = await open(path)
      return {
        value: file,
        warnings: () => file.warnings,
        reloadable: {
          what: `${what} ${path}`,
          reload: async () => {
            await file.reload()
            return file.warnings
          },
        },
        close: () => void file.close?.(),
      }
    })
  }

  async #tokens(config: JwtConfig): Promise<OpenedPart & { readonly value: Jwt }> {
    const { keyFile, secretFile, jwksUrl, algorithms, issuer, audience, clientIdClaim } = config
    const { usernameClaim, aclClaim, aclRequired, expiryRequired, tokenIn, secret } = config
    const tokens = await jwt({
      ...(keyFile === null ? {} : { keyFile }),
      ...(secretFile === null ? {} : { secretFile }),
      ...(jwksUrl === null ? {} : { jwksUrl }),
      ...(algorithms === null ? {} : { algorithms }),
      ...(issuer === null ? {} : { issuer }),
      ...(audience === null ? {} : { audience }),
      ...(clientIdClaim === null ? {} : { clientIdClaim }),
      ...(secret === null ? {} : { secret }),
      ...{ usernameClaim, aclClaim, aclRequired, expiryRequired, tokenIn },
      onError: this.#unavailable('tokens cannot be checked'),
    })
    const path = keyFile ?? secretFile
    const reloadable = path === null ? null : { what: `key for tokens ${path}`, reload: () => tokens.reload() }
    return { value: tokens, warnings: null, reloadable }
  }

  async #hook({
    loginUrl,
    rightsUrl,
    timeoutMs,
    cacheSeconds,
    concurrency,
    headerFile,
  }: WebhookConfig): Promise<OpenedPart & { readonly value: Webhook }> {
    // The same object: headers that are read again apply from the next request on.
    const headers: Record<string, string> = headerFile === null ? {} : await headersFrom(headerFile)
    const hook = webhook({
      ...(loginUrl === null ? {} : { loginUrl }),
      ...(rightsUrl === null ? {} : { rightsUrl }),
      ...{ timeoutMs, concurrency, headers },
      cacheMs: cacheSeconds * 1_000,
      onError: this.#unavailable('the webhook gives no answer'),
    })
    const reloadable: Reloadable = {
      what: headerFile === null ? 'webhook (its answers are forgotten)' : `webhook headers ${headerFile}`,
      reload: async () => {
        const next = headerFile === null ? {} : await headersFrom(headerFile)
        for (const name of Object.keys(headers)) delete headers[name]
        Object.assign(headers, next)
        hook.forget()
      },
    }
    return { value: hook, warnings: null, reloadable }
  }

  /** Reports a service that is down, which concerns every login: every ten seconds, with the number of events. */
  #unavailable(what: string): (error: Error) => void {
    let toldAtMs = Number.NEGATIVE_INFINITY
    let count = 0
    let last: Error
    let timer: NodeJS.Timeout | null = null
    const tell = (): void => {
      if (timer !== null) clearTimeout(timer)
      timer = null
      this.#untold.delete(tell)
      this.#observer.onUnavailable(what, last, count)
      toldAtMs = Date.now()
      count = 0
    }
    return (error) => {
      count++
      last = error
      const waitMs = toldAtMs + TELL_MS - Date.now()
      if (waitMs <= 0) tell()
      else timer ??= setTimeout(tell, waitMs).unref()
      if (count > 0) this.#untold.add(tell)
    }
  }
}

const TELL_MS = 10_000

/**
 * Reads a file of an option. A file that cannot be read is reported with the line of the option; an error in its
 * contents is reported by the parser of that file.
 */
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

/** Reads the headers. @throws MqttError ERR_MQTT_WEBHOOK */
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
    // The line holds a secret: give its number only.
    if (!/^[\w-]+$/.test(name) || /[^\x20-\x7e]/.test(value))
      throw new MqttError('ERR_MQTT_WEBHOOK', `${path}:${index + 1}: the line is not "name: value"`)
    headers[name] = value
  }
  return headers
}
