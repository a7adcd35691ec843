/**
 * Options about the stored data, and its place. `schema.ts` joins them with the others.
 */
import { type Option, option } from './option.ts'

const NO_STORE_FILE = 'The store is crash-safe at all times: there is no snapshot to schedule.'
const persistence = option('persistence', 'global')

export const persistenceOptions: readonly Option[] = [
  persistence(
    'persistence',
    'boolean',
    'true',
    'Keeps sessions, their messages and retained messages in the data folder. false: in memory only, as `durability memory`. false in Mosquitto.',
    { aliases: ['retained_persistence'], mosquitto: 'false' },
  ),
  persistence(
    'persistence_location',
    'text',
    'data',
    'The data folder, one for each broker; made (mode 0700) when it is missing. Without it and with a first listener on another port than 1883, `data-PORT`. A relative path starts at the folder that the broker is started in. `--data` on the command line comes first. The current folder in Mosquitto.',
    { mosquitto: 'the current folder' },
  ),
  persistence(
    'durability',
    'choice',
    'fsync',
    'Our own, not in Mosquitto: when a message counts as safe, so that its publisher is acknowledged. `fsync`: it is on the disk and survives a power cut. `os`: the operating system has it, and it survives the end of the broker. `memory`: nothing is kept. See docs/durability.md.',
    { choices: ['fsync', 'os', 'memory'] },
  ),
  persistence(
    'persistence_file',
    'text',
    'mosquitto.db',
    'File name of Mosquitto’s snapshot in the data folder. A start that finds it there, and no data of ours, imports it once and leaves it as it is. Our own data is in `recado.mdb` in the same folder.',
  ),
  persistence('autosave_interval', 'integer', '1800', 'Seconds between snapshots.', {
    unit: 'seconds',
    min: 0,
    raise: true,
    instead: NO_STORE_FILE,
  }),
  persistence('autosave_on_changes', 'boolean', 'false', 'Takes `autosave_interval` for a number of changes.', {
    instead: NO_STORE_FILE,
  }),
]
