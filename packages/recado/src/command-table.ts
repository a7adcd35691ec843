/**
 * The arguments of a command as a table: `--help`, the completion of shells and parsing use the same rows.
 *
 * Each command has one (`command` in its file); `commands.ts` has them all. `pub`, `sub` and `rr` parse by themselves,
 * in the manner of Mosquitto; the others call `parseCommand`. Invariant: an argument is understood or refused, never
 * ignored.
 */
import { didYouMean } from './config/suggest.ts'

/** Kind of a value, so that a shell can complete it. */
export type Completion = 'file' | 'folder' | 'host' | 'process' | readonly string[]

export interface OptionRow {
  /** Names as they are typed, the short one first: `-h`, `--host`. */
  readonly names: readonly string[]
  /** Name of the value in `--help`, such as `HOST`; absent when the option takes none. */
  readonly value?: string
  /** Lines of help; a further line begins after a line feed. */
  readonly help: string
  readonly completes?: Completion
  /** Whether it may be given several times. */
  readonly repeats?: true
  /** Whether it is understood, but neither in `--help` nor completed. */
  readonly isHidden?: true
}

export interface OptionGroup {
  /** Title of the group; absent when it has none. */
  readonly title?: string
  readonly options: readonly OptionRow[]
  /** Lines behind the options. */
  readonly note?: string
}

export interface Operand {
  readonly name: string
  readonly help?: string
  readonly isOptional?: true
  /** Whether any number may stand there; only for the last. */
  readonly repeats?: true
  readonly completes?: Completion
}

export interface Command {
  /** Name: `pub`, or `acl check`; the broker's is empty. */
  readonly name: string
  /** Text behind `recado NAME: `. */
  readonly summary: string
  /** Usage lines without `recado NAME`. */
  readonly usage: readonly string[]
  /** Whole paragraphs between the usage and the options. */
  readonly introduction?: string
  readonly operands?: readonly Operand[]
  readonly groups: readonly OptionGroup[]
  /** Whole paragraphs at the end. */
  readonly notes?: string
}

/** Error in a command line, or work that cannot be done; `message` is one line for people. */
export class ToolError extends Error {
  override readonly name = 'ToolError'
}

export const helpRow: OptionRow = { names: ['-h', '--help'], help: 'show this help' }

/** Row for commands of which -h is the host. */
export const longHelpRow: OptionRow = { names: ['--help'], help: 'show this help' }

/** Left column: `-h, --host HOST`; a long name without a short one stands in the column of the long ones. */
function left({ names, value }: OptionRow): string {
  const [first = ''] = names
  const text = names.join(', ')
  const named = first.startsWith('--') ? `    ${text}` : text
  return value === undefined ? named : `${named} ${value}`
}

/**
 * Returns the text of `--help`, with a line feed at the end. `program` is the name by which the command was called,
 * `recado pub` or `mosquitto_pub`.
 */
export function helpText(command: Command, program: string = programOf(command)): string {
  const { summary, usage, introduction, operands = [], groups, notes } = command
  const described = operands.filter(({ help }) => help !== undefined)
  const shown = groups.map(({ options }) => options.filter(({ isHidden }) => isHidden !== true))
  const rows = shown.flat()
  const width = Math.min(
    30,
    Math.max(...rows.map((row) => left(row).length), ...described.map(({ name }) => name.length)),
  )
  const line = (text: string, help: string): string => {
    const [first, ...more] = help.split('\n')
    const margin = ' '.repeat(width + 4)
    const head = text.length <= width ? `  ${text.padEnd(width)}  ${first}` : `  ${text}\n${margin}${first}`
    return [head, ...more.map((each) => margin + each)].join('\n')
  }
  const parts = [`${program}: ${summary}`]
  parts.push(usage.map((each, index) => `${index === 0 ? 'Usage:' : '      '} ${program} ${each}`.trimEnd()).join('\n'))
  if (introduction !== undefined) parts.push(introduction.replaceAll('{program}', program))
  const own = described.map(({ name, help }) => line(name, help!))
  for (const [index, { title, note }] of groups.entries()) {
    const lines = [...(index === 0 ? own : []), ...shown[index]!.map((option) => line(left(option), option.help))]
    if (title !== undefined) lines.unshift(`${title}:`)
    if (note !== undefined) lines.push(...note.split('\n'))
    parts.push(lines.join('\n'))
  }
  if (notes !== undefined) parts.push(notes.replaceAll('{program}', program))
  return `${parts.join('\n\n')}\n`
}

const programOf = ({ name }: Command): string => `recado ${name}`.trimEnd()

export interface ParsedCommand {
  readonly isHelp: boolean
  /** Values of each option in order, by the last of its names (`--host`). */
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly operands: readonly string[]
}

export const isGiven = ({ values }: ParsedCommand, name: string): boolean => values.has(name)

/** Value of an option that may be given once. */
export const valueIn = ({ values }: ParsedCommand, name: string): string | undefined => values.get(name)?.[0]

/**
 * Parses a command line: `--name value`, `--name=value`, `-n value`, `-nvalue`; `--` ends the options. @param
 * optionsFirst whether nothing behind the first operand is an option (a password may begin with a dash) @throws
 * ToolError
 */
export function parseCommand(command: Command, argv: readonly string[], optionsFirst: boolean = false): ParsedCommand {
  const rows = new Map<string, OptionRow>()
  for (const { options } of command.groups) for (const row of options) for (const name of row.names) rows.set(name, row)
  const values = new Map<string, string[]>()
  const operands: string[] = []
  const see = `, see ${programOf(command)} --help`
  let hasEnded = false
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index]!
    if (hasEnded || argument === '-' || !argument.startsWith('-')) {
      operands.push(argument)
      hasEnded ||= optionsFirst
      continue
    }
    if (argument === '--') {
      hasEnded = true
      continue
    }
    const [given, attached] = split(argument, rows)
    const row = rows.get(given)
    if (row === undefined) {
      // Among names of one letter every other one is one away.
      const names = given.startsWith('--') ? [...rows.keys()].filter((name) => name.startsWith('--')) : []
      throw new ToolError(`unknown option "${given}"${didYouMean(given, names) || see}`)
    }
    if (row === helpRow || row === longHelpRow) return { isHelp: true, values, operands }
    const name = row.names.at(-1)!
    const before = values.get(name)
    if (row.value === undefined) {
      if (attached !== undefined) throw new ToolError(`${given} takes no value`)
      values.set(name, [])
      continue
    }
    const value = attached ?? argv[++index]
    if (value === undefined) throw new ToolError(`${given} needs a value`)
    if (before !== undefined && row.repeats === undefined) throw new ToolError(`${given} may be given once`)
    const choices = row.completes
    if (Array.isArray(choices) && !choices.includes(value)) {
      throw new ToolError(`${given} ${value}: there is ${choices.join(', ')}${didYouMean(value, choices)}`)
    }
    values.set(name, [...(before ?? []), value])
  }
  checkOperands(command, operands, see)
  return { isHelp: false, values, operands }
}

function split(argument: string, rows: ReadonlyMap<string, OptionRow>): [name: string, value: string | undefined] {
  const long = /^(--[\w-]+)=(.*)$/s.exec(argument)
  if (long !== null) return [long[1]!, long[2]!]
  const short = argument.slice(0, 2)
  const isAttached = argument.length > 2 && !rows.has(argument) && rows.get(short)?.value !== undefined
  return isAttached ? [short, argument.slice(2)] : [argument, undefined]
}

function checkOperands({ operands: wanted = [] }: Command, given: readonly string[], see: string): void {
  const missing = wanted.slice(given.length).filter(({ isOptional }) => isOptional !== true)
  if (missing.length > 0) throw new ToolError(`${missing.map(({ name }) => name).join(' and ')} missing${see}`)
  if (given.length > wanted.length && wanted.at(-1)?.repeats !== true)
    throw new ToolError(`"${given[wanted.length]}" is one argument too many${see}`)
}
