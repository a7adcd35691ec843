/**
 * All bridges of a running broker.
 *
 * `serve.ts` makes one before the listeners are open, so that messages wait from the first one on, starts it behind
 * them, and hands it each configuration that SIGHUP has read. Invariants: a bridge that cannot be started is told in the log and keeps nothing else from running; a new configuration restarts
 * only the bridges that it changes.
 */
import type { LookupFunction } from 'node:net'
import type { Broker } from '@recado/broker'
import { dialNode, type Environment, realEnvironment } from '@recado/client/low-level'
import { MqttError } from '@recado/protocol'
import type { BridgeConfig } from '../config/bridges.ts'
import { counted } from '../counted.ts'
import type { LogFields, LogType } from '../log.ts'
import { Bridge, type BridgeFigures } from './bridge.ts'
import { dialOptionsOf } from './bridge-tls.ts'
import { lookupLine } from './lookup-line.ts'

/** Log that bridges write to. */
interface BridgeLog {
  log(type: LogType, event: string, text: string, fields?: LogFields): void
}

export class Bridges {
  readonly #broker: Broker
  readonly #log: BridgeLog
  readonly #changed: () => void
  readonly #environment: Environment
  readonly #byName: Map<string, Bridge> = new Map()
  readonly #lookup: LookupFunction = lookupLine()
  #isStarted = false
  #isStopped = false

  /** @param changed called when the state of a bridge has changed, or one has come or gone */
  constructor(
    broker: Broker,
    log: BridgeLog,
    changed: () => void,
    environment: Environment = realEnvironment(dialNode),
  ) {
    this.#broker = broker
    this.#log = log
    this.#changed = () => {
      if (!this.#isStopped) changed()
    }
    this.#environment = environment
  }

  /** Connects the bridges, and those of later configurations. */
  start(): void {
    this.#isStarted = true
    for (const bridge of this.#byName.values()) bridge.start()
    for (const { clientId, queuedMessages } of this.#broker.abandonedRelays()) {
      const keeps = `keeps ${counted(queuedMessages, 'message')} and gets more`
      const text = `Warning: The session ${clientId} of a bridge that is not configured any more ${keeps}. Put its section back; or end the session: take the section out while the broker runs, and send SIGHUP.`
      this.#log.log('warning', 'bridge.abandoned', text, { clientId, queuedMessages })
    }
  }

  /**
   * Opens, stops and restarts bridges so that those of the configuration are there. `faulty`: names of sections with a
   * fault, whose bridges go on as they were: what waits for them must not be lost by a slip of the pen.
   */
  take(configs: readonly BridgeConfig[], faulty: readonly string[] = []): void {
    const names = new Set(configs.map(({ name }) => name))
    const wanted = new Set(configs.map(({ localClientId }) => localClientId))
    for (const [name, bridge] of this.#byName) {
      if (names.has(name)) continue
      if (faulty.includes(name)) {
        bridge.whenLost(null)
        const text = `Bridge ${name} goes on as it was: its section has a fault.`
        this.#log.log('notice', 'bridge.kept', text, { bridge: name })
        continue
      }
      const { queuedMessages, inFlight } = bridge.figures
      const isForGood = !wanted.has(bridge.config.localClientId)
      const dropped = isForGood ? queuedMessages + inFlight : 0
      this.#byName.delete(name)
      bridge.stop(isForGood)
      const what = dropped > 0 ? `, with ${counted(dropped, 'message')} that waited for it` : ''
      const text = `Bridge ${name} is not configured any more, and is closed${what}.`
      this.#log.log('notice', 'bridge.removed', text, { bridge: name, dropped })
    }
    for (const config of configs) {
      const before = this.#byName.get(config.name)
      if (before === undefined) this.#open(config)
      else if (textOf(before.config) === textOf(config)) before.whenLost(null)
      else if (config.reload === 'immediate') this.#restart(before, config)
      else before.whenLost(() => this.#restart(before, config))
    }
    this.#changed()
  }

  #restart(before: Bridge, config: BridgeConfig): void {
    before.stop(before.config.localClientId !== config.localClientId)
    this.#byName.delete(config.name)
    this.#open(config)
  }

  #open(config: BridgeConfig): void {
    const { name } = config
    const bridge = new Bridge(config, {
      environment: this.#environment,
      relay: (options) => this.#broker.relay(options),
      dialOptions: () => ({ ...dialOptionsOf(config), lookup: this.#lookup }),
      publish: (topic, payload) => this.#publish(topic, payload),
      changed: this.#changed,
      log: (type, event, text, fields) => this.#log.log(type, event, text, fields),
    })
    try {
      bridge.open()
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#log.log('error', 'bridge.failed', `Error: Bridge ${name} cannot be started: ${error.message}`, {
        bridge: name,
      })
      return
    }
    this.#byName.set(name, bridge)
    if (this.#isStarted) bridge.start()
  }

  #publish(topic: string, payload: string): void {
    this.#broker.publish({ topic, payload, qos: 1, retain: true, isNews: true }).catch((error: Error) => {
      const text = `Warning: ${topic} could not be published: ${error.message}`
      this.#log.log('warning', 'bridge.notification', text, { topic })
    })
  }

  figures(): BridgeFigures[] {
    return [...this.#byName.values()].map((bridge) => bridge.figures)
  }

  /** Stops all bridges; what waits for them stays. */
  stop(): void {
    this.#isStopped = true
    for (const bridge of this.#byName.values()) bridge.stop(false)
    this.#byName.clear()
  }
}

/** Text of a configuration, to be compared; its place in the file is no change. */
function textOf(config: BridgeConfig): string {
  return JSON.stringify(config, (key, value) => (key === 'line' || key === 'file' ? undefined : value))
}
