/**
 * `recado completion SHELL`: a script that makes bash, zsh or fish complete the commands of this program, made from the
 * tables of their arguments.
 *
 * Called by `main.ts`. `completion-bash.ts` and its like write the scripts; names of Mosquitto's programs are completed
 * as well, where they are links to this one (`recado link`) or Mosquitto's own, whose options are among ours.
 */

import { brokerCommand } from '../arguments.ts'
import type { Command } from '../command-table.ts'
import { helpRow } from '../command-table.ts'
import { commandTable } from '../commands.ts'
import type { Io } from '../io.ts'
import type { CompletedCommand } from './completed-command.ts'
import { bashScript } from './completion-bash.ts'
import { fishScript } from './completion-fish.ts'
import { zshScript } from './completion-zsh.ts'
import { runTool } from './store-folder.ts'

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript }
type Shell = keyof typeof scripts
const shells = Object.keys(scripts) as Shell[]

export const command: Command = {
  name: 'completion',
  summary: 'prints a script that makes a shell complete commands, options and values.',
  usage: ['SHELL'],
  introduction: `  bash: {program} bash > ~/.local/share/bash-completion/completions/recado
  zsh:  {program} zsh > ~/.zsh/completions/_recado     with that folder in fpath, before compinit
  fish: {program} fish > ~/.config/fish/completions/recado.fish

For now only: source <({program} bash)`,
  operands: [{ name: 'SHELL', help: 'bash, zsh or fish', completes: shells }],
  groups: [{ options: [helpRow] }],
  notes: `For the names of Mosquitto's programs bash and fish need the same script under their names too (mosquitto_pub, mosquitto_sub.fish).
Exit code: 0.`,
}

export function runCompletion(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async ({ operands }) => {
    io.stdout.write(scripts[operands[0] as Shell](await completedCommands()))
    return 0
  })
}

async function completedCommands(): Promise<readonly CompletedCommand[]> {
  const broker = completed(brokerCommand, 'the broker', 'mosquitto')
  const others = commandTable.map(async ({ does, mosquitto, load }) => {
    return completed((await load()).command, does, mosquitto ?? null)
  })
  return [broker, ...(await Promise.all(others))]
}

function completed(of: Command, does: string, mosquitto: string | null): CompletedCommand {
  const [name = '', second = null] = of.name.split(' ')
  const options = of.groups
    .flatMap((group) => group.options)
    .filter(({ names, isHidden }) => isHidden !== true && names[0]!.startsWith('-'))
  return { name, second, mosquitto, does, options, operands: of.operands ?? [] }
}
