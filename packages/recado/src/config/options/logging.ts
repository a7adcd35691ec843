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
    '`stdout`, `stderr`, `file PATH` (once; reopened on SIGHUP) or `none`. `syslog`, `topic` and `dlt` are accepted without effect.',
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
    'log_format',
    'choice',
    'text',
    'Our own, not in Mosquitto: `json` writes an object per line, with `time`, `level`, `event` and the event’s fields.',
    { choices: ['text', 'json'] },
  ),
  logging('log_timestamp', 'boolean', 'true', 'Begins each line with the time.'),
  logging(
    'log_timestamp_format',
    'text',
    '',
    'Form of the time as in strftime(3), for example `%Y-%m-%dT%H:%M:%S`. Default: seconds since 1970.',
  ),
  logging('log_facility', 'integer', '', 'Facility local0 to local7 of syslog.', {
    min: 0,
    max: 7,
    instead: 'There is no syslog destination: log to stderr and let the service manager keep it.',
  }),
  logging('connection_messages', 'boolean', 'true', 'Logs when clients connect and disconnect.'),
]
