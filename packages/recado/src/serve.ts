/**
 * The broker's run from configuration to exit code: open everything, say so, wait for a signal, close everything.
 *
 * `main.ts` calls it. The invariants: it listens on all that is configured or on nothing; a start that fails is one
 * line on stderr and exit code 1; a stop by SIGINT or SIGTERM closes the broker first and is exit code 0.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { type Broker, createBroker, type ListenerHandle } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { brokerOptionsFrom, sharedSettingWarnings, socketsFor } from './config/broker-options.ts'
import { type CommandLine, type Config, type ListenerConfig, loadConfig } from './config/config.ts'
import { ConfigError } from './config/parse.ts'
import type { Io } from './io.ts'
import { type LineStream, Logger } from './log.ts'
import { observerFor } from './observe.ts'
import { listenForSignals } from './signals.ts'
import { version } from './version.ts'

/** A start that failed for a reason that one line explains. */
class StartError extends Error {}

/** Checks the configuration and says so. Exit code 0 or 1. */
export function testConfig(commandLine: CommandLine, io: Io): number {
  return explained(io, () => {
    const config = loadConfig(commandLine)
    for (const warning of warningsOf(config)) io.stderr.write(`Warning: ${warning}\n`)
    io.stdout.write(`${config.file ?? 'The default configuration'} is fine.\n`)
    return 0
  })
}

/** Runs the broker until a signal stops it. Resolves with the exit code. */
export async function serve(commandLine: CommandLine, io: Io): Promise<number> {
  const logger = explained(io, () => openLog(loadConfig(commandLine), io))
  if (typeof logger === 'number') return logger
  const { config, log } = logger
  const broker = createBroker({
    ...brokerOptionsFrom(config),
    observer: observerFor(log, config.log.connectionMessages),
  })
  const signals = listenForSignals(
    io.signals,
    () => {
      log.reopen()
      log.log('notice', 'log.reopened', 'SIGHUP: log file reopened. Changed settings take effect after a restart.')
    },
    () => io.exit(1),
  )
  try {
    const handles = await listenOnAll(broker, config)
    writePidFile(config)
    sayStarted(config, log, handles)
    if (config.file === null) io.stdout.write(banner(config.listeners[0]!, handles))
    const signal = await signals.stop
    log.log('notice', 'broker.stopping', `recado version ${version} terminating (${signal})`, { signal })
    await broker.close()
    return 0
  } catch (error) {
    await broker.close()
    return failure(io, error)
  } finally {
    removePidFile(config)
    signals.dispose()
    log.close()
  }
}

function openLog(
  config: Config,
  { stdout, stderr }: { stdout: LineStream; stderr: LineStream },
): { config: Config; log: Logger } {
  try {
    return { config, log: new Logger(config.log, { stdout, stderr }) }
  } catch (error) {
    throw new StartError(`the log file cannot be opened: ${(error as Error).message}`)
  }
}

/** The result, or exit code 1 after one line on stderr when it failed for a reason that is known. */
function explained<T>(io: Io, run: () => T): T | number {
  try {
    return run()
  } catch (error) {
    return failure(io, error)
  }
}

function failure(io: Io, error: unknown): number {
  // Anything else is a bug of ours, and wants its stack.
  if (!(error instanceof MqttError || error instanceof StartError)) throw error
  io.stderr.write(`${error instanceof ConfigError ? '' : 'recado: '}${error.message}\n`)
  return 1
}

const warningsOf = (config: Config): string[] => [...config.warnings, ...sharedSettingWarnings(config)]

interface OpenListener {
  readonly listener: ListenerConfig
  readonly handle: ListenerHandle
}

/** @throws MqttError ERR_MQTT_LISTEN for the first listener that cannot be opened. */
async function listenOnAll(broker: Broker, config: Config): Promise<OpenListener[]> {
  const opened: OpenListener[] = []
  for (const listener of config.listeners) {
    const handle = await listen(broker, listener, config)
    if (handle !== null) opened.push({ listener, handle })
  }
  return opened
}

async function listen(broker: Broker, listener: ListenerConfig, config: Config): Promise<ListenerHandle | null> {
  const sockets = socketsFor(listener, config)
  for (const [index, socket] of sockets.entries()) {
    try {
      return await broker.listen(socket)
    } catch (error) {
      // No such address family here: the next socket is for the other one.
      const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? ''
      const isMissing = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'
      if (isMissing && index + 1 < sockets.length) continue
      if (isMissing && listener.optional) return null
      throw error
    }
  }
  return null
}

function writePidFile({ pidFile }: Config): void {
  if (pidFile === null) return
  try {
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (error) {
    throw new StartError(`the pid file cannot be written: ${(error as Error).message}`)
  }
}

function removePidFile({ pidFile }: Config): void {
  if (pidFile !== null) rmSync(pidFile, { force: true })
}

function sayStarted(config: Config, log: Logger, opened: readonly OpenListener[]): void {
  log.log('information', 'broker.starting', `recado version ${version} starting`, { version })
  const source = config.file === null ? 'Using default config.' : `Config loaded from ${config.file}.`
  log.log('information', 'config.loaded', source, { file: config.file })
  for (const warning of warningsOf(config)) log.log('warning', 'config.warning', `Warning: ${warning}`)
  if (config.localOnly) {
    const text =
      'Starting in local only mode: only clients on this machine can connect. Configure a listener for others.'
    log.log('information', 'broker.local-only', text)
  }
  for (const { listener, handle } of opened) {
    log.log('information', 'listener.started', `Listening on ${handle.address}.`, {
      listener: listener.name,
      address: handle.address,
    })
    if (!listener.allowAnonymous) {
      const text = `Clients on ${handle.address} must log in, and no way to log in is configured: nobody can connect. Set allow_anonymous.`
      log.log('warning', 'listener.useless', `Warning: ${text}`, { listener: listener.name })
    }
  }
  log.log('information', 'broker.running', `recado version ${version} running`, { version, pid: process.pid })
}

/** What a newcomer sees who just typed `npm start`. */
function banner({ port }: ListenerConfig, opened: readonly OpenListener[]): string {
  const addresses = opened.map(({ handle }) => handle.address).join(' and ')
  const option = port === 1883 ? '' : ` -p ${port}`
  return `
recado ${version} is listening on ${addresses}, for this machine only.

Try it, in two other terminals:

  npx recado sub${option} -v -t 'hello/#'
  npx recado pub${option} -t hello/world -m 'Are you there?'

or with Mosquitto's clients:

  mosquitto_sub${option} -v -t 'hello/#'
  mosquitto_pub${option} -t hello/world -m 'Are you there?'

Ctrl-C stops it; npx recado --help says what else there is.

`
}
