/**
 * The broker's command line: Mosquitto's own arguments, and the text of --help.
 *
 * Pure; `run-broker.ts` calls it when the first argument is no subcommand. Invariant: an argument is understood or refused,
 * never ignored.
 */

import { mosquittoVersions } from './cli/manner.ts'
import { type Command, helpRow, helpText, isGiven, parseCommand, ToolError, valueIn } from './command-table.ts'
import { commandTable } from './commands.ts'
import type { CommandLine } from './config/config.ts'
import type { MosquittoVersion } from './config/log.ts'
import { didYouMean } from './config/suggest.ts'

export { ToolError as UsageError } from './command-table.ts'

export type BrokerCommand =
  | { readonly kind: 'help' | 'version'; readonly asMosquitto: MosquittoVersion | null }
  | { readonly kind: 'test-config'; readonly commandLine: CommandLine }
  /** `isDetached`: in the background. */
  | { readonly kind: 'serve'; readonly commandLine: CommandLine; readonly isDetached: boolean }

/** Arguments of the broker itself; `commands.ts` has the other commands, which `--help` lists too. */
export const brokerCommand: Command = {
  name: '',
  summary: '',
  usage: ['[-c FILE] [--data FOLDER] [-p PORT] [-d] [-v | -q] [--as-mosquitto VERSION]'],
  groups: [
    {
      options: [
        {
          names: ['-c', '--config-file'],
          value: 'FILE',
          help: 'configuration, in the form of mosquitto.conf',
          completes: 'file',
        },
        {
          names: ['--data'],
          value: 'FOLDER',
          help:
            'folder for sessions and messages (default: persistence_location of the file, else ./data,\n' +
            'with a first port other than 1883 ./data-PORT)',
          completes: 'folder',
        },
        {
          names: ['-p', '--port'],
          value: 'PORT',
          help: 'port, when no configuration file has listeners; may be repeated',
          repeats: true,
        },
        { names: ['-d', '--daemon'], help: 'run in the background; returns when the broker is ready' },
        { names: ['-v', '--verbose'], help: 'log everything, whatever the configuration says' },
        { names: ['-q', '--quiet'], help: 'log nothing' },
        {
          names: ['--as-mosquitto'],
          value: 'VERSION',
          help:
            "Mosquitto's defaults, words and answers where ours differ on purpose: 2.0 or 2.1\n" +
            '(2.1 is the default of a broker that was started by the name mosquitto)',
          completes: mosquittoVersions,
        },
        { names: ['--test-config'], help: 'check the configuration file and exit' },
        helpRow,
        { names: ['--version'], help: 'the version' },
      ],
    },
  ],
  notes: `Signals: HUP reads the configuration again, USR1 logs what is saved, USR2 prints the subscriptions, RTMIN opens the log again.
See docs/running.md.

Without a configuration file it listens on 127.0.0.1 and [::1], port 1883, for this machine only, lets every client
in, and keeps sessions and messages in ./data. The options of the configuration file are in docs/configuration.md.`,
}

/** Returns the text of `recado --help`. */
export function brokerHelp(): string {
  const width = Math.max(...commandTable.map(({ name, sample }) => `${name} ${sample}`.length))
  const others = commandTable.map(
    ({ name, sample, does }) => `       recado ${`${name} ${sample}`.padEnd(width)}   ${does}`,
  )
  const [, usage, ...rest] = helpText(brokerCommand).split('\n\n')
  return [
    'recado is an MQTT 5.0, 3.1.1 and 3.1 broker.',
    [usage, ...others, 'Options of a command: recado COMMAND --help'].join('\n'),
    ...rest,
  ].join('\n\n')
}

/** Options of Mosquitto that do not exist here, each with the reason. */
const absent: Readonly<Record<string, string>> = {
  '--tls-keylog':
    'the broker keeps the secrets of its connections to itself; recado sub --tls-keylog FILE writes those of one',
}

/** Parses the arguments. @throws UsageError */
export function parseArguments(argv: readonly string[], invokedAs?: string): BrokerCommand {
  const unknown = argv.find((argument) => Object.hasOwn(absent, argument))
  if (unknown !== undefined) throw new ToolError(`${unknown}: ${absent[unknown]}`)
  const parsed = parseCommand({ ...brokerCommand, operands: [{ name: 'COMMAND', isOptional: true }] }, argv)
  const asMosquitto = versionOf(valueIn(parsed, '--as-mosquitto'), invokedAs)
  if (parsed.isHelp) return { kind: 'help', asMosquitto }
  if (isGiven(parsed, '--version')) return { kind: 'version', asMosquitto }
  const [word] = parsed.operands
  if (word !== undefined) {
    const names = commandTable.map(({ name }) => name)
    throw new ToolError(`unknown command "${word}"${didYouMean(word, names) || ', see recado --help'}`)
  }
  const commandLine = {
    configFile: valueIn(parsed, '--config-file') ?? null,
    dataFolder: valueIn(parsed, '--data') ?? null,
    ports: (parsed.values.get('--port') ?? []).map(parsePort),
    verbose: isGiven(parsed, '--verbose'),
    quiet: isGiven(parsed, '--quiet'),
    asMosquitto,
  }
  if (!isGiven(parsed, '--test-config')) {
    return { kind: 'serve', commandLine, isDetached: isGiven(parsed, '--daemon') }
  }
  if (commandLine.configFile === null) throw new ToolError('--test-config needs a configuration file (-c FILE)')
  return { kind: 'test-config', commandLine }
}

/** A broker that was started by Mosquitto's name is as 2.1, unless it is told otherwise. */
function versionOf(given: string | undefined, invokedAs: string | undefined): MosquittoVersion | null {
  return mosquittoVersions.find((each) => each === given) ?? (invokedAs === 'mosquitto' ? '2.1' : null)
}

function parsePort(word: string): number {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : 0
  if (port < 1 || port > 65_535) throw new ToolError(`-p needs a port from 1 to 65535, not "${word}"`)
  return port
}
