/**
 * Arguments, and lines of files, as the bytes that they are. Node decodes them as UTF-8 and loses what is none; a payload, a password and
 * Correlation Data are bytes.
 *
 * `main.ts` asks for the arguments once, before anything else; the tools ask for `bytesOf` where bytes are wanted, and for `invalidByteOf` where
 * MQTT wants UTF-8. A byte that belongs to no character is a lone surrogate, U+DC80 to U+DCFF, as Python has it: no decoder makes one, and
 * it turns back into its byte.
 */
import { readFileSync } from 'node:fs'

const REPLACEMENT = '\ufffd'
const ESCAPE = 0xdc00
const escaped = /[\udc80-\udcff]/
/** Of a high surrogate and a low one; the u flag takes a pair for one character. */
const loneSurrogate = /[\udc80-\udcff]/u

/**
 * The arguments with what is not UTF-8 kept.
 * @param argv of `process.argv`, without node and script
 * @throws Error where an argument is not UTF-8 and this system does not tell its bytes
 */
export function argumentsAsGiven(argv: readonly string[]): readonly string[] {
  if (!argv.some((argument) => argument.includes(REPLACEMENT))) return argv
  const given = commandLine()?.slice(-argv.length)
  if (given === undefined || given.length !== argv.length) {
    const index = argv.findIndex((argument) => argument.includes(REPLACEMENT))
    throw new Error(`argument ${index + 1} is not UTF-8, and this system does not tell its bytes: use a file (-f, -s)`)
  }
  return given.map(textOf)
}

/** null: not Linux. */
function commandLine(): Buffer[] | null {
  let bytes: Buffer
  try {
    bytes = readFileSync('/proc/self/cmdline')
  } catch {
    return null
  }
  const result: Buffer[] = []
  let start = 0
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
    result.push(bytes.subarray(start, end))
    start = end + 1
  }
  return result
}

/** Bytes as text, so that `bytesOf` makes the same bytes of it. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const text = buffer.toString('utf8')
  if (!text.includes(REPLACEMENT)) return text
  let result = ''
  for (let at = 0; at < buffer.length; ) {
    const length = lengthAt(buffer, at)
    if (length === 0) result += String.fromCharCode(ESCAPE + buffer[at]!)
    else result += buffer.toString('utf8', at, at + length)
    at += length || 1
  }
  return result
}

/** Bytes of the character there; 0: it is none. */
function lengthAt(buffer: Buffer, at: number): number {
  const first = buffer[at]!
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length === 0 || at + length > buffer.length) return 0
  const bytes = buffer.subarray(at, at + length)
  // Node takes what is not well-formed for U+FFFD, which has these three bytes itself.
  return Buffer.from(bytes.toString('utf8')).equals(bytes) ? length : 0
}

export function bytesOf(text: string): Buffer {
  if (!escaped.test(text)) return Buffer.from(text)
  const pieces: Buffer[] = []
  // By characters: half of a pair looks like an escaped byte.
  for (const character of text) {
    const code = character.codePointAt(0)!
    pieces.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - ESCAPE]) : Buffer.from(character))
  }
  return Buffer.concat(pieces)
}

/** The first byte that is not UTF-8, for a message; null: all is. */
export function invalidByteOf(text: string): string | null {
  const code = loneSurrogate.exec(text)?.[0]?.charCodeAt(0)
  return code === undefined ? null : `byte 0x${(code - ESCAPE).toString(16)}`
}
