/** The script of `recado completion fish`: a line for each command, option and value. */
import type { Completion, OptionRow } from '../command-table.ts'
import { type CompletedCommand, shortHelp } from './completed-command.ts'

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** Returns arguments of `complete` for a value: only these words, or files too. */
function values(completes: Completion | undefined): string {
  if (completes === undefined) return '-x'
  if (completes === 'file') return '-r -F'
  if (completes === 'folder') return "-x -a '(__fish_complete_directories)'"
  if (completes === 'host') return "-x -a '(__fish_print_hostnames)'"
  if (completes === 'process') return "-x -a '(__fish_complete_pids)'"
  return `-x -a ${quoted(completes.join(' '))}`
}

function optionLine(head: string, row: OptionRow): string {
  const names = row.names.map((name) => {
    if (name.startsWith('--')) return `-l ${name.slice(2)}`
    return name.length === 2 ? `-s ${name.slice(1)}` : `-o ${name.slice(1)}`
  })
  const value = row.value === undefined ? '' : ` ${values(row.completes)}`
  return `${head} ${names.join(' ')}${value} -d ${quoted(shortHelp(row))}`
}

function linesOf(command: CompletedCommand): string[] {
  const { name, second, mosquitto, does, options, operands } = command
  const own = name === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${name}`
  const heads = [`complete -c recado -n ${quoted(own)}`, ...(mosquitto === null ? [] : [`complete -c ${mosquitto}`])]
  const lines: string[] = []
  if (name !== '') lines.push(`complete -c recado -n __fish_use_subcommand -a ${name} -d ${quoted(does)}`)
  for (const head of heads) {
    lines.push(...options.map((row) => optionLine(head, row)))
    if (second !== null) lines.push(`${head} -a ${second}`)
    for (const { completes } of operands) {
      if (completes !== undefined) lines.push(`${head} ${values(completes).replace('-r -F', '-F').replace('-x ', '')}`)
    }
  }
  return lines
}

export function fishScript(commands: readonly CompletedCommand[]): string {
  const programs = ['recado', ...commands.flatMap(({ mosquitto }) => mosquitto ?? [])]
  return [
    '# fish completion for recado, made by: recado completion fish',
    // No files except where a value is one.
    ...programs.map((program) => `complete -c ${program} -f`),
    ...commands.flatMap(linesOf),
    '',
  ].join('\n')
}
