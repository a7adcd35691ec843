/**
 * The broker's run from configuration to exit code: open everything, report it, wait for a signal, close everything.
 *
 * `main.ts` calls it. Invariants: the data folder is ours before the first socket is; it listens on all configured
 * listeners or on none; a start that fails is one line on stderr and exit code 1; a stop by SIGINT or SIGTERM closes
 * the broker first and is exit code 0.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ReloadOutcome } from '@recado/admin'
import {
  type Broker,
  type BrokerEvents,
  type BrokerOptions,
  createBroker,
  type ListenerHandle,
  type ListenOptions,
  lmdb,
  type Observer,
  type Store,
} from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { AccessOpener } from './access.ts'
import { Administration } from './admin/administration.ts'
import { bridgeTopicsOf } from './bridge/bridge-sys.ts'
import { Bridges } from './bridge/bridges.ts'
import { checkStart } from './check.ts'
import { brokerVersion } from './cli/manner.ts'
import { commandName } from './command-name.ts'
import { hasLogins } from './config/admission.ts'
import { brokerOptionsFrom, socketsFor } from './config/broker-options.ts'
import { type CommandLine, type Config, loadConfig } from './config/config.ts'
import { type ListenerConfig, servesApi } from './config/listeners.ts'
import type { MosquittoVersion } from './config/log.ts'
import { mosquittoLines } from './config/mosquitto-errors.ts'
import { ConfigError } from './config/parse.ts'
import { counted } from './counted.ts'
import { behaveAsDaemon } from './daemon.ts'
import { DropSums } from './drop-sums.ts'
import { accountToBecome, takeUmask } from './environment.ts'
import { ExitCode, exitCodeOf, openingAccess } from './exit-codes.ts'
import { IdleMemory } from './idle-memory.ts'
import { inheritedSockets } from './inherited-sockets.ts'
import type { BrokerIo, Io } from './io.ts'
import { type ListenerFiles, readListenerFiles } from './listener-files.ts'
import { LOG_EXPIRY_SECONDS } from './log/topic.ts'
import { type OpenedListener, wordsFor } from './log/words.ts'
import { Logger } from './log.ts'
import { lossesIn, overlookedData, summaryOf, type TakeOverAtStart, takeOverAtStart } from './mosquitto-db/take-over.ts'
import { openNotifier } from './notify.ts'
import { observerFor } from './observe.ts'
import { type Account, drop, isRoot, mustReadProgram, openedAs } from './privileges.ts'
import { folderWarnings, securityWarnings, writeSafely } from './root-files.ts'
import { type OpenListener, RunningBroker } from './running.ts'
import { listenForSignals } from './signals.ts'
import { printSubscriptions } from './subscription-tree.ts'
import { Sys } from './sys/mod.ts'
import { version } from './version.ts'

/** Error of a stop that one line explains. */
class StopError extends Error {}

/** Checks the configuration, and everything that a start needs, and prints the result. Exit code 0 or 1. */
export async function testConfig(commandLine: CommandLine, io: Io): Promise<number> {
  try {
    mustHaveWorkingFolder()
    const config = loadConfig(commandLine)
    const warnings = await checkStart(config)
    for (const warning of [...config.warnings, ...warnings]) io.stderr.write(`Warning: ${warning}\n`)
    for (const note of config.notes) io.stdout.write(`${note}\n`)
    if (config.bridgeFaults.length > 0) {
      for (const fault of config.bridgeFaults) io.stderr.write(faultText(fault, config.asMosquitto))
      return ExitCode.Configuration
    }
    io.stdout.write(`${config.file ?? 'The default configuration'} is fine.\n`)
    return 0
  } catch (error) {
    return failure(io, error, commandLine.asMosquitto ?? null)
  }
}

/** @throws StopError where relative paths lead nowhere */
function mustHaveWorkingFolder(): void {
  try {
    process.cwd()
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'has been removed' : (error as Error).message
    throw new StopError(`the working folder ${why}: change to one that there is (cd /)`)
  }
}

/** Runs the broker until a signal stops it. Resolves with the exit code. */
export async function serve(commandLine: CommandLine, io: BrokerIo): Promise<number> {
  const asMosquitto = commandLine.asMosquitto ?? null
  const loadedConfig = explained(io, asMosquitto, () => {
    mustHaveWorkingFolder()
    if (io.process !== undefined) takeUmask(io.env ?? {}, io.process)
    return loadConfig(commandLine)
  })
  if (typeof loadedConfig === 'number') return loadedConfig
  let config = loadedConfig
  const { stdout, stderr, name = 'recado' } = io
  const log = new Logger(config.log, { stdout, stderr, name })
  const drops = new DropSums(log)
  const exit = (): void => {
    drops.flush()
    io.exit(1)
  }
  const restore = io.process === undefined ? null : behaveAsDaemon(io.process, log, exit, io.name)
  let running: RunningBroker | null = null
  let broker: Broker | null = null
  let opener: AccessOpener | null = null
  let sys: Sys | null = null
  let bridges: Bridges | null = null
  let administration: Administration | null = null
  let isStopping = false
  // A process that others use too is theirs to collect.
  const idleMemory = io.process === undefined ? null : new IdleMemory()
  const notifier = openNotifier(io.env ?? {}, (why) => {
    const text = `Warning: The service manager cannot be told that the broker runs (NOTIFY_SOCKET): ${why}`
    log.log('warning', 'process.notify', text)
  })
  const signals = listenForSignals(io.signals, {
    onHangUp: () => {
      log.reopen()
      log.log('information', 'log.reopened', wordsFor(log.style).reloading())
      if (running === null) return
      notifier.reloading()
      void running.reload().finally(() => notifier.ready('running'))
    },
    onSave: () => {
      saySaving(config, log)
      log.log('notice', 'store.saved', `SIGUSR1: ${savedText(config)}`)
    },
    onPrint: () => {
      if (broker !== null) void printSubscriptions(broker, io.stdout)
    },
    onReopenLog: () => {
      log.reopen()
      log.log('notice', 'log.reopened', 'SIGRTMIN: log file reopened.')
    },
    onSecondStop: exit,
  })
  try {
    const observe = (connectionMessages: boolean): Observer => observerFor(log, connectionMessages, exit, drops)
    const observer = observe(config.log.connectionMessages)
    let loaded: BrokerEvents['store.loaded'] | null = null
    // Logged when the start has succeeded: one that fails is a line on stderr and nothing else.
    observer['store.loaded'] = (event) => {
      loaded = event
    }
    const account = accountToBecome(config.user, io.env ?? {})
    if (account !== null) mustReadProgram(account)
    const files = readListenerFiles(config)
    opener = new AccessOpener({
      onUnavailable: (what, { message }, count) => {
        const text = `Error: ${what}: ${message} (${count} since the last such line)`
        log.log('error', 'access.unavailable', text, { what, count })
      },
      onLog: (level, text) =>
        log.log(
          level,
          'access',
          level === 'error' ? `Error: ${text}` : level === 'warning' ? `Warning: ${text}` : text,
        ),
    })
    const access = await openingAccess(() => opener!.open(config))
    const onQuarantine = (event: BrokerEvents['store.quarantined']): void => sayQuarantined(event, config, log, io)
    const overlooked = overlookedData(config)
    const store = await openStoreFor(config, account, onQuarantine, log)
    if (store.why !== null) config = { ...config, durability: 'memory' }
    broker = await openBroker({ ...brokerOptionsFrom(config, access), observer }, store.store)
    const opened = broker
    opener.attach(access, opened)
    log.publishBy((topic, payload) => publishLine(opened, topic, payload))
    bridges = new Bridges(broker, log, () => sys?.updateOthers())
    const others = (): Iterable<[string, string]> => bridgeTopicsOf(bridges?.figures() ?? [])
    sys = new Sys(broker, dataFileOf(config), log, brokerVersion(config.asMosquitto), others)
    sys.every(config.sysIntervalSeconds)
    administration = new Administration(broker, () => sys?.numbers() ?? {}, log, config, access, {
      reload: async () => reloadHeard(running, log),
      reread: async (path) => running?.reread(path),
      isStopping: () => isStopping,
      bridges: () => bridges?.figures() ?? [],
      bans: opener.manualBans,
      logTypes: () => log.types,
      setLogTypes(types) {
        log.setTypes(types)
        opened.reconfigure({ observer: observe(running?.config.log.connectionMessages ?? true) })
      },
      dataFile: dataFileOf(config),
    })
    const administered = administration
    // Before the first client comes: what it publishes waits for the bridges.
    bridges.take(config.bridges, config.faultyBridges)
    const inherited = inheritedSockets(io.env ?? {}, process.pid)
    const listenOn = (listener: ListenerConfig, next: Config, files: ListenerFiles): Promise<ListenerHandle | null> =>
      listen(opened, listener, inherited.takeFor(socketsFor(listener, next)), files, administered, log)
    await administered.prepare(config.listeners)
    const handles = await listenOnAll(config, (listener) => listenOn(listener, config, files))
    for (const { address } of inherited.rest()) {
      const text = `Warning: The service manager opened ${address}, which belongs to no listener of the configuration: nobody answers there.`
      log.log('warning', 'listener.surplus', text, { address })
    }
    const open = (listener: ListenerConfig, next: Config): Promise<ListenerHandle | null> =>
      listenOn(listener, next, readListenerFiles({ ...next, listeners: [listener] }))
    running = new RunningBroker({
      commandLine,
      config,
      broker,
      listeners: handles,
      opener,
      access,
      log,
      observe,
      listen: open,
      onTaken: (next, access) => {
        sys?.every(next.sysIntervalSeconds)
        administered.take(next, access)
        bridges?.take(next.bridges)
      },
    })
    writePidFile(config)
    notifier.ready('running')
    if (account !== null) drop(account, filesOfTheRun(config))
    sayStarted(config, [...access.warnings, ...files.warnings, ...overlooked], log, loaded, handles, store.takenOver)
    bridges.start()
    idleMemory?.start()
    if (store.why !== null) sayNotKept(store.why, config, log, io)
    if (config.file === null && config.asMosquitto === null) io.stdout.write(banner(config, handles))
    io.detach?.()
    const signal = await signals.stop
    isStopping = true
    notifier.stopping()
    const terminating = wordsFor(log.style).terminating(brokerVersion(config.asMosquitto), signal)
    log.log('information', 'broker.stopping', terminating, { signal })
    saySaving(config, log)
    log.publishBy(null)
    sys.stop()
    bridges.stop()
    await close(broker)
    return 0
  } catch (error) {
    sys?.stop()
    bridges?.stop()
    await broker?.close().catch(() => undefined) // the first failure is the one to report
    return failure(io, error, asMosquitto)
  } finally {
    running?.close()
    await administration?.close()
    removePidFile(config)
    sys?.stop()
    signals.dispose()
    notifier.close()
    idleMemory?.stop()
    restore?.()
    drops.flush()
    opener?.tellRest()
    log.close()
  }
}

/** Reads configuration and files again, as SIGHUP does, and tells what the log says about it. */
async function reloadHeard(running: RunningBroker | null, log: Logger): Promise<ReloadOutcome> {
  if (running === null) return { isDone: false, lines: ['The broker is still starting.'] }
  const lines: string[] = []
  let isDone = true
  const stop = log.overhear((event, message) => {
    if (!/^(?:config|listener)\./.test(event)) return
    if (event === 'config.reload-refused' || event === 'config.reload-failed') isDone = false
    lines.push(message.replace(/^SIGHUP: /, ''))
  })
  try {
    await running.reload()
  } finally {
    stop()
  }
  return { isDone, lines }
}

/** A line of the log as a message; what becomes of it is nothing to be logged. */
function publishLine(broker: Broker, topic: string, payload: string): void {
  const properties = { messageExpiryIntervalSeconds: LOG_EXPIRY_SECONDS }
  broker.publish({ topic, payload, qos: 2, properties, isNews: true }).catch(() => undefined)
}

/** null: nothing is kept. */
function dataFileOf({ durability, dataFolder }: Config): string | null {
  return durability === 'memory' ? null : join(resolve(dataFolder), 'recado.mdb')
}

function openedListener({ port, host, path, transport }: ListenerConfig, { address }: ListenerHandle): OpenedListener {
  return { port, host, path, isWebSocket: transport.webSocket !== null, address }
}

/**
 * Logs the line that Mosquitto writes when it saves. Nothing is left to save here, but scripts that wait for the line
 * continue.
 */
function saySaving(config: Config, log: Logger): void {
  const saving = wordsFor(log.style).saving(dataFileOf(config))
  if (saving !== null) log.log('information', 'store.saving', saving)
}

/** Returns the reason why there is nothing to save, for the log. */
function savedText({ durability }: Config): string {
  if (durability === 'memory') return 'nothing is kept on the disk (durability memory).'
  if (durability === 'os') return 'the disk has everything within a second (durability os).'
  return 'everything that has been acknowledged is on the disk already.'
}

/** Store, or the reason why nothing can be kept though no option says so. */
interface StoreForRun {
  readonly store: Store | null
  readonly why: string | null
  /** Null: there was no data of a Mosquitto to take over. */
  readonly takenOver: TakeOverAtStart | null
}

/**
 * Opens the data folder. A default folder that does not exist and cannot be made, as in a working folder of another
 * user, leaves the broker without one: as in Mosquitto by default. A folder that was given, or that has data, must be
 * opened. @throws MqttError ERR_MQTT_STORE_…, for people
 */
async function openStoreFor(
  config: Config,
  account: Account | null,
  onQuarantine: (event: BrokerEvents['store.quarantined']) => void,
  log: Logger,
): Promise<StoreForRun> {
  const { durability, dataFolder, isDataFolderGiven } = config
  if (durability === 'memory') return { store: null, why: null, takenOver: null }
  const path = resolve(dataFolder)
  const open = async (): Promise<StoreForRun> => {
    const takenOver = await takeOverAtStart(config)
    try {
      return { store: await openStore(path, durability, onQuarantine), why: null, takenOver }
    } catch (error) {
      // Another broker has been quicker, and does not know where its data is from.
      if (takenOver !== null) sayTakenOver(takenOver, log)
      throw error
    }
  }
  try {
    return await (account === null ? open() : openedAs(account, path, open))
  } catch (error) {
    const isFolder = error instanceof MqttError && error.code === 'ERR_MQTT_STORE_FOLDER'
    if (isDataFolderGiven || !isFolder || existsSync(join(path, 'recado.mdb'))) throw error
    return { store: null, why: error.message, takenOver: null }
  }
}

/** Makes the broker; closes the store when that fails. */
async function openBroker(options: BrokerOptions, store: Store | null): Promise<Broker> {
  if (store === null) return createBroker(options)
  try {
    return createBroker({ ...options, store })
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Opens the store. @throws MqttError ERR_MQTT_STORE_…; one about the folder says how to choose another */
async function openStore(
  path: string,
  durability: 'fsync' | 'os',
  onQuarantine: (event: BrokerEvents['store.quarantined']) => void,
): Promise<Store> {
  try {
    return await lmdb({ path, durability, onQuarantine })
  } catch (error) {
    if (!(error instanceof MqttError) || !/_(?:LOCKED|FOLDER|VERSION)$/.test(error.code)) throw error
    throw new MqttError(error.code, `${error.message} (--data FOLDER, or persistence_location)`, { cause: error })
  }
}

async function close(broker: Broker): Promise<void> {
  try {
    await broker.close()
  } catch (error) {
    if (error instanceof MqttError) throw error
    throw new StopError(`the data could not be written to the end: ${(error as Error).message}`)
  }
}

/** The result, or an exit code after one line on stderr when it failed for a reason that is known. */
function explained<T>(io: BrokerIo, asMosquitto: MosquittoVersion | null, run: () => T): T | number {
  try {
    return run()
  } catch (error) {
    return failure(io, error, asMosquitto)
  }
}

function failure(io: Pick<BrokerIo, 'stderr'>, error: unknown, asMosquitto: MosquittoVersion | null): number {
  // Anything else is a bug of ours, and needs its stack.
  if (!(error instanceof MqttError || error instanceof StopError)) throw error
  io.stderr.write(error instanceof ConfigError ? faultText(error, asMosquitto) : `recado: ${error.message}\n`)
  return exitCodeOf(error, asMosquitto)
}

/** Text about a fault of the configuration: our line, after those that Mosquitto has. */
function faultText(error: ConfigError, asMosquitto: MosquittoVersion | null): string {
  const theirs = asMosquitto === null ? [] : mosquittoLines(error, asMosquitto)
  const seconds = Math.floor(Date.now() / 1000)
  return [...theirs.map((line) => `${seconds}: ${line}`), error.message].map((line) => `${line}\n`).join('')
}

/** Opens all listeners. @throws MqttError ERR_MQTT_LISTEN for the first one that cannot be opened. */
async function listenOnAll(
  { listeners }: Config,
  listen: (listener: ListenerConfig) => Promise<ListenerHandle | null>,
): Promise<OpenListener[]> {
  const opened: OpenListener[] = []
  for (const listener of listeners) {
    const handle = await listen(listener)
    if (handle !== null) opened.push({ listener, handle })
  }
  return opened
}

async function listen(
  broker: Broker,
  listener: ListenerConfig,
  sockets: readonly ListenOptions[],
  files: ListenerFiles,
  administration: Administration,
  log: Logger,
): Promise<ListenerHandle | null> {
  for (const [index, socket] of sockets.entries()) {
    try {
      const protocol = await administration.protocolFor(listener)
      return await broker.listen({
        ...socket,
        ...(protocol === null ? {} : { protocol }),
        ...files.optionsFor(listener),
      })
    } catch (error) {
      // No such address family here: the next socket is for the other one.
      const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? ''
      const isMissing = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'
      if (isMissing && index + 1 < sockets.length) continue
      if (isMissing && listener.optional !== null) return null
      if (code === 'EADDRINUSE' && listener.optional === 'port') {
        const text = `Warning: The HTTP API is not there, for another program has the port of ${listener.name}. Configure listeners, one of them with protocol http_api, to have it elsewhere.`
        log.log('warning', 'api.port-in-use', text, { listener: listener.name })
        return null
      }
      throw error
    }
  }
  return null
}

function writePidFile({ pidFile }: Config): void {
  if (pidFile === null) return
  try {
    writeSafely(pidFile, String(process.pid))
  } catch (error) {
    throw new MqttError('ERR_RECADO_PID_FILE', `the pid file cannot be written: ${(error as Error).message}`)
  }
}

function removePidFile({ pidFile }: Config): void {
  if (pidFile === null) return
  try {
    rmSync(pidFile, { force: true })
  } catch (error) {
    // In a folder of root's, and root has been given up: then it is left empty.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    writeFileSync(pidFile, '')
  }
}

/** Files that are open or written as root, and touched again later. */
function filesOfTheRun({ pidFile, log }: Config): string[] {
  const logs = log.destinations.flatMap(([kind, path]) => (kind === 'file' ? [path!] : []))
  return [...logs, ...(pidFile === null ? [] : [pidFile])]
}

/** Reports a quarantine loudly, whatever is logged: all stored data is gone for this broker. */
function sayQuarantined(
  { path, reason }: BrokerEvents['store.quarantined'],
  { dataFolder, log: { destinations, types } }: Config,
  log: Logger,
  io: BrokerIo,
): void {
  const message = `DATA LOST: the data file in ${resolve(dataFolder)} is damaged (${reason}). It is now ${path}, and the broker starts EMPTY: every session, subscription, waiting and retained message that was in it is missing. To go back to a backup, stop the broker and copy the backup to ${resolve(dataFolder)}/recado.mdb.`
  log.log('error', 'store.quarantined', message, { path, reason })
  if (!types.has('error') || !destinations.some(([kind]) => kind === 'stderr')) io.stderr.write(`recado: ${message}\n`)
}

/** Tells what came along from a Mosquitto, and what did not. */
function sayTakenOver({ path, result, why }: TakeOverAtStart, log: Logger): void {
  if (result === null) {
    log.log(
      'error',
      'mosquitto-db.unreadable',
      `Error: ${why}. Nothing of it was taken over: the broker starts empty.`,
      { path },
    )
    return
  }
  log.log(
    'notice',
    'mosquitto-db.imported',
    `${path} was imported: ${summaryOf(result)}. The file was left as it is.`,
    {
      path,
      ...result.totals,
    },
  )
  for (const line of lossesIn(result)) log.log('warning', 'mosquitto-db.left-behind', `Warning: ${line}`, { path })
}

/** Reports loudly, whatever is logged, that acknowledged messages will not survive the end of the process. */
function sayNotKept(why: string, { log: { destinations, types } }: Config, log: Logger, io: BrokerIo): void {
  const message = `NOTHING IS KEPT: ${why}. Sessions, waiting and retained messages are in memory only and gone when the broker ends. Name a folder that it may write to (persistence_location), or say that this is meant (persistence false).`
  log.log('warning', 'store.not-kept', `Warning: ${message}`)
  if (!types.has('warning') || !destinations.some(([kind]) => kind === 'stderr'))
    io.stderr.write(`recado: ${message}\n`)
}

function sayStarted(
  config: Config,
  accessWarnings: readonly string[],
  log: Logger,
  loaded: BrokerEvents['store.loaded'] | null,
  opened: readonly OpenListener[],
  takenOver: TakeOverAtStart | null,
): void {
  const words = wordsFor(log.style)
  log.log('information', 'broker.starting', words.starting(brokerVersion(config.asMosquitto)), { version })
  const source = config.file === null ? 'Using default config.' : `Config loaded from ${config.file}.`
  log.log('information', 'config.loaded', source, { file: config.file })
  for (const text of config.notes) log.log('information', 'config.taken', text)
  const ofFolder = config.durability === 'memory' ? [] : folderWarnings(resolve(config.dataFolder))
  const ofSecurity = config.listeners.flatMap(({ access }) => access.dynamicSecurity?.path ?? [])
  const all = [...config.warnings, ...accessWarnings, ...ofFolder, ...securityWarnings(ofSecurity)]
  for (const warning of all) log.log('warning', 'config.warning', `Warning: ${warning}`)
  for (const fault of config.bridgeFaults)
    log.log('error', 'config.bridge', `Error: ${fault.message}. This bridge is not run.`)
  if (takenOver !== null) sayTakenOver(takenOver, log)
  sayLoaded(config, log, loaded)
  if (config.user === null && isRoot()) {
    const text = 'The broker runs as root. Set user to the one that it is to become (or to root, to be told no more).'
    log.log('warning', 'broker.root', `Warning: ${text}`)
  }
  if (config.localOnly) for (const text of words.localOnly()) log.log('information', 'broker.local-only', text)
  for (const { listener, handle } of opened) {
    for (const text of words.listenerOpened(openedListener(listener, handle))) {
      log.log('information', 'listener.started', text, { listener: listener.name, address: handle.address })
    }
    // The API has tokens as well.
    if (servesApi(listener)) continue
    if (!listener.allowAnonymous && !hasLogins(listener) && listener.usernameFrom === 'connect') {
      const text = `Clients on ${handle.address} must log in, and no way to log in is configured: nobody can connect. Set allow_anonymous.`
      log.log('warning', 'listener.useless', `Warning: ${text}`, { listener: listener.name })
    }
  }
  log.log('information', 'broker.running', words.running(brokerVersion(config.asMosquitto)), {
    version,
    pid: process.pid,
  })
}

function sayLoaded(
  { dataFolder, durability, asMosquitto }: Config,
  log: Logger,
  loaded: BrokerEvents['store.loaded'] | null,
): void {
  if (loaded === null) {
    const text = 'Data is kept in memory only: sessions and messages are gone when the broker ends.'
    log.log('information', 'store.none', text, { durability })
    if (asMosquitto !== null) {
      const advice = 'as with Mosquitto unless persistence is true. Set it to lose nothing.'
      log.log('warning', 'store.as-mosquitto', `Warning: NOTHING IS KEPT, ${advice}`)
    }
    return
  }
  const { sessions, messages, retained, clockBehindMs } = loaded
  const path = resolve(dataFolder)
  const text = `Data is kept in ${path} (durability ${durability}): ${counted(sessions, 'session')}, ${counted(messages, 'message')} waiting, ${counted(retained, 'retained message')}.`
  log.log('information', 'store.loaded', text, { path, durability, sessions, messages, retained })
  if (clockBehindMs === 0) return
  const seconds = Math.ceil(clockBehindMs / 1000)
  const behind = `The clock is ${counted(seconds, 'second')} behind what the store has noted: intervals go on from there.`
  log.log('warning', 'clock.behind', `Warning: ${behind}`, { seconds })
}

/** Returns the lines for somebody who has just typed `npm start` for the first time. */
function banner({ listeners, dataFolder, durability }: Config, opened: readonly OpenListener[]): string {
  const { port } = listeners[0]!
  const data =
    durability === 'memory'
      ? 'Sessions and messages are kept in memory only.'
      : `Sessions and messages are kept in ${resolve(dataFolder)}.`
  const mqtt = opened.filter(({ listener }) => !servesApi(listener))
  const addresses = mqtt.map(({ handle }) => handle.address).join(' and ')
  const api = opened.find(({ listener }) => servesApi(listener))
  const ofApi = api === undefined ? '' : `Its HTTP API is at http://${api.handle.address}, also for recado top.\n`
  const option = port === 1883 ? '' : ` -p ${port}`
  const command = commandName(process.argv[1], process.env['PATH'])
  return `
recado ${version} is listening on ${addresses}, for this machine only.
${data}
${ofApi}
Try it, in two other terminals:

  ${command} sub${option} -v -t 'hello/#'
  ${command} pub${option} -t hello/world -m 'Are you there?'

or with Mosquitto's clients:

  mosquitto_sub${option} -v -t 'hello/#'
  mosquitto_pub${option} -t hello/world -m 'Are you there?'

Ctrl-C stops it; ${command} --help says what else there is.

`
}
