/**
 * The words of Mosquitto's broker for a command line that it refuses, and for its help: for `--as-mosquitto` and a start by its name.
 *
 * `run-broker.ts` asks before it parses the arguments itself. Invariant: an argument of ours that Mosquitto does not have is left to the
 * parser; nothing here starts anything.
 */
import { accessSync, constants } from 'node:fs'
import { brokerVersion, type MosquittoVersion, mosquittoVersions } from './cli/manner.ts'

/** Options of the broker that take a value, with what Mosquitto calls it; null: ours alone. */
const valued: ReadonlyMap<string, string | null> = new Map([
  ['-c', 'config file'],
  ['--config-file', 'config file'],
  ['-p', 'port'],
  ['--port', 'port'],
  ['--tls-keylog', 'file'],
  ['--data', null],
  ['--as-mosquitto', null],
])
const flags: ReadonlySet<string> = new Set([
  '-d',
  '--daemon',
  '-h',
  '--help',
  '-v',
  '--verbose',
  '-q',
  '--quiet',
  '--test-config',
  '--version',
])

/** Version of Mosquitto for a command line of the broker; null: none, or one that the parser refuses. */
export function mannerFrom(argv: readonly string[], invokedAs: string | undefined): MosquittoVersion | null {
  const at = argv.findIndex((argument) => argument.startsWith('--as-mosquitto'))
  const given =
    at < 0 ? undefined : argv[at] === '--as-mosquitto' ? argv[at + 1] : argv[at]!.slice('--as-mosquitto='.length)
  return mosquittoVersions.find((each) => each === given) ?? (at < 0 && invokedAs === 'mosquitto' ? '2.1' : null)
}

/** Head of the help, as scripts know it; the rest is ours. */
export const helpHead = (version: MosquittoVersion): string =>
  `${brokerVersion(version)}\n\nUsage: mosquitto [-c config_file] [-d] [-h] [-p port]${version === '2.0' ? '' : ' [-v]'}\n\n`

/** Text of Mosquitto for stderr about a command line that it refuses; null when it refuses none of the arguments. */
export function refusalOf(argv: readonly string[], version: MosquittoVersion, nowMs: number): string | null {
  const says = (text: string): string => `${Math.floor(nowMs / 1000)}: Error: ${text}\n`
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index]!
    if (argument === '-h' || argument === '--help') return null
    if (flags.has(argument) || /^--(?:data|as-mosquitto)=/.test(argument)) continue
    const what = valued.get(argument)
    if (what === undefined) return `Error: Unknown option '${argument}'.\n`
    const value = argv[++index]
    if (what === null) continue
    if (value === undefined) return says(`${argument} argument given, but no ${what} specified.`)
    if (what === 'port') {
      const port = Math.trunc(Number.parseFloat(value)) || 0
      if (port < 1 || port > 65_535) return says(`Invalid port specified (${port}).`)
    }
    if (what === 'config file' && !isReadable(value)) {
      return says(`Unable to open config file ${version === '2.0' ? value : `'${value}'`}.`)
    }
  }
  return null
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    // Missing or forbidden: Mosquitto does not say which.
    return false
  }
}
