/**
 * The broker's own command line: `--help`, `--version`, `--test-config`, and running it, detached with `-d`.
 *
 * Called by `main.ts` when the first argument is no subcommand. Invariant: a command line that cannot be understood is one line on stderr and exit code 3.
 */

import { type BrokerCommand, brokerHelp, parseArguments, UsageError } from './arguments.ts'
import { versionLine } from './cli/manner.ts'
import { isDetached, startDetached } from './detach.ts'
import { ExitCode } from './exit-codes.ts'
import { brokerIo, type Io, processIo } from './io.ts'
import { helpHead, mannerFrom, refusalOf } from './mosquitto-arguments.ts'
import { version } from './version.ts'

/**
 * Runs the broker, or what its command line asks for instead. Resolves with the exit code.
 *
 * @param watchOutput called where something is printed with Node's own streams, which a running broker must not have
 * @param invokedAs name of Mosquitto's program by which it was started
 */
export async function runBroker(
  argv: readonly string[],
  io: Io,
  watchOutput: () => void,
  invokedAs: string | undefined,
): Promise<number> {
  const manner = mannerFrom(argv, invokedAs)
  const refusal = manner === null ? null : refusalOf(argv, manner, Date.now())
  if (refusal !== null) {
    io.stderr.write(refusal)
    return ExitCode.Configuration
  }
  try {
    const command = parseArguments(argv, invokedAs)
    if (command.kind !== 'serve') watchOutput()
    switch (command.kind) {
      case 'help':
        // Scripts read the version from the first line of Mosquitto's.
        if (command.asMosquitto !== null) io.stdout.write(helpHead(command.asMosquitto))
        io.stdout.write(brokerHelp())
        // As Mosquitto 2.0 does.
        return command.asMosquitto === '2.0' ? ExitCode.Configuration : 0
      case 'version':
        io.stdout.write(
          command.asMosquitto === null
            ? `recado ${version}\n`
            : versionLine({ program: 'mosquitto', mosquitto: command.asMosquitto }),
        )
        return 0
      case 'test-config':
        return (await import('./serve.ts')).testConfig(command.commandLine, io)
      default:
        return await runServe(command, io, invokedAs)
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.stderr.write(`recado: ${error.message}\n`)
    return ExitCode.Configuration
  }
}

async function runServe(
  { commandLine, isDetached: isToDetach }: Extract<BrokerCommand, { kind: 'serve' }>,
  io: Io,
  name: string | undefined,
): Promise<number> {
  if (isToDetach && io === processIo && !isDetached()) return startDetached(io.stderr)
  const { serve } = await import('./serve.ts')
  if (io !== processIo) return serve(commandLine, io)
  const own = brokerIo(name)
  try {
    return await serve(commandLine, own)
  } finally {
    own.close()
  }
}
