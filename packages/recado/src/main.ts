/**
 * The program `recado`: Mosquitto's arguments without a subcommand run the broker, `pub`, `sub` and `rr` the clients.
 *
 * `bin/recado.js` calls `main` and exits with its result. Subcommands are loaded when they are asked for: a client does
 * not load the broker. Invariant: a foreseen failure is one line on stderr and a non-zero exit code, never a stack.
 */

import { argumentsAsGiven, invalidByteOf } from './argument-bytes.ts'
import { isReaderGone } from './cli/io.ts'
import { commandTable, toolCalled } from './commands.ts'
import { type Io, processIo } from './io.ts'

/**
 * @param argv without node and script
 * @param program path by which the program was called; by the name of one of Mosquitto's it is that one
 * @returns the exit code, when all is done
 */
export async function main(argv: readonly string[], io: Io = processIo, program: string = ''): Promise<number> {
  const tool = toolCalled(program)
  const named = commandFirst(tool === null || tool.name === '' ? argv : [tool.name, ...argv])
  if (io !== processIo) return run(named, io, new OutputWatch(io), tool?.mosquitto)
  let given: readonly string[]
  try {
    given = argumentsAsGiven(argv)
    if (tool !== null && tool.name !== '') given = [tool.name, ...given]
    given = commandFirst(given)
    mustBeText(given)
  } catch (error) {
    io.stderr.write(`recado: ${(error as Error).message}\n`)
    return 1
  }
  hideSecrets(given)
  const output = new OutputWatch(io)
  const code = await run(given, io, output, tool?.mosquitto)
  return code === 0 ? output.exitCode() : code
}

async function run(
  argv: readonly string[],
  io: Io,
  output: OutputWatch,
  invokedAs: string | undefined,
): Promise<number> {
  const [subcommand, ...rest] = argv
  const entry = commandTable.find(({ name }) => name === subcommand)
  if (entry === undefined) {
    // The tools must not load what the broker needs: a shell's loop of `recado pub` would wait for it each time.
    return (await import('./run-broker.ts')).runBroker(argv, io, () => output.begin(), invokedAs)
  }
  output.begin()
  return (await entry.load()).run(rest, io, invokedAs)
}

/** `--as-mosquitto VERSION` in front of a command is for that command. */
function commandFirst(argv: readonly string[]): readonly string[] {
  const [option = '', second = '', third] = argv
  const isCommand = (word: string | undefined): boolean => commandTable.some(({ name }) => name === word)
  if (option === '--as-mosquitto' && isCommand(third)) return [third!, option, second, ...argv.slice(3)]
  if (option.startsWith('--as-mosquitto=') && isCommand(second)) {
    return [second, '--as-mosquitto', option.slice('--as-mosquitto='.length), ...argv.slice(2)]
  }
  return argv
}

const secretOptions = /^(?:-b|-P.*|--pw.*|--password.*|--psk.*|-L|--url.*)$/

/** Whether an argument is a URL with a password in it. */
function hasPassword(argument: string): boolean {
  const start = argument.indexOf('://')
  if (start < 0) return false
  const [authority = ''] = argument.slice(start + 3).split('/', 1)
  return authority.slice(0, authority.indexOf('@') + 1).includes(':')
}

/**
 * Hides passwords of the command line from the process list. They were there for a moment: a file or a prompt is
 * better.
 */
function hideSecrets(argv: readonly string[]): void {
  if (argv.some((argument) => secretOptions.test(argument) || hasPassword(argument)))
    process.title = `recado ${argv[0]}`
}

/** Checks that all arguments are UTF-8. @throws Error for one that is not */
function mustBeText(argv: readonly string[]): void {
  if (commandTable.some(({ name, takesBytes }) => takesBytes === true && name === argv[0])) return
  for (const [index, argument] of argv.entries()) {
    const invalid = invalidByteOf(argument)
    if (invalid !== null) throw new Error(`argument ${index + 1} is not UTF-8 (${invalid})`)
  }
}

/**
 * Watch on standard output: a failure is reported and is exit code 1, unless only its reader has left. A running broker
 * has streams of its own and does not watch these: Node's must not even be made there (`io.ts`).
 */
class OutputWatch {
  readonly #io: Io
  #isWatching = false
  #failure: Error | null = null

  constructor(io: Io) {
    this.#io = io
  }

  begin(): void {
    this.#isWatching = true
    const { stdout, stderr } = this.#io
    stdout.on('error', (error: Error) => {
      // A tool that writes much judges by itself (`Output`).
      if (this.#failure !== null || isReaderGone(error) || stdout.listenerCount('error') > 1) return
      this.#failure = error
      stderr.write(`recado: standard output cannot be written: ${error.message}\n`)
    })
    if (this.#io === processIo) process.stderr.on('error', () => undefined)
  }

  async exitCode(): Promise<number> {
    if (!this.#isWatching) return 0
    // Reported a moment after the write.
    await new Promise((resolve) => setImmediate(resolve))
    return this.#failure === null ? 0 : 1
  }
}
