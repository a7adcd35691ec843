/**
 * Asks for a secret: on a terminal without echo, and again to be sure; elsewhere it reads a line of standard input.
 *
 * Invariant: the secret is shown nowhere, and the terminal echoes again afterwards, also after Ctrl-C.
 */
import type { ReadStream } from 'node:tty'
import { textOf } from '../argument-bytes.ts'
import { ToolError } from '../command-table.ts'
import type { CliIo } from './io.ts'

/** Two that were to be the same. */
export class PasswordsDiffer extends ToolError {
  constructor() {
    super('the passwords are not the same')
  }
}

/** @param asks prompts go there where there is no terminal; null: nowhere. @throws ToolError when it is empty, typed differently the second time, or not given */
export async function readSecret(
  { stdin, stderr }: Pick<CliIo, 'stdin' | 'stderr'>,
  prompt: string,
  again: string | null,
  asks: { write(text: string): unknown } | null = null,
): Promise<string> {
  const lines = new SecretLines(stdin as ReadStream)
  const isTerminal = (stdin as ReadStream).isTTY === true
  const ask = async (text: string): Promise<string | null> => {
    const prompts = isTerminal ? stderr : asks
    prompts?.write(text)
    const line = await lines.next()
    prompts?.write('\n')
    return line
  }
  try {
    const secret = await ask(prompt)
    if (secret === null || secret === '')
      throw new ToolError('no password is given: type one, or send it as a line of standard input')
    const repeated = again === null ? null : await ask(again)
    // A pipe may give it once.
    if (again !== null && repeated !== secret && (isTerminal || repeated !== null)) throw new PasswordsDiffer()
    return secret
  } finally {
    lines.end()
  }
}

const CTRL_C = 3
const CTRL_D = 4
const BACKSPACE = 8
const DELETE = 127

/** Lines of bytes, with the editing that the terminal's driver does outside of raw mode. */
class SecretLines {
  readonly #stdin: ReadStream
  readonly #isTerminal: boolean
  #bytes: number[] = []
  readonly #lines: string[] = []
  #hasEnded = false
  #isInterrupted = false
  #changed: () => void = () => {}

  constructor(stdin: ReadStream) {
    this.#stdin = stdin
    this.#isTerminal = stdin.isTTY === true
    if (this.#isTerminal) stdin.setRawMode(true)
    stdin.on('data', this.#onData)
    stdin.on('end', this.#onEnd)
    stdin.resume()
  }

  /** Next line; null when there is none. */
  async next(): Promise<string | null> {
    while (this.#lines.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
    if (this.#isInterrupted) throw new ToolError('interrupted')
    return this.#lines.shift() ?? null
  }

  end(): void {
    this.#stdin.off('data', this.#onData)
    this.#stdin.off('end', this.#onEnd)
    if (this.#isTerminal) this.#stdin.setRawMode(false)
    this.#stdin.pause()
  }

  readonly #onData = (chunk: Buffer | string): void => {
    for (const byte of Buffer.from(chunk)) {
      if (byte === 10 || (byte === 13 && this.#isTerminal)) this.#line()
      else if (!this.#isTerminal) this.#bytes.push(byte)
      else if (byte === CTRL_C) {
        this.#isInterrupted = true
        this.#hasEnded = true
      } else if (byte === CTRL_D) this.#hasEnded = true
      else if (byte === BACKSPACE || byte === DELETE) this.#dropCharacter()
      else this.#bytes.push(byte)
    }
    this.#changed()
  }

  readonly #onEnd = (): void => {
    if (this.#bytes.length > 0) this.#line()
    this.#hasEnded = true
    this.#changed()
  }

  #line(): void {
    this.#lines.push(textOf(Buffer.from(this.#bytes)).replace(/\r$/, ''))
    this.#bytes = []
  }

  /** Removes a character: its bytes of UTF-8 after the first begin with 10. */
  #dropCharacter(): void {
    while (this.#bytes.length > 0 && (this.#bytes.pop()! & 0xc0) === 0x80);
  }
}
