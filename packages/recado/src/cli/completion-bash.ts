/** The script of `recado completion bash`: one function for all names of the program. */
import type { Completion } from '../command-table.ts'
import type { CompletedCommand } from './completed-command.ts'

const words = (list: readonly string[]): string => list.join(' ')

/** Shell command that fills COMPREPLY. */
function reply(completes: Completion | undefined): string {
  if (completes === undefined) return ':'
  if (completes === 'file') return '_recado_files -f'
  if (completes === 'folder') return '_recado_files -d'
  if (completes === 'host') return '_recado_words "$(_recado_hosts)"'
  if (completes === 'process') return '_recado_words "$(ps -eo pid= 2>/dev/null)"'
  return `_recado_words '${words(completes)}'`
}

function caseOf(command: CompletedCommand): string {
  const lines = [`    ${command.name === '' ? "''" : command.name})`]
  const withValue = command.options.filter(({ value }) => value !== undefined)
  if (withValue.length > 0) {
    lines.push('      case $previous in')
    for (const { names, completes } of withValue)
      lines.push(`        ${names.join('|')}) ${reply(completes)}; return ;;`)
    lines.push('      esac')
  }
  lines.push(`      options='${words(command.options.flatMap(({ names }) => names))}'`)
  const operands = command.operands.map(({ completes }) => completes).filter((each) => each !== undefined)
  if (command.second !== null)
    lines.push(`      operands() { _recado_words ${command.second}; ${operands.map(reply).join('; ')}; }`)
  else if (operands.length > 0) lines.push(`      operands() { ${operands.map(reply).join('; ')}; }`)
  lines.push('      ;;')
  return lines.join('\n')
}

export function bashScript(commands: readonly CompletedCommand[]): string {
  const programs = commands.flatMap(({ mosquitto }) => mosquitto ?? [])
  const named = commands.filter(({ mosquitto }) => mosquitto !== null)
  return `# bash completion for recado, made by: recado completion bash

_recado_words() { COMPREPLY+=( $(compgen -W "$1" -- "$current") ); }

_recado_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY+=( $(compgen "$1" -- "$current") )
}

_recado_hosts() {
  printf 'localhost\\n'
  [ -r /etc/hosts ] && sed -e 's/#.*//' -e 's/^[^[:space:]]*//' /etc/hosts
}

_recado() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous='' command='' options='' first=1
  [ "$COMP_CWORD" -gt 0 ] && previous=\${COMP_WORDS[COMP_CWORD-1]}
  # --name=value comes as three words.
  if [ "$current" = = ]; then current=''; elif [ "$previous" = = ]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  operands() { :; }
  case \${COMP_WORDS[0]##*/} in
${named.map(({ mosquitto, name }) => `    ${mosquitto}) command='${name}'; first=0 ;;`).join('\n')}
    *) [ "$COMP_CWORD" -gt 1 ] && command=\${COMP_WORDS[1]} ;;
  esac
  if [ "$first" = 1 ] && [ "$COMP_CWORD" -le 1 ] && [[ $current != -* ]]; then
    _recado_words '${words(commands.map(({ name }) => name).filter((name) => name !== ''))}'
    return
  fi
  [[ $command == -* ]] && command=''
  case $command in
${commands.map(caseOf).join('\n')}
    *) return ;;
  esac
  if [[ $current == -* ]]; then _recado_words "$options"; else operands; fi
}

complete -F _recado recado ${words(programs)}
`
}
