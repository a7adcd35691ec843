/**
 * The command lines of `recado inspect`, `export`, `import` and `backup`: flags, operands, and which data folder is meant.
 *
 * The invariant: an argument is understood or refused, never ignored.
 */
import { loadConfig } from '../config/config.ts'
import { didYouMean } from '../config/suggest.ts'

/** A command line that cannot be understood, or work that cannot be done; `message` is one line for people. */
export class ToolError extends Error {
  override readonly name = 'ToolError'
}

export interface StoreCommand {
  readonly command: 'inspect' | 'export' | 'import' | 'backup'
  /** Names of what stands after the options, as in the help. */
  readonly operands: readonly string[]
  /** Operands that must be there. */
  readonly required: number
  readonly flags: readonly string[]
  /** Takes `-c` and `--data` to say which folder is meant. */
  readonly findsFolder: boolean
}

export interface StoreArguments {
  readonly isHelp: boolean
  readonly operands: readonly string[]
  readonly flags: ReadonlySet<string>
  readonly dataFolder: string | null
  readonly configFile: string | null
}

/** @throws ToolError */
export function parseStoreArguments(spec: StoreCommand, argv: readonly string[]): StoreArguments {
  const operands: string[] = []
  const flags = new Set<string>()
  const values: Record<string, string | null> = { '--data': null, '--config-file': null }
  const valueNames = spec.findsFolder ? Object.keys(values) : []
  const see = `, see recado ${spec.command} --help`
  const rest = argv.flatMap((argument) => /^(--[\w-]+)=(.*)$/s.exec(argument)?.slice(1) ?? [argument])
  for (let index = 0; index < rest.length; index++) {
    const argument = rest[index]!
    const name = argument === '-c' ? '--config-file' : argument
    if (argument === '-h' || argument === '--help') {
      return { isHelp: true, operands, flags, dataFolder: null, configFile: null }
    }
    if (valueNames.includes(name)) {
      const value = rest[++index]
      if (value === undefined) throw new ToolError(`${argument} needs a value`)
      if (values[name] !== null) throw new ToolError(`${argument} may be given once`)
      values[name] = value
    } else if (spec.flags.includes(name)) {
      flags.add(name)
    } else if (name.startsWith('-') && name !== '-') {
      const known = [...spec.flags, ...valueNames, '--help']
      throw new ToolError(`unknown option "${argument}"${didYouMean(argument, known) || see}`)
    } else {
      operands.push(argument)
    }
  }
  if (operands.length < spec.required) {
    throw new ToolError(`${spec.operands.slice(operands.length, spec.required).join(' and ')} missing${see}`)
  }
  if (operands.length > spec.operands.length) {
    throw new ToolError(`"${operands[spec.operands.length]}" is one argument too many${see}`)
  }
  return { isHelp: false, operands, flags, dataFolder: values['--data']!, configFile: values['--config-file']! }
}

/**
 * The data folder: what was given, else what the broker itself would take with that configuration.
 * @throws ToolError, ConfigError
 */
export function dataFolderOf(given: string | undefined | null, configFile: string | null): string {
  const config = loadConfig({ configFile, dataFolder: given ?? null, ports: [], verbose: false, quiet: false })
  if (given === undefined || given === null) {
    if (config.durability === 'memory') throw new ToolError(`${configFile}: with this configuration nothing is kept`)
  }
  return config.dataFolder
}
