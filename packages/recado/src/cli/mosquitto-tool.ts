/**
 * First steps of `recado pub`, `sub` and `rr`: parse the arguments, answer `--help` and `--version`, and report mistakes,
 * with the text and the exit code of Mosquitto's tool where the program was started under its name.
 */
import { type Command, helpText } from '../command-table.ts'
import type { CliIo } from './io.ts'
import { helpExitCode, type Manner, versionLine } from './manner.ts'
import { ExitCode } from './mosquitto-messages.ts'
import { parseArguments } from './mosquitto-options.ts'
import type { Tool, ToolOptions } from './tool-options.ts'

/** Arguments of a tool, and where its output goes. */
export interface ToolCall {
  readonly argv: readonly string[]
  readonly io: CliIo
  /** Name of Mosquitto's tool by which the program was started; undefined for `recado pub` and the like. */
  readonly invokedAs: string | undefined
}

/** Runs a tool by its arguments. Returns the exit code. */
export async function runMosquittoTool(
  tool: Tool,
  command: Command,
  { argv, io, invokedAs }: ToolCall,
  run: (options: ToolOptions, manner: Manner) => Promise<number>,
): Promise<number> {
  const parsed = parseArguments(tool, argv, io.env ?? process.env, invokedAs)
  switch (parsed.kind) {
    case 'help':
      io.stdout.write(helpText(command, parsed.manner.program))
      return helpExitCode(parsed.manner)
    case 'version':
      io.stdout.write(versionLine(parsed.manner))
      return helpExitCode(parsed.manner)
    case 'error':
      io.stderr.write(parsed.error)
      return ExitCode.Failure
    default:
      return await run(parsed.options, parsed.manner)
  }
}
