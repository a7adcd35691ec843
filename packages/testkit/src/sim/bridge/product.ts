/**
 * The compiled bridge of package `recado`, as the simulation uses it.
 *
 * That package is built on this one, so its modules are loaded at run time, and these types say what is used of them.
 * Mutants of the bridge are copies of the same modules.
 */
import type { Environment } from '@recado/client/low-level'

/** State of a bridge, as far as the simulation looks at it. */
export interface BridgeFigures {
  readonly name: string
  readonly state: string
  readonly connections: number
  readonly queuedMessages: number
  readonly inFlight: number
  readonly lastError: string
}

/** A `connection` section that has been read. */
export interface BridgeConfig {
  readonly name: string
}

/** The broker, as far as bridges use it. */
export interface BridgedBroker {
  relay(options: unknown): unknown
  abandonedRelays(): readonly unknown[]
  publish(options: { topic: string; payload: string }): Promise<unknown>
}

export interface Bridges {
  take(configs: readonly BridgeConfig[]): void
  start(): void
  stop(): void
  figures(): BridgeFigures[]
}

interface BridgesModule {
  readonly Bridges: new (
    broker: BridgedBroker,
    log: { log(type: string, event: string, text: string): void },
    changed: () => void,
    environment: Environment,
  ) => Bridges
}

interface ParseModule {
  parseConfigFile(path: string, files: { read(): string; list(): string[] }): { readonly bridges: readonly unknown[] }
}

interface ConfigModule {
  bridgesFrom(
    blocks: readonly unknown[],
    warnings: string[],
    machine: string,
  ): { readonly bridges: readonly BridgeConfig[]; readonly faults: readonly string[] }
}

const dist = new URL('../../../../recado/dist/', import.meta.url)
const load = async <Module>(path: string): Promise<Module> => (await import(new URL(path, dist).href)) as Module

const bridgesModule = await load<BridgesModule>('bridge/bridges.js')
/** All bridges of a broker. */
export const Bridges: BridgesModule['Bridges'] = bridgesModule.Bridges
const { parseConfigFile } = await load<ParseModule>('config/parse.js')
const { bridgesFrom } = await load<ConfigModule>('config/bridges.js')

/** Reads the `connection` sections of a configuration. @throws Error for a section with a fault */
export function readBridges(text: string, machine: string): readonly BridgeConfig[] {
  const { bridges: blocks } = parseConfigFile('sim.conf', { read: () => text, list: () => [] })
  const { bridges, faults } = bridgesFrom(blocks, [], machine)
  if (faults.length > 0) throw new Error(`the plan has a wrong configuration: ${faults.join('; ')}\n${text}`)
  return bridges
}
