/**
 * The program `recado`: Mosquitto's arguments without a subcommand run the broker, `pub`, `sub` and `rr` the clients.
 *
 * `bin/recado.js` calls `main` and exits with what it resolves with. Subcommands are loaded when they are asked for:
 * a client does not load the broker. The invariant: what is foreseen is one line on stderr and a non-zero exit code,
 * never a stack.
 */

import { helpText, parseArguments, UsageError } from './arguments.ts'
import type { CommandLine } from './config/config.ts'
import { brokerIo, type Io, processIo } from './io.ts'
import { version } from './version.ts'

/** @param argv without node and script. Resolves with the exit code. */
export async function main(argv: readonly string[], io: Io = processIo): Promise<number> {
  const [subcommand, ...rest] = argv
  hideSecrets(argv, io)
  switch (subcommand) {
    case 'pub':
      return (await import('./cli/pub.ts')).runPub(rest, io)
    case 'sub':
      return (await import('./cli/sub.ts')).runSub(rest, io)
    case 'rr':
      return (await import('./cli/rr.ts')).runRr(rest, io)
    case 'bench':
      return (await import('./cli/bench.ts')).runBench(rest, io)
    case 'inspect':
      return (await import('./cli/inspect.ts')).runInspect(rest, io)
    case 'export':
      return (await import('./cli/export.ts')).runExport(rest, io)
    case 'import':
      return (await import('./cli/import.ts')).runImport(rest, io)
    case 'passwd':
      return (await import('./cli/passwd.ts')).runPasswd(rest, io)
    case 'acl':
      return (await import('./cli/acl.ts')).runAcl(rest, io)
    case 'backup':
      return (await import('./cli/backup.ts')).runBackup(rest, io)
    default:
      return runBroker(argv, io)
  }
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
        return await runServe(command.commandLine, io)
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.stderr.write(`recado: ${error.message}\n`)
    return 1
  }
}

async function runServe(commandLine: CommandLine, io: Io): Promise<number> {
  const { serve } = await import('./serve.ts')
  if (io !== processIo) return serve(commandLine, io)
  const own = brokerIo()
  try {
    return await serve(commandLine, own)
  } finally {
    own.close()
  }
}

const secretOptions = /^(?:-b|-P.*|--pw.*|--password.*|--psk.*|-L|--url.*)$/

/** A password on the command line is not to stay in the process list. It was there for a moment: a file or a prompt is better. */
function hideSecrets(argv: readonly string[], io: Io): void {
  if (io === processIo && argv.some((argument) => secretOptions.test(argument))) process.title = `recado ${argv[0]}`
}
