/**
 * Defaults of Mosquitto 2.0 and 2.1 wherever ours differ on purpose, for `--as-mosquitto` and a start by the name `mosquitto`.
 *
 * `config.ts` puts them before the settings of a file, so that whatever a file says comes last and holds. Invariant: only options whose
 * default differs are here; the migration page lists the same.
 */
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'
import { accountOf, isRoot } from '../privileges.ts'
import type { MosquittoVersion } from './log.ts'
import type { ParsedFile, Setting, Value } from './parse.ts'
import { findOption } from './schema.ts'

/** Greatest value of `persistent_client_expiration`, which is never. */
const NEVER_SECONDS = 0xffff_ffff

const common: Readonly<Record<string, Value>> = {
  max_inflight_messages: 20,
  max_inflight_bytes: 0,
  max_queued_messages: 1000,
  max_queued_bytes: 0,
  persistent_client_expiration: NEVER_SECONDS,
  queue_overflow: 'drop-newest',
  session_owner: 'off',
}

/** Values of options, in the types that the parser gives them. */
export const mosquittoDefaults: Readonly<Record<MosquittoVersion, Readonly<Record<string, Value>>>> = {
  '2.0': { ...common, max_packet_size: 268_435_460 },
  '2.1': { ...common, max_packet_size: 2_000_000 },
}

/**
 * Values of options of a bridge: messages of MQTT 5.0 have no property of ours, and it asks for no session that outlives its connection,
 * where ours does, so that what comes while it is away is lost. 2.0 has no Topic Aliases on bridges.
 */
const bridgeDefaults: Readonly<Record<MosquittoVersion, Readonly<Record<string, Value>>>> = {
  '2.0': { bridge_path: 'off', bridge_session_expiry_interval: 0, bridge_max_topic_alias: 0 },
  '2.1': { bridge_path: 'off', bridge_session_expiry_interval: 0 },
}

/** The file with Mosquitto's defaults in front. What is kept is in memory, unless the file asks for more (`persistence true`). */
export function withMosquittoDefaults(
  parsed: ParsedFile,
  version: MosquittoVersion,
  isDataFolderGiven: boolean,
): ParsedFile {
  const { global } = parsed
  const file = `--as-mosquitto ${version}`
  const settings: Setting[] = Object.entries(mosquittoDefaults[version]).map(([name, value]) =>
    settingOf(name, value, file),
  )
  const user = defaultUser()
  if (user !== null) settings.push(settingOf('user', user, file))
  const says = (option: string): boolean => global.settings.some(({ option: { name } }) => name === option)
  const database = databaseOfPlugin(parsed)
  const asksToKeep = says('persistence') || says('durability') || database !== null
  if (!asksToKeep && !isDataFolderGiven) settings.push(settingOf('persistence', false, file))
  const hasFolder = isDataFolderGiven || says('persistence_location')
  if (asksToKeep && !hasFolder) settings.push(settingOf('persistence_location', dirname(database ?? ''), file))
  const ofBridges = Object.entries(bridgeDefaults[version]).map(([name, value]) => settingOf(name, value, file))
  const bridges = parsed.bridges.map((block) => ({ ...block, settings: [...ofBridges, ...block.settings] }))
  return { ...parsed, bridges, global: { ...global, settings: [...settings, ...global.settings] } }
}

/** Database of Mosquitto's SQLite plugin, which keeps everything without `persistence`; null: there is no such plugin. */
function databaseOfPlugin({ global, defaultListener, listeners }: ParsedFile): string | null {
  const settings = [global, defaultListener, ...listeners].flatMap((block) => block.settings)
  const isPlugin = ({ option, value }: Setting): boolean =>
    option.name === 'plugin' && /(?:^|\/)(?:lib)?mosquitto_persist_sqlite\.so$/.test(String(value))
  if (!settings.some(isPlugin)) return null
  return String(settings.findLast(({ name }) => name === 'plugin_opt_db_file')?.value ?? '')
}

/** User that Mosquitto becomes when root starts it; null: it is not root, or there is no such user. */
function defaultUser(): string | null {
  if (!isRoot()) return null
  for (const name of ['mosquitto', 'nobody']) {
    try {
      return accountOf(name).name
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
    }
  }
  return null
}

function settingOf(name: string, value: Value, file: string): Setting {
  return { option: findOption(name)!, name, value, ignored: '', file, line: 0 }
}
