/**
 * A running broker and its configuration, which SIGHUP reads again.
 *
 * `serve.ts` makes one when everything is open. Invariants: a configuration is applied whole or not at all, with the
 * reason in the log; clients that the new one would not let in are disconnected; settings that cannot be changed at run
 * time are named and stay as they were; a file whose contents cannot be used (a password file, a certificate) keeps its
 * state, and does not keep the others from being read.
 */
import type { Broker, ListenerHandle, ListenOptions, Observer } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import type { AccessOpener, OpenedAccess } from './access.ts'
import { CertificateWatch } from './certificate-watch.ts'
import { brokerOptionsFrom, listenerSettingsFrom, socketsFor } from './config/broker-options.ts'
import { type CommandLine, type Config, loadConfig } from './config/config.ts'
import type { ListenerConfig } from './config/listeners.ts'
import { located, readTls, type TlsConfig } from './config/tls.ts'
import { reloadablesOf } from './listener-files.ts'
import type { Logger } from './log.ts'
import { reloadAll } from './reload.ts'

export interface OpenListener {
  readonly listener: ListenerConfig
  readonly handle: ListenerHandle
}

export interface RunningParts {
  readonly commandLine: CommandLine
  readonly config: Config
  readonly broker: Broker
  readonly listeners: readonly OpenListener[]
  readonly opener: AccessOpener
  readonly access: OpenedAccess
  readonly log: Logger
  /** Makes an observer for the log; `connectionMessages`: also for connects and disconnects. */
  readonly observe: (connectionMessages: boolean) => Observer
  /** Opens a listener; null when this machine lacks what an optional one needs. @throws MqttError */
  readonly listen: (listener: ListenerConfig, config: Config) => Promise<ListenerHandle | null>
  /** Called with a configuration that applies from now on. */
  readonly onTaken: (config: Config, access: OpenedAccess) => void
}

export class RunningBroker {
  readonly #parts: RunningParts
  #config: Config
  #access: OpenedAccess
  #listeners: readonly OpenListener[]
  readonly #watch: CertificateWatch
  #reload: Promise<void> | null = null
  #isWanted = false

  constructor(parts: RunningParts) {
    this.#parts = parts
    this.#config = parts.config
    this.#access = parts.access
    this.#listeners = parts.listeners
    this.#watch = new CertificateWatch(parts.log)
    this.#watchFiles()
  }

  /**
   * Reloads. Resolves when all requests so far have been done. One at a time; after a request meanwhile it is done once
   * more.
   */
  reload(): Promise<void> {
    this.#isWanted = true
    this.#reload ??= this.#reloadWhileWanted().finally(() => {
      this.#reload = null
    })
    return this.#reload
  }

  /** Reads one file of logins or rights again, as after a change of it. Other files stay as they were read. */
  async reread(path: string): Promise<void> {
    const { broker, log } = this.#parts
    const parts = this.#access.reloadables.filter(({ what }) => what.endsWith(` ${path}`))
    await reloadAll(parts, log)
    broker.recheck()
  }

  async #reloadWhileWanted(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false
      await this.#reloadOnce()
    }
  }

  /** Configuration in force. */
  get config(): Config {
    return this.#config
  }

  /** Looks at files no more. */
  close(): void {
    this.#watch.stop()
  }

  #watchFiles(): void {
    this.#watch.start(this.#config.certificateCheckSeconds, () => this.#listeners)
  }

  async #reloadOnce(): Promise<void> {
    const { log, broker } = this.#parts
    let say: () => void
    try {
      say = await this.#takeConfiguration()
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      const reason = error.message
      const text = `SIGHUP: the configuration stays as it was, whole: ${reason}`
      log.log('error', 'config.reload-refused', text, { reason })
      return
    }
    const files = this.#access.reloadables.map(({ what, reload }) => ({
      what,
      reload: async () => {
        const warnings = await reload()
        broker.recheck()
        return warnings
      },
    }))
    await reloadAll(files, log)
    for (const { listener, handle } of this.#listeners) await reloadAll(reloadablesOf(listener, handle), log)
    this.#watchFiles()
    say()
  }

  /** Applies a configuration. Returns the function that logs it. @throws MqttError, and then nothing has changed */
  async #takeConfiguration(): Promise<() => void> {
    const { commandLine, log, opener, broker, listen, observe } = this.#parts
    const before = this.#config
    const next = loadConfig(commandLine)
    const needRestart = restartsFor(before, next)
    const access = await opener.open(next)
    const plan = planFor(this.#listeners, next, needRestart)
    const opened: OpenListener[] = []
    try {
      for (const listener of plan.added) {
        const handle = await listen(listener, next)
        if (handle !== null) opened.push({ listener, handle })
      }
      const { limits, authenticate, enhancedAuthentication, authorize, ...options } = brokerOptionsFrom(next, access)
      // Changed certificates and TLS options are checked before anything changes; unchanged ones are read again later,
      // each by itself.
      const changedTls = plan.kept.flatMap(({ listener: { name, tls }, handle }) => {
        const old = this.#listeners.find(({ listener }) => listener.name === name)!.listener.tls
        return tls === null || tlsText(tls) === tlsText(old) ? [] : [{ handle, tls, options: readTls(tls).options }]
      })
      // Before the broker gets its observer, which is made for the types that are logged; each `reconfigure` checks all
      // clients again.
      log.configure(next.log)
      broker.reconfigure({
        ...options,
        ...(limits === undefined ? {} : { limits }),
        authenticate: authenticate ?? null,
        enhancedAuthentication: enhancedAuthentication ?? null,
        authorize: authorize ?? null,
        observer: observe(next.log.connectionMessages),
      })
      for (const { listener, handle } of plan.kept) handle.update(listenerSettingsFrom(listener))
      for (const { handle, tls, options } of changedTls) located(tls.settings, () => handle.updateTls(options))
    } catch (error) {
      log.configure(before.log)
      for (const { handle } of opened) await handle.close()
      throw error
    }
    this.#config = next
    this.#access = access
    opener.attach(access, broker)
    this.#listeners = [...plan.kept, ...opened]
    opener.forgetUnused(access)
    this.#parts.onTaken(next, access)
    for (const { handle } of plan.removed) await handle.close()
    return () => this.#say(next, plan, opened, needRestart)
  }

  #say(next: Config, plan: ListenerPlan, opened: readonly OpenListener[], needRestart: readonly string[]): void {
    const { log } = this.#parts
    for (const text of next.notes) log.log('information', 'config.taken', text)
    for (const fault of next.bridgeFaults)
      log.log('error', 'config.bridge', `Error: ${fault.message}. This section is not taken.`)
    for (const warning of next.warnings) log.log('warning', 'config.warning', `Warning: ${warning}`)
    const source = next.file ?? 'the default configuration'
    log.log('notice', 'config.reloaded', `SIGHUP: ${source} read again.`, { what: source })
    for (const { listener, handle } of opened) {
      const text = `SIGHUP: Listening on ${handle.address}.`
      log.log('notice', 'listener.started', text, { listener: listener.name, address: handle.address })
    }
    for (const { listener } of plan.removed) {
      const text = `SIGHUP: ${listener.name} is not listened on any more, and its clients are disconnected.`
      log.log('notice', 'listener.stopped', text, { listener: listener.name })
    }
    for (const what of needRestart) {
      log.log('error', 'config.needs-restart', `SIGHUP: ${what} stays as it was until the broker is started again.`, {
        what,
      })
    }
  }
}

interface ListenerPlan {
  /** Listeners with their settings in the new configuration. */
  readonly kept: readonly OpenListener[]
  readonly added: readonly ListenerConfig[]
  readonly removed: readonly OpenListener[]
}

/** Plans the change of listeners by name, which is their address. Adds to `needRestart`. */
function planFor(open: readonly OpenListener[], next: Config, needRestart: string[]): ListenerPlan {
  const byName = new Map(next.listeners.map((listener) => [listener.name, listener]))
  const kept: OpenListener[] = []
  const removed: OpenListener[] = []
  for (const each of open) {
    const wanted = byName.get(each.listener.name)
    if (wanted === undefined) {
      removed.push(each)
      continue
    }
    const isSame = bindingOf(each.listener, next) === bindingOf(wanted, next)
    if (!isSame) needRestart.push(`how ${wanted.name} is listened on (protocol, TLS or not, proxy, mount point, …)`)
    // Its settings with another protocol are unknown; those about logins are known.
    kept.push({
      handle: each.handle,
      listener: isSame ? wanted : { ...wanted, tls: each.listener.tls, transport: each.listener.transport },
    })
  }
  const names = new Set(open.map(({ listener }) => listener.name))
  return { kept, removed, added: next.listeners.filter(({ name }) => !names.has(name)) }
}

/** Returns the text of everything that belongs to the socket and its layers, to be compared. */
function bindingOf(listener: ListenerConfig, config: Config): string {
  const [options] = socketsFor(listener, config)
  const { connectionsMax: _connections, ...rest } = options as ListenOptions
  const settings = new Set(Object.keys(listenerSettingsFrom(listener)))
  const socket = Object.entries(rest).filter(([name]) => name === 'mountPoint' || !settings.has(name))
  const { http } = listener.transport
  const served = http === null ? null : [http.isApi, http.folder?.value]
  return JSON.stringify([
    socket,
    served,
    listener.tls === null ? 'plain' : listener.tls.psk === null ? 'certificate' : 'psk',
  ])
}

/** Text of TLS options, to be compared. */
const tlsText = (tls: TlsConfig | null): string =>
  JSON.stringify(
    tls === null ? null : [tls.psk?.file?.value, ...[...tls.settings].map(([name, { value }]) => [name, value])],
  )

/** Returns settings of the whole broker that cannot change at run time. */
function restartsFor(before: Config, next: Config): string[] {
  const names: [keyof Config, string][] = [
    ['durability', 'durability (persistence)'],
    ['dataFolder', 'persistence_location'],
    ['user', 'user'],
    ['pidFile', 'pid_file'],
    ['noDelay', 'set_tcp_nodelay'],
  ]
  return names.filter(([name]) => before[name] !== next[name]).map(([, what]) => what)
}
