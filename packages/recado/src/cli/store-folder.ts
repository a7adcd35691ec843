/**
 * The data folder of the store tools: its path, opening it, and the common form of failures: a line on stderr, exit
 * code 1.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { lmdbFile, lmdbReader, type StoreReader } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import {
  type Command,
  helpText,
  isGiven,
  type OptionRow,
  type ParsedCommand,
  parseCommand,
  ToolError,
  valueIn,
} from '../command-table.ts'
import { loadConfig } from '../config/config.ts'
import { ConfigError } from '../config/parse.ts'
import type { Io } from '../io.ts'

/** Opens it for reading; a broker may use it meanwhile. @throws ToolError, MqttError ERR_MQTT_STORE_… */
export async function openFolder(folder: string): Promise<StoreReader> {
  const path = resolve(folder)
  if (!existsSync(lmdbFile(path))) {
    throw new ToolError(`there is no data in ${path} (no ${lmdbFile(path)}): name the broker's data folder`)
  }
  return lmdbReader(path)
}

/** Options that select the data folder. */
export const folderRows: readonly OptionRow[] = [
  {
    names: ['--data'],
    value: 'FOLDER',
    help: "the broker's data folder (default: the one that the broker would take, ./data)",
    completes: 'folder',
  },
  {
    names: ['-c', '--config-file'],
    value: 'FILE',
    help: "the broker's configuration: its persistence_location is the folder",
    completes: 'file',
  },
]

/**
 * Path of the data folder: the operand, that of `folderRows`, else the broker's own choice. @throws ToolError,
 * ConfigError
 */
export function dataFolderOf(parsed: ParsedCommand, operand?: string): string {
  const configFile = valueIn(parsed, '--config-file') ?? null
  const given = operand ?? valueIn(parsed, '--data')
  const config = loadConfig({ configFile, dataFolder: given ?? null, ports: [], verbose: false, quiet: false })
  if (given === undefined && config.durability === 'memory') {
    throw new ToolError(`${configFile}: with this configuration nothing is kept, so there is no data folder to read`)
  }
  return config.dataFolder
}

/** Option for programs that read the result. */
export const jsonRow: OptionRow = { names: ['--json'], help: 'prints the result as one JSON object on stdout' }

/** Prints a result for programs where `--json` asks for it. Returns whether it does. */
export function printsJson(parsed: ParsedCommand, io: Pick<Io, 'stdout'>, result: object): boolean {
  const isAsked = isGiven(parsed, '--json')
  if (isAsked) io.stdout.write(`${JSON.stringify(result)}\n`)
  return isAsked
}

/** Reports the result of a tool: a line for people on stderr, or with `--json` an object on stdout. */
export function report(parsed: ParsedCommand, io: Pick<Io, 'stdout' | 'stderr'>, result: object, line: string): void {
  if (!printsJson(parsed, io, result)) io.stderr.write(`${line}\n`)
}

/**
 * Parses the arguments and runs a tool, or prints its help; a foreseen failure is a line and exit code 1. @param
 * optionsFirst as in `parseCommand`
 */
export async function runTool(
  command: Command,
  argv: readonly string[],
  io: Pick<Io, 'stdout' | 'stderr'>,
  run: (parsed: ParsedCommand) => Promise<number>,
  optionsFirst: boolean = false,
): Promise<number> {
  try {
    const parsed = parseCommand(command, argv, optionsFirst)
    if (!parsed.isHelp) return await run(parsed)
    io.stdout.write(helpText(command))
    return 0
  } catch (error) {
    if (!isForeseen(error)) throw error
    io.stderr.write(`recado ${command.name}: ${error.message}\n`)
    return 1
  }
}

/** Whether the error is ours, or the operating system's, as for a file that cannot be opened. */
export function isForeseen(error: unknown): error is Error {
  return (
    error instanceof ToolError ||
    error instanceof MqttError ||
    error instanceof ConfigError ||
    (error as NodeJS.ErrnoException).syscall !== undefined
  )
}
