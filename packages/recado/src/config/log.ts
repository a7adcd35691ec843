/**
 * The log of the configuration: where lines go, which types of messages, and in which words.
 *
 * Called by `loadConfig`; `../log` writes by it.
 */
import { given, settingsOf, valueOrDefault } from './block-values.ts'
import type { CommandLine } from './config.ts'
import { type Block, ConfigError } from './parse.ts'
import { findOption } from './schema.ts'

/** `mosquitto`: its words; `recado`: ours, which say more; `json`: ours, with the fields of each event. */
export type LogStyle = 'mosquitto' | 'recado' | 'json'
export type MosquittoVersion = '2.0' | '2.1'
/** In the words of 2.0. */
const OLD_STYLE = 'mosquitto-2.0'
export type SyslogFormat = 'rfc3164' | 'rfc5424'

export interface LogConfig {
  readonly destinations: readonly (readonly string[])[]
  readonly types: ReadonlySet<string>
  readonly style: LogStyle
  /** Version of Mosquitto whose words the style `mosquitto` uses. */
  readonly mosquittoVersion: MosquittoVersion
  /** local0 to local7 of syslog; null: daemon. */
  readonly facility: number | null
  readonly syslogFormat: SyslogFormat
  readonly timestamp: boolean
  /** Format as in strftime(3); `null` for seconds since 1970. */
  readonly timestampFormat: string | null
  readonly connectionMessages: boolean
}

type LogArguments = Pick<CommandLine, 'verbose' | 'quiet' | 'asMosquitto'>

/** Reads the options of the log; `-v` and `-q` take precedence over `log_type`. @throws ConfigError */
export function logFrom(global: Block, { verbose, quiet, asMosquitto }: LogArguments): LogConfig {
  const destinations: string[][] = []
  for (const { value, file, line } of settingsOf(global, 'log_dest')) {
    const [kind = '', path] = value as string[]
    if (kind === 'none') destinations.length = 0
    else if (kind === 'dlt') {
      throw new ConfigError(file, line, 'log_dest dlt: there is no interface to DLT here; use syslog, stderr or a file')
    } else if (kind === 'file' && destinations.some((each) => each[0] === 'file')) {
      throw new ConfigError(file, line, 'log_dest file may stand once: remove one of the two lines')
    }
    destinations.push(path === undefined ? [kind] : [kind, path])
  }
  const types = new Set<string>()
  for (const { value } of settingsOf(global, 'log_type')) {
    if (value === 'none') types.clear()
    else if (value === 'all') for (const each of findOption('log_type')!.choices!) types.add(each)
    else types.add(value as string)
  }
  if (settingsOf(global, 'log_type').length === 0 || verbose || quiet) {
    types.clear()
    const words = findOption('log_type')!
    for (const each of quiet ? [] : verbose ? words.choices! : words.default.split(' ')) types.add(each)
  }
  const style = valueOrDefault(global, 'log_style') as string
  return {
    destinations: (destinations.length > 0 ? destinations : [['stderr']]).filter((each) => each[0] !== 'none'),
    types,
    style: style === OLD_STYLE ? 'mosquitto' : (style as LogStyle),
    mosquittoVersion: style === OLD_STYLE ? '2.0' : (asMosquitto ?? '2.1'),
    syslogFormat: valueOrDefault(global, 'log_syslog_format') as SyslogFormat,
    facility: given<number>(global, 'log_facility') ?? null,
    timestamp: valueOrDefault(global, 'log_timestamp') as boolean,
    timestampFormat: given<string>(global, 'log_timestamp_format') ?? null,
    connectionMessages: valueOrDefault(global, 'connection_messages') as boolean,
  }
}
