/** The script of `recado completion zsh`: a function for each command, with the arguments of `_arguments`. */
import type { Completion, OptionRow } from '../command-table.ts'
import { type CompletedCommand, shortHelp } from './completed-command.ts'

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Escapes characters with a meaning in a specification. */
const escaped = (text: string): string => text.replace(/[\\[\]:]/g, '\\$&')

function action(completes: Completion | undefined): string {
  if (completes === undefined) return ' '
  if (completes === 'file') return '_files'
  if (completes === 'folder') return '_files -/'
  if (completes === 'host') return '_hosts'
  if (completes === 'process') return '_pids'
  return `(${completes.map(escaped).join(' ')})`
}

function specifications(row: OptionRow): string[] {
  const { names, value, completes, repeats } = row
  const before = repeats === true ? '*' : names.length > 1 ? `(${names.join(' ')})` : ''
  const after = value === undefined ? '' : `:${escaped(value)}:${action(completes)}`
  return names.map((name) => quoted(`${before}${name}[${escaped(shortHelp(row))}]${after}`))
}

function functionOf({ name, second, options, operands }: CompletedCommand): string {
  const places = [
    ...(second === null ? [] : [quoted(`1:command:(${second})`)]),
    ...operands.map(({ name: operand, completes }, index) => {
      return quoted(`${index + (second === null ? 1 : 2)}::${escaped(operand)}:${action(completes)}`)
    }),
  ]
  const all = [...options.flatMap(specifications), ...places]
  return `_recado_${name === '' ? 'broker' : name}() {\n  _arguments -s \\\n    ${all.join(' \\\n    ')}\n}\n`
}

export function zshScript(commands: readonly CompletedCommand[]): string {
  const programs = commands.filter(({ mosquitto }) => mosquitto !== null)
  const broker = commands.find(({ name }) => name === '')
  const others = commands.filter(({ name }) => name !== '')
  return `#compdef recado ${programs.map(({ mosquitto }) => mosquitto).join(' ')}
# zsh completion for recado, made by: recado completion zsh

${commands.map(functionOf).join('\n')}
_recado_commands() {
  local -a commands=(
${others.map(({ name, does }) => `    ${quoted(`${name}:${escaped(does)}`)}`).join('\n')}
  )
  _describe command commands
}

_recado() {
  local line state
  case $service in
${programs.map(({ mosquitto, name }) => `    ${mosquitto}) _recado_${name === '' ? 'broker' : name}; return ;;`).join('\n')}
  esac
  if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
    (( $+functions[_recado_$words[2]] )) || return 1
    local name=$words[2]
    shift words
    (( CURRENT-- ))
    _recado_$name
    return
  fi
  _arguments -C \\
    ${broker!.options.flatMap(specifications).join(' \\\n    ')} \\
    '1: :_recado_commands'
}

if [ "$funcstack[1]" = _recado ]; then _recado "$@"; else compdef _recado recado ${programs.map(({ mosquitto }) => mosquitto).join(' ')}; fi
`
}
