/**
 * The broker's command line: Mosquitto's own arguments, and what --help says.
 *
 * Pure; `main.ts` calls it when the first argument is no subcommand. The invariant: an argument is understood or
 * refused, never ignored.
 */
import type { CommandLine } from './config/config.ts'
import { didYouMean } from './config/suggest.ts'

/** A command line that cannot be understood; `message` is one line for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export type BrokerCommand =
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'serve' | 'test-config'; readonly commandLine: CommandLine }

const subcommands = ['pub', 'sub', 'rr', 'bench', 'inspect', 'export', 'import', 'backup', 'passwd', 'acl']

const withValue: Record<string, string> = { '-c': '--config-file', '--data': '--data', '-p': '--port' }
const flags: Record<string, string> = { '-d': '--daemon', '-h': '--help', '-q': '--quiet', '-v': '--verbose' }
const optionNames = [...Object.values(withValue), ...Object.values(flags), '--version', '--test-config', '--tls-keylog']

export const helpText = `recado is an MQTT 5.0, 3.1.1 and 3.1 broker.

Usage: recado [-c FILE] [--data FOLDER] [-p PORT] [-v | -q]
       recado pub -t TOPIC -m MESSAGE   publishes
       recado sub -t TOPIC              subscribes
       recado rr -t TOPIC -e TOPIC ...  publishes a request and prints the response
       recado bench KIND                loads a server and measures
       recado inspect [FOLDER]          shows what a broker keeps
       recado backup FILE               copies what a broker keeps, while it runs
       recado export FOLDER FILE        writes what a broker keeps as lines of JSON
       recado import FOLDER FILE        makes a data folder of such lines
       recado passwd FILE USER          sets the password of a user in a password file
       recado acl check ...             says what an ACL file allows, and which line
Options of a command: recado COMMAND --help

  -c, --config-file FILE  configuration, in the form of mosquitto.conf
      --data FOLDER       where it keeps its data (default: persistence_location of the file, else ./data,
                          with a first port other than 1883 ./data-PORT)
  -p, --port PORT         port, when no configuration file has listeners; may be repeated
  -v, --verbose           log everything, whatever the configuration says
  -q, --quiet             log nothing
      --test-config       check the configuration file and exit
  -h, --help              this text
      --version           the version

Signals: HUP reads the configuration again, USR1 says what is saved, USR2 prints the subscriptions, RTMIN opens the log again.
See docs/running.md.

Without a configuration file it listens on 127.0.0.1 and [::1], port 1883, for this machine only, lets every client
in, and keeps sessions and messages in ./data. The options of the configuration file are in docs/configuration.md.
`

/** @throws UsageError */
export function parseArguments(argv: readonly string[]): BrokerCommand {
  let configFile: string | null = null
  let dataFolder: string | null = null
  const ports: number[] = []
  let verbose = false
  let quiet = false
  let isTest = false
  const rest = argv.flatMap(split)
  for (let index = 0; index < rest.length; index++) {
    const argument = rest[index]!
    const value = (): string => {
      const next = rest[++index]
      if (next === undefined) throw new UsageError(`${argument} needs a value`)
      return next
    }
    switch (withValue[argument] ?? flags[argument] ?? argument) {
      case '--config-file':
        if (configFile !== null) throw new UsageError('-c may be given once')
        configFile = value()
        break
      case '--data':
        if (dataFolder !== null) throw new UsageError('--data may be given once')
        dataFolder = value()
        break
      case '--port':
        ports.push(parsePort(value()))
        break
      case '--verbose':
        verbose = true
        break
      case '--quiet':
        quiet = true
        break
      case '--test-config':
        isTest = true
        break
      case '--help':
        return { kind: 'help' }
      case '--version':
        return { kind: 'version' }
      case '--daemon':
        throw new UsageError('-d: recado stays in the foreground; use a service manager, or "nohup recado ... &"')
      case '--tls-keylog':
        throw new UsageError('--tls-keylog: TLS is not there yet')
      default:
        if (argument.startsWith('-')) {
          throw new UsageError(
            `unknown option "${argument}"${didYouMean(argument, optionNames) || ', see recado --help'}`,
          )
        }
        throw new UsageError(
          `unknown command "${argument}"${didYouMean(argument, subcommands) || ', see recado --help'}`,
        )
    }
  }
  return { kind: isTest ? 'test-config' : 'serve', commandLine: { configFile, dataFolder, ports, verbose, quiet } }
}

/** `--port=1884` and `-p1884` as two arguments. */
function split(argument: string): string[] {
  const long = /^(--[\w-]+)=(.*)$/s.exec(argument)
  if (long !== null) return [long[1]!, long[2]!]
  const short = argument.slice(0, 2)
  return argument.length > 2 && short in withValue ? [short, argument.slice(2)] : [argument]
}

function parsePort(word: string): number {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : 0
  if (port < 1 || port > 65_535) throw new UsageError(`-p needs a port from 1 to 65535, not "${word}"`)
  return port
}
