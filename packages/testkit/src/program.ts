/**
 * The common parts of this package's programs (`npm run crash`, `fuzz`, `soak`, `attack`, `sim`): options, `--help`,
 * errors, exit codes.
 *
 * Exit codes: the result of `main` (0 or 1), or 2 when it could not do its work: a wrong option, with the usage, or a
 * fault, with its stack.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** Options of a program, as `parseArgs` wants them, without `help`. */
export type ProgramOptions = NonNullable<ParseArgsConfig['options']>
export type Values<Options extends ProgramOptions> = ReturnType<typeof parseArgs<{ options: Options }>>['values']

/** Error: the arguments cannot be used. `message` says what to write instead. */
export class UsageError extends Error {}

/** Parses `args` and runs `main`, unless they ask for help. Returns the exit code; never rejects. */
export async function runProgram<const Options extends ProgramOptions>(
  usage: string,
  options: Options,
  main: (values: Values<Options>) => number | Promise<number>,
  args: string[] = process.argv.slice(2),
): Promise<number> {
  try {
    const { values } = parse(args, options)
    if ((values as { help?: boolean }).help) {
      console.log(usage)
      return 0
    }
    return await main(values as Values<Options>)
  } catch (error) {
    if (error instanceof UsageError) console.error(`${error.message}\n\n${usage}`)
    else console.error(error)
    return 2
  }
}

function parse(args: string[], options: ProgramOptions) {
  try {
    return parseArgs({ args, options: { ...options, help: { type: 'boolean' } } })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** Returns the value of `--name`: a whole number from `min` on. */
export function wholeNumber(name: string, text: string, min = 0): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min)
    throw new UsageError(`--${name} wants a whole number from ${min}, not ${JSON.stringify(text)}`)
  return value
}

/** Returns the value of `--name`: a number above 0, `max` at most. */
export function numberUpTo(name: string, text: string, max: number): number {
  const value = Number(text)
  if (!(value > 0 && value <= max))
    throw new UsageError(`--${name} wants a number above 0, ${max} at most, not ${JSON.stringify(text)}`)
  return value
}

/** Random seed, for runs that need not be repeated. */
export function anySeed(): string {
  return String(Date.now() % 1_000_000)
}

/** Goes to the beginning of the line of a terminal, and clears it. */
const CLEAR = '\r\x1b[K'

/** The progress of a long run on stderr: on a terminal one line that changes, elsewhere line by line. */
export class ProgressLine {
  readonly #isTerminal: boolean = process.stderr.isTTY === true

  /** Shows how far it is. `isKept`: also where each line stays. */
  show(line: string, isKept = true): void {
    if (this.#isTerminal) process.stderr.write(`${CLEAR}${line}`)
    else if (isKept) process.stderr.write(`${line}\n`)
  }

  /** Makes room for what is printed on stdout. */
  clear(): void {
    if (this.#isTerminal) process.stderr.write(CLEAR)
  }

  /** Prints a line that stays, above the progress. */
  tell(text: string): void {
    this.clear()
    process.stderr.write(`${text}\n`)
  }

  /** Leaves the last line where it is. */
  end(): void {
    if (this.#isTerminal) process.stderr.write('\n')
  }
}
