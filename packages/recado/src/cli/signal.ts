/**
 * `recado signal`: mosquitto_signal of Mosquitto 2.1, for brokers of both kinds: sends a signal to one process, or to
 * all brokers.
 *
 * Called by `main.ts`. Two differences, on purpose: a signal that could not be sent is exit code 1, where
 * mosquitto_signal ends with 0; and in our own manner so is `-a` when no broker runs.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { type Command, helpText } from '../command-table.ts'
import { commandTable } from '../commands.ts'
import { didYouMean } from '../config/suggest.ts'
import type { Io } from '../io.ts'
import { asMosquitto } from './connection-options.ts'
import { helpExitCode, mannerOf } from './manner.ts'
import { systemErrorText } from './mosquitto-messages.ts'
import { atoi } from './option-spec.ts'

/** First real-time signal of Linux, as glibc and musl count; Node has no name for it. */
const SIGRTMIN = 34

interface SignalRow {
  readonly name: string
  readonly signal: number
  readonly help: string
}

const { SIGHUP, SIGINT, SIGUSR1, SIGUSR2 } = constants.signals

/** Words of mosquitto_signal, and our own at the end. */
export const signalTable: readonly SignalRow[] = [
  {
    name: 'config-reload',
    signal: SIGHUP,
    help: 'reads the configuration and its files again, and opens the log again',
  },
  { name: 'log-rotate', signal: SIGHUP, help: 'the same, as in Mosquitto' },
  { name: 'shutdown', signal: SIGINT, help: 'ends the broker' },
  { name: 'tree-print', signal: SIGUSR2, help: 'prints the subscriptions' },
  { name: 'xtreport', signal: SIGRTMIN, help: 'opens the log again and nothing else' },
  { name: 'save', signal: SIGUSR1, help: 'says what is saved; Mosquitto saves then' },
]

const names = signalTable.map(({ name }) => name)

export const command: Command = {
  name: 'signal',
  summary: 'sends a signal to a broker, like mosquitto_signal.',
  usage: ['{-a | -p PID} SIGNAL'],
  operands: [{ name: 'SIGNAL', completes: names }],
  groups: [
    {
      options: [
        { names: ['-a'], help: 'every broker of this machine, Recado or Mosquitto, that may be sent signals' },
        { names: ['-p'], value: 'PID', help: 'this process', completes: 'process' },
        {
          names: ['--json'],
          help: 'prints which processes were sent it: {"signal", "sent": [PID, ...], "failed": [...]}',
        },
        asMosquitto,
        { names: ['--help'], help: 'show this help' },
      ],
    },
    { title: 'Signals', options: signalTable.map(({ name, help }) => ({ names: [name], help })) },
  ],
  notes: 'Exit code: 0 when the signal was sent, else 1.',
}

interface Task {
  /** Process id; null for all brokers. */
  readonly pid: number | null
  readonly row: SignalRow
  readonly isJson: boolean
}

export async function runSignal(argv: readonly string[], io: Io, invokedAs?: string): Promise<number> {
  const asked = mannerOf('signal', argv, invokedAs)
  if (typeof asked === 'string') {
    io.stderr.write(asked)
    return 1
  }
  const { manner, rest } = asked
  const task = taskOf(rest)
  if (task === 'help') {
    io.stdout.write(helpText(command, manner.program))
    // A command line without arguments is a mistake, too.
    return rest.length === 0 ? 1 : helpExitCode(manner)
  }
  if (typeof task === 'string') {
    io.stderr.write(task)
    return 1
  }
  const pids = task.pid === null ? brokerPids() : [task.pid]
  if (pids.length === 0 && manner.mosquitto === null) {
    io.stderr.write('Error: No broker is running.\n')
    return 1
  }
  const [sent, failed]: [number[], number[]] = [[], []]
  for (const pid of pids) {
    try {
      process.kill(pid, task.row.signal)
      sent.push(pid)
    } catch (error) {
      io.stderr.write(`Error sending signal to process ${pid}: ${systemErrorText(error as NodeJS.ErrnoException)}\n`)
      failed.push(pid)
    }
  }
  if (task.isJson) io.stdout.write(`${JSON.stringify({ signal: task.row.name, sent, failed })}\n`)
  return failed.length === 0 ? 0 : 1
}

/** Returns the task, `help`, or the text for stderr, in the words of mosquitto_signal. */
function taskOf(argv: readonly string[]): Task | string {
  let pid: number | undefined
  let isAll = false
  let isJson = false
  let index = 0
  for (; index < argv.length; index++) {
    const argument = argv[index]!
    if (argument === '--help') return 'help'
    if (argument === '-a') isAll = true
    else if (argument === '--json') isJson = true
    else if (argument === '-p') {
      const value = argv[++index]
      if (value === undefined) return 'Error: -p argument given but process ID missing.\n'
      pid = atoi(value)
      if (pid < 1) return 'Error: Process ID must be >0.\n'
    } else break
  }
  if (argv.length === 0) return 'help'
  if (isAll && pid !== undefined) return 'Error: -a and -p cannot be used together.\n'
  if (!isAll && pid === undefined) return 'Error: One of -a or -p must be used.\n'
  const word = argv[index]
  if (word === undefined) return 'Error: No signal given.\n'
  const row = signalTable.find(({ name }) => name === word)
  if (row === undefined) return `Error: Unknown signal '${word}'.${didYouMean(word, names).replace(', d', ' D')}\n`
  const surplus = argv[index + 1]
  if (surplus !== undefined) return `Error: Unexpected argument '${surplus}' after the signal.\n`
  return { pid: pid ?? null, row, isJson }
}

/** Process ids of the brokers of this machine, as far as their command lines may be read. */
function brokerPids(): number[] {
  let entries: string[]
  try {
    entries = readdirSync('/proc')
  } catch {
    // They can be found on Linux only.
    return []
  }
  return entries
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isBroker(commandLineOf(pid)))
}

function commandLineOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    // It has ended meanwhile, or may not be read by us.
    return []
  }
}

/**
 * Whether a command line is that of a broker: `mosquitto`, `recado` without a command, either by `node`, or a title
 * that a process has set.
 */
export function isBroker(commandLine: readonly string[]): boolean {
  // A title takes the place of all arguments.
  const words = commandLine
    .filter((word) => word !== '')
    .flatMap((word, index) => (index === 0 ? word.split(' ') : [word]))
  const isNode = /^node(?:js)?$/.test(basename(words[0] ?? ''))
  // Options of `node` itself may come first.
  const rest = isNode
    ? words
        .slice(1)
        .filter(
          (word, index, all) => !word.startsWith('-') || all.slice(0, index).some((each) => !each.startsWith('-')),
        )
    : words
  const [program = '', first = ''] = rest
  const name = basename(program).replace(/:$/, '')
  if (name === 'mosquitto') return true
  return /^recado(?:\.js)?$/.test(name) && !commandTable.some((each) => each.name === first)
}
