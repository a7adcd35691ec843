/**
 * Text of other clients on a terminal: control characters are written as escapes, so that no message can move the
 * cursor, change the title or type for the user. Into a pipe or a file the bytes go unchanged.
 */
import { textOf } from '../argument-bytes.ts'
import { escapeControls } from '../escape-controls.ts'

export const isTerminal = (stream: object): boolean => (stream as { readonly isTTY?: boolean }).isTTY === true

/** Whether to use colours: on a terminal, unless NO_COLOR (no-color.org) or a terminal without colours forbids it. */
export const hasColour = (stream: object, env: Readonly<Record<string, string | undefined>>): boolean =>
  isTerminal(stream) && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'

/** Controls but line feed and tab, those that turn the direction of writing, and bytes that are no character. */
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\udc80-\udcff]/gu

/** Escapes text that came from a server or a client. `isJson`: with the escapes of JSON. */
export function safeText(text: string, isJson: boolean = false): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0)
    const byte = code >= 0xdc80 ? code - 0xdc00 : code
    const isByte = byte < 0x100 && !isJson
    return isByte ? `\\x${byte.toString(16).padStart(2, '0')}` : `\\u${byte.toString(16).padStart(4, '0')}`
  })
}

/** Escapes text of a server or a client that has to stay within its line: line feeds and tabs too. White space at the end goes. */
export const safeLine = (text: string): string => escapeControls(safeText(text.trimEnd()))

/** Escapes a binary string, a character per byte, like `safeText`. */
export function safeBinary(binary: string, isJson: boolean = false): string {
  return Buffer.from(safeText(textOf(Buffer.from(binary, 'latin1')), isJson)).toString('latin1')
}
