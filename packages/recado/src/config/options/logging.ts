/**
 * Options of the log. `schema.ts` joins them with the others.
 */
import { type Option, option } from './option.ts'

const logging = option('logging', 'global')

export const loggingOptions: readonly Option[] = [
  logging(
    'log_dest',
    'destination',
    'stderr',
    '`stdout`, `stderr`, `syslog`, `topic` (`$SYS/broker/log/…`, see docs/sys-topics.md), `file PATH` (once; reopened on SIGHUP) or `none`, which clears what was before. `dlt` is refused: there is no interface to it.',
    { repeatable: true },
  ),
  logging(
    'log_type',
    'choice',
    'error warning notice information',
    'What is logged, a line for each. `-v` on the command line is `all`.',
    {
      choices: [
        'error',
        'warning',
        'notice',
        'information',
        'debug',
        'subscribe',
        'unsubscribe',
        'websockets',
        'internal',
        'none',
        'all',
      ],
      repeatable: true,
    },
  ),
  logging(
    'log_style',
    'choice',
    'mosquitto',
    'Our own, not in Mosquitto: in whose words the log is. `mosquitto`: those of Mosquitto 2.1, which scripts and fail2ban look for; `mosquitto-2.0`: those of 2.0. `recado`: ours, with Reason Codes and causes. `json`: an object per line, with `time`, `level`, `event`, `message` and the event’s fields.',
    { choices: ['mosquitto', 'mosquitto-2.0', 'recado', 'json'] },
  ),
  logging('log_timestamp', 'boolean', 'true', 'Begins each line with the time.'),
  logging(
    'log_timestamp_format',
    'text',
    '',
    'Form of the time as in strftime(3), for example `%Y-%m-%dT%H:%M:%S`. Default: seconds since 1970.',
  ),
  logging(
    'log_facility',
    'integer',
    '',
    'Facility of `log_dest syslog`: 0 to 7 for local0 to local7. Default: daemon.',
    { min: 0, max: 7 },
  ),
  logging(
    'log_syslog_format',
    'choice',
    'rfc3164',
    'Our own: the form of what is sent to syslog. `rfc5424` has the time with milliseconds, the host, and the name of the event.',
    { choices: ['rfc3164', 'rfc5424'] },
  ),
  logging('connection_messages', 'boolean', 'true', 'Logs when clients connect and disconnect.'),
]
