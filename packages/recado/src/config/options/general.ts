/**
 * Options of the process, and of the file itself. `schema.ts` joins them with the others.
 */
import { type Option, option } from './option.ts'

const general = option('general', 'global')

export const generalOptions: readonly Option[] = [
  general(
    'per_listener_settings',
    'boolean',
    'false',
    'Makes `allow_anonymous`, `allow_zero_length_clientid`, `auto_id_prefix`, `password_file`, `acl_file`, `psk_file` and those that begin with `jwt_` or `webhook_` options of the listener above them. Must stand before the first of these.',
  ),
  general('pid_file', 'text', '', 'Writes the process number to this file, and removes it at the end.'),
  general(
    'include_dir',
    'text',
    '',
    'Reads all files of this folder that end in `.conf`, in the order of their names. In the main file only.',
    { repeatable: true },
  ),
  general(
    'user',
    'text',
    '',
    'User to become when started by root, with his groups: ports, keys, password and ACL files are opened as root, the data folder as this user. What SIGHUP reads again he must be able to read. `mosquitto` in Mosquitto; here nobody unless it is given, with a warning (`user root` asks for none).',
    { lastHolds: true, mosquitto: 'mosquitto' },
  ),
]
