/**
 * The effective settings of a configuration: each with the line that it stands in, or that it is a default.
 *
 * `recado config explain` shows it. Invariants: a value is the one that the broker starts with, computed defaults too;
 * no secret is in it; every setting of a file is in it.
 */
import type { Config } from './config.ts'
import { limitOf } from './limit-options.ts'
import type { ListenerConfig } from './listeners.ts'
import type { Block, ListenerValue, Setting, Value } from './parse.ts'
import { findOption, type Option, optionTable } from './schema.ts'

export interface Place {
  readonly file: string
  readonly line: number
}

export interface EffectiveSetting {
  readonly name: string
  /** Values as they would stand in a file; each of a repeatable option. */
  readonly values: readonly string[]
  /** Line of each value; empty for a default or a computed value. */
  readonly places: readonly Place[]
  /** Reason for the value, or that it has no effect; '' for none. */
  readonly note: string
  readonly isSecret: boolean
}

export interface EffectiveSection {
  readonly kind: 'broker' | 'listener' | 'plugins' | 'bridge'
  readonly name: string
  /** Line that it begins with; null when there is none. */
  readonly place: Place | null
  readonly settings: readonly EffectiveSetting[]
}

const HIDDEN = '(hidden)'
/** Lines that begin sections, or have no value of their own. */
const structural = new Set(['listener', 'include_dir', 'connection'])

export function effectiveSections(config: Config): EffectiveSection[] {
  const { global, bridges } = config.source
  return [
    { kind: 'broker', name: 'broker', place: null, settings: brokerSettings(config) },
    ...config.listeners.map((listener) => listenerSection(listener, config)),
    ...pluginSections(global),
    ...bridges.map(bridgeSection),
  ]
}

function brokerSettings(config: Config): EffectiveSetting[] {
  const { global } = config.source
  return optionTable
    .filter(({ name, scope }) => scope === 'global' && !structural.has(name))
    .filter((option) => isGiven(global, option) || !['port', 'bind_address'].includes(option.name))
    .map((option) => settingFrom([global], option, computedOf(option, config)))
}

/** Computed default, which is not in the table because it depends on another setting; null for none. */
function computedOf({ name, default: ofTable }: Option, config: Config): { value: string; why: string } | null {
  if (name === 'persistence_location') {
    const { isDataFolderGiven, dataFolder, durability } = config
    const why = durability === 'memory' ? 'nothing is kept' : isDataFolderGiven ? '--data' : 'default'
    return { value: dataFolder, why }
  }
  if (name === 'durability' && config.durability !== ofTable)
    return { value: config.durability, why: 'persistence false' }
  if (name === 'session_owner') {
    const requiresLogins = config.listeners.some(({ allowAnonymous }) => !allowAnonymous)
    return { value: requiresLogins ? 'refuse' : 'off', why: 'default, by allow_anonymous' }
  }
  const limit = limitOf(name)
  const value = limit === undefined ? undefined : config.protectiveLimits[limit]
  if (value === undefined || String(value) === ofTable) return null
  if (name === 'memory_limit') return { value: String(value), why: 'default, half of what this machine has' }
  return value >= Number(ofTable) ? null : { value: String(value), why: 'default, by memory_limit' }
}

/** Whether to show a group of options: only where it means something, or is given. */
function isMeant({ name, group }: Option, { path, tls, transport, access }: ListenerConfig): boolean {
  if (name.startsWith('unix_socket_')) return path !== null
  if (name.startsWith('jwt_')) return access.jwt !== null
  if (name.startsWith('webhook_')) return access.webhook !== null
  if (group === 'websockets') return transport.webSocket !== null
  if (name === 'psk_file') return tls?.psk != null
  return group !== 'tls' || tls !== null
}

function listenerSection(listener: ListenerConfig, config: Config): EffectiveSection {
  const { global } = config.source
  const { block } = listener
  const settings = optionTable
    .filter(({ scope, name }) => (scope === 'listener' || scope === 'security') && !name.startsWith('listener_a'))
    .filter((option) => isGiven(block, option) || isGiven(global, option) || isMeant(option, listener))
    .map((option) => {
      const own = findOption(`listener_${option.name}`)
      const blocks = option.scope === 'security' ? [block, global] : [block]
      if (own !== undefined && isGiven(block, own)) return { ...settingFrom([block], own, null), name: option.name }
      const isAnonymous = option.name === 'allow_anonymous' && config.localOnly
      if (option.name === 'protocol' && listener.optional === 'port') {
        return settingFrom([], option, { value: 'http_api', why: 'default without a listener' })
      }
      return settingFrom(blocks, option, isAnonymous ? { value: 'true', why: 'default without a listener' } : null)
    })
  const head = block.head ?? global.settings.find(({ option }) => ['port', 'bind_address'].includes(option.name))
  return { kind: 'listener', name: listener.name, place: placeOf(head), settings }
}

function pluginSections(global: Block): EffectiveSection[] {
  const lines = global.settings.filter(({ option }) => option.scope === 'plugin')
  if (lines.length === 0) return []
  return [{ kind: 'plugins', name: 'plugins', place: null, settings: lines.map(settingOf) }]
}

function bridgeSection(block: Block): EffectiveSection {
  const head = block.head!
  const settings = optionTable
    .filter(({ scope, name, default: ofTable }) => {
      if (scope !== 'bridge' || structural.has(name)) return false
      return ofTable !== '' || block.settings.some(({ option }) => option.name === name)
    })
    .map((option) => settingFrom([block], option, null))
  return { kind: 'bridge', name: (head.value as readonly string[])[0]!, place: placeOf(head), settings }
}

const isGiven = (block: Block, option: Option): boolean => block.settings.some((setting) => setting.option === option)

/** Returns the setting from the first block that has it. */
function settingFrom(
  blocks: readonly Block[],
  option: Option,
  computed: { value: string; why: string } | null,
): EffectiveSetting {
  const { name } = option
  const block = blocks.find((each) => isGiven(each, option))
  const note = option.instead === undefined ? '' : 'no effect'
  if (block === undefined) {
    const value = computed?.value ?? option.default
    return { name, values: value === '' ? [] : [value], places: [], note: computed?.why ?? 'default', isSecret: false }
  }
  const given = block.settings.filter((setting) => setting.option === option).map(settingOf)
  return {
    name,
    values: given.flatMap(({ values }) => values),
    places: given.flatMap(({ places }) => places),
    note,
    isSecret: given.some(({ isSecret }) => isSecret),
  }
}

function settingOf(setting: Setting): EffectiveSetting {
  const { option, name, value } = setting
  const isSecret = option.secret === true || (name.includes('_opt_') && /pass|secret|token|key|salt|psk/i.test(name))
  const text = isSecret ? HIDDEN : withoutUserInfo(shownValue(value, option))
  const note = option.instead === undefined ? '' : 'no effect'
  return { name, values: [text], places: [placeOf(setting)!], note, isSecret }
}

const placeOf = (setting: Setting | null | undefined): Place | null =>
  setting == null ? null : { file: setting.file, line: setting.line }

/** URL without its user information, which may be a password. */
const withoutUserInfo = (text: string): string => text.replace(/^(https?:\/\/)[^/@]*@/, `$1${HIDDEN}@`)

function shownValue(value: Value, { type }: Option): string {
  if (type === 'duration') return durationText(value as number)
  if (typeof value !== 'object') return String(value)
  if ('port' in value) return listenerText(value)
  return (value as readonly string[]).map((word) => (word === '' || word.includes(' ') ? `"${word}"` : word)).join(' ')
}

const listenerText = ({ port, address }: ListenerValue): string =>
  [port, address].filter((each) => each !== null).join(' ')

const units = [
  ['y', 365 * 86_400],
  ['w', 7 * 86_400],
  ['d', 86_400],
  ['h', 3600],
  ['s', 1],
] as const

/** Returns the duration in the largest unit that leaves no rest. */
function durationText(seconds: number): string {
  const [unit, length] = units.find(([, each]) => seconds % each === 0)!
  return `${seconds / length}${unit}`
}
