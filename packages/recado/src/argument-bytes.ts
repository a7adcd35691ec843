/**
 * Arguments, and lines of files, as bytes. Node decodes them as UTF-8 and loses other bytes; but a payload, a password
 * and Correlation Data are bytes.
 *
 * `main.ts` asks for the arguments once, before anything else; the tools call `bytesOf` where they need bytes, and
 * `invalidByteOf` where MQTT requires UTF-8. A byte that belongs to no character becomes a lone surrogate, U+DC80 to
 * U+DCFF, as in Python: no decoder makes one, and it can be converted back.
 */
import { readFileSync } from 'node:fs'

const REPLACEMENT = '\ufffd'
const ESCAPE = 0xdc00
const escaped = /[\udc80-\udcff]/
/** Pattern of a lone surrogate; the u flag takes a pair of a high and a low one for one character. */
const loneSurrogate = /[\udc80-\udcff]/u

/**
 * Returns the arguments with invalid UTF-8 kept. @param argv arguments of `process.argv`, without node and script
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

/** Command line of this process as bytes; null outside of Linux. */
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

/** Converts bytes to text from which `bytesOf` makes the same bytes. */
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

/** Returns the number of bytes of the character there; 0 when there is none. */
function lengthAt(buffer: Buffer, at: number): number {
  const first = buffer[at]!
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length === 0 || at + length > buffer.length) return 0
  const bytes = buffer.subarray(at, at + length)
  // Node decodes invalid bytes to U+FFFD, which has these three bytes itself.
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

/** First byte that is not UTF-8, for a message; null when all are. */
export function invalidByteOf(text: string): string | null {
  const code = loneSurrogate.exec(text)?.[0]?.charCodeAt(0)
  return code === undefined ? null : `byte 0x${(code - ESCAPE).toString(16)}`
}
