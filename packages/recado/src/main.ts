/**
 * The program `recado`: Mosquitto's arguments without a subcommand run the broker, `pub`, `sub` and `rr` the clients.
 *
 * `bin/recado.js` calls `main` and exits with what it resolves with. Subcommands are loaded when they are asked for:
 * a client does not load the broker. The invariant: what is foreseen is one line on stderr and a non-zero exit code,
 * never a stack.
 */
import { existsSync } from 'node:fs'
import { helpText, parseArguments, type Subcommand, subcommands, UsageError } from './arguments.ts'
import { type Io, processIo } from './io.ts'
import { version } from './version.ts'

/** @param argv without node and script. Resolves with the exit code. */
export async function main(argv: readonly string[], io: Io = processIo): Promise<number> {
  const [subcommand, ...rest] = argv
  return isSubcommand(subcommand) ? runSubcommand(subcommand, rest, io) : runBroker(argv, io)
}

const isSubcommand = (word: string | undefined): word is Subcommand =>
  (subcommands as readonly unknown[]).includes(word)

type Run = (argv: readonly string[], io: Io) => Promise<number>

/** `cli/pub.ts` exports `runPub`, and so on. */
async function runSubcommand(name: Subcommand, argv: readonly string[], io: Io): Promise<number> {
  const file = new URL(`./cli/${name}.js`, import.meta.url)
  if (!existsSync(file)) {
    io.stderr.write(`recado: ${name} is not there yet\n`)
    return 1
  }
  const module = (await import(file.href)) as Record<string, Run>
  return module[`run${name[0]!.toUpperCase()}${name.slice(1)}`]!(argv, io)
}

async function runBroker(argv: readonly string[], io: Io): Promise<number> {
  try {
    const command = parseArguments(argv)
    switch (command.kind) {
      case 'help':
        io.stdout.write(helpText)
        return 0
      case 'version':
        io.stdout.write(`recado ${version}\n`)
        return 0
      case 'test-config':
        return (await import('./serve.ts')).testConfig(command.commandLine, io)
      default:
        return await (await import('./serve.ts')).serve(command.commandLine, io)
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.stderr.write(`recado: ${error.message}\n`)
    return 1
  }
}
