/**
 * `recado learn`: plays the exchange of a page of docs/learn against a server, packet by packet, each with its bytes explained.
 *
 * Called by `main.ts`; the lessons are in the folder `learn`. The invariant: however a lesson ends, it leaves nothing on the server.
 */
import { createInterface } from 'node:readline'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { didYouMean } from '../config/suggest.ts'
import { addressOf, type Target } from '../doctor/target.ts'
import { suffix } from '../doctor/wire.ts'
import type { Io } from '../io.ts'
import { type Lesson, lessons } from '../learn/lessons.ts'
import type { Language } from '../learn/packet-rows.ts'
import { Left, Stage } from '../learn/stage.ts'
import { runTool } from './store-folder.ts'
import { caRow, fileOf, insecureRow, loginOf, topicOf } from './target-options.ts'
import { hasColour, isTerminal } from './terminal.ts'

const URL_DEFAULT = 'mqtt://localhost'
const TIMEOUT_MS = 5_000

export const command: Command = {
  name: 'learn',
  summary: 'plays a lesson of docs/learn against a server, packet by packet, each with its bytes explained.',
  usage: ['[options] [LESSON [URL]]'],
  introduction: `  {program}                      lists the lessons
  {program} publishing
  {program} sessions mqtts://broker.example -u ada
  {program} connecting --language es

On a terminal it waits for Enter after each packet of the server; q and Enter end it.`,
  operands: [
    { name: 'LESSON', help: lessons.map(({ name }) => name).join(', '), isOptional: true },
    { name: 'URL', help: `mqtt://, mqtts://, ws:// or wss:// (default: ${URL_DEFAULT})`, isOptional: true },
  ],
  groups: [
    {
      options: [
        { names: ['-u', '--username'], value: 'NAME', help: 'user name; the password is in RECADO_PASSWORD' },
        caRow,
        insecureRow,
        {
          names: ['-t', '--topic'],
          value: 'TOPIC',
          help: 'messages go to topics below this one (default: recado/learn)',
        },
        {
          names: ['-l', '--language'],
          value: 'LANGUAGE',
          help: 'en or es (default: that of LC_ALL, LC_MESSAGES or LANG)',
          completes: ['en', 'es'],
        },
        { names: ['--brief'], help: 'one line for each packet, without its bytes' },
        { names: ['--no-pause'], help: 'do not wait for Enter' },
        helpRow,
      ],
    },
  ],
  notes: `It publishes below its topic only, and deletes what it has retained and its sessions.

Exit code: 0; 1 when the server answered otherwise than the specification says, or could not be reached.`,
}

export function runLearn(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const language = languageOf(parsed, process.env)
    const [name] = parsed.operands
    if (name === undefined) {
      for (const each of lessons) io.stdout.write(`${each.name.padEnd(14)}${each.title[language]}\n`)
      return 0
    }
    const stays = isGiven(parsed, '--no-pause') || !isTerminal(io.stdout) || !isTerminal(io.stdin)
    const reader = stays ? null : new EnterReader(io)
    const stage = new Stage({
      target: targetFrom(parsed),
      language,
      isBrief: isGiven(parsed, '--brief'),
      isColoured: hasColour(io.stdout, process.env),
      print: (text) => io.stdout.write(text),
      pause: async () => reader === null || reader.next(),
      suffix: suffix(),
    })
    try {
      await lessonOf(name).play(stage)
    } catch (error) {
      if (!(error instanceof Left)) throw error
    } finally {
      reader?.close()
      await stage.clear()
    }
    return 0
  })
}

/** Waits for Enter. */
class EnterReader {
  readonly #lines: ReturnType<typeof createInterface>
  #isOver = false
  #answer: (goesOn: boolean) => void = () => {}

  constructor({ stdin }: Io) {
    this.#lines = createInterface({ input: stdin })
    this.#lines.on('line', (line) => this.#answer(!/^\s*q/i.test(line)))
    this.#lines.on('close', () => {
      this.#isOver = true
      this.#answer(false)
    })
  }

  /** Resolves with false when the reader has seen enough. */
  next(): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(false)
    return new Promise((resolve) => {
      this.#answer = resolve
    })
  }

  close(): void {
    this.#lines.close()
  }
}

/** @throws ToolError */
function lessonOf(name: string): Lesson {
  const found = lessons.find((each) => each.name === name)
  if (found !== undefined) return found
  const names = lessons.map((each) => each.name)
  throw new ToolError(
    `there is no lesson "${name}"${didYouMean(name, names) || ';'} The lessons are ${names.join(', ')}`,
  )
}

/** Language of the command line, which the table of options has checked, or of the environment. */
function languageOf(parsed: ParsedCommand, env: Readonly<Record<string, string | undefined>>): Language {
  const given = valueIn(parsed, '--language')
  if (given === 'en' || given === 'es') return given
  const locale = env['LC_ALL'] || env['LC_MESSAGES'] || env['LANG'] || ''
  return /^es\b|^es_/i.test(locale) ? 'es' : 'en'
}

/** @throws ToolError */
function targetFrom(parsed: ParsedCommand): Target {
  const address = addressOf(parsed.operands[1] ?? URL_DEFAULT)
  const topic = topicOf(parsed, 'recado/learn')
  const ca = fileOf(parsed, '--cafile')
  const tls = ca === undefined ? {} : { ca: [ca] }
  const isCertificateChecked = !isGiven(parsed, '--insecure')
  return { ...address, ...loginOf(parsed, address), topic, tls, isCertificateChecked, timeoutMs: TIMEOUT_MS }
}
