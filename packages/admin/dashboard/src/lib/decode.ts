/**
 * Payloads as a person can read them: JSON, text, hexadecimal, CBOR, MessagePack, Sparkplug B.
 *
 * The three binary decoders are loaded when a payload is looked at with them. Invariant: whatever the bytes are, the answer is
 * text, which the page shows as text.
 */
import type { Bytes } from './types.ts'

export const views = ['auto', 'json', 'text', 'hex', 'cbor', 'msgpack', 'sparkplug'] as const
export type View = (typeof views)[number]

/** Bytes of one line of hexadecimal. */
const LINE_BYTES = 16

export interface Decoded {
  readonly text: string
  /** View in which it is: what `auto` has chosen. */
  readonly as: Exclude<View, 'auto'>
  /** Why the view that was asked for cannot be had; null when it could. */
  readonly fault: string | null
}

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

/** Base64 of bytes. */
export function base64Of(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** Returns a byte as two hexadecimal digits. */
const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0')

/** Offset, hexadecimal and printable characters of each 16 bytes. */
export function hex(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES)
    const codes = Array.from(line, hexOf).join(' ')
    const shown = Array.from(line, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${codes.padEnd(LINE_BYTES * 3 - 1)}  ${shown}`)
  }
  return lines.join('\n')
}

/** Bytes that hexadecimal text stands for; null when it is none. */
export function fromHex(text: string): Uint8Array | null {
  const digits = text.replace(/[\s:]/g, '')
  if (digits.length % 2 === 1 || /[^0-9a-f]/i.test(digits)) return null
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** JSON with line breaks; null when the text is none. */
export function json(text: string): string | null {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return null
  }
}

const isPrintable = (text: string): boolean => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)

/** What `auto` shows. */
function choose({ text }: Bytes): Decoded {
  if (text !== null && /^\s*[[{]/.test(text)) {
    const pretty = json(text)
    if (pretty !== null) return { text: pretty, as: 'json', fault: null }
  }
  return text !== null && isPrintable(text) ? { text, as: 'text', fault: null } : { text: '', as: 'hex', fault: null }
}

/** A value that is no JSON, as text: bytes in hexadecimal, whole numbers of any size. */
function plain(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, each: unknown) => {
      if (each instanceof Uint8Array) return `h'${Array.from(each, hexOf).join('')}'`
      if (typeof each === 'bigint') return each.toString()
      if (each instanceof Map) return Object.fromEntries([...each].map(([name, of]) => [String(name), of]))
      return each
    },
    2,
  )
}

/** Topics of Sparkplug B whose payloads are Protocol Buffers; those of STATE are JSON. */
const SPARKPLUG = /^spBv1\.0\/[^/]+\/[ND](?:BIRTH|DEATH|DATA|CMD)\//

/** Shows a payload in a view. `topic` is a hint for `auto`. */
export async function decode(payload: Bytes, view: View, topic = ''): Promise<Decoded> {
  if (view === 'auto' && SPARKPLUG.test(topic)) {
    const decoded = await decode(payload, 'sparkplug', topic)
    if (decoded.fault === null) return decoded
  }
  const chosen = view === 'auto' ? choose(payload) : null
  const as = chosen?.as ?? (view as Decoded['as'])
  if (chosen !== null && as !== 'hex') return chosen
  const bytes = bytesOf(payload.base64)
  const failed = (fault: string): Decoded => ({ text: hex(bytes), as: 'hex', fault })
  switch (as) {
    case 'json': {
      const pretty = payload.text === null ? null : json(payload.text)
      return pretty === null ? failed('JSON') : { text: pretty, as, fault: null }
    }
    case 'text':
      return { text: payload.text ?? new TextDecoder().decode(bytes), as, fault: null }
    case 'hex':
      return { text: hex(bytes), as, fault: null }
    case 'cbor':
      try {
        const { decode: decodeCbor } = await import('cbor2')
        return { text: plain(decodeCbor(bytes)), as, fault: null }
      } catch (error) {
        return failed(`CBOR: ${(error as Error).message}`)
      }
    case 'msgpack':
      try {
        const { decode: decodePack } = await import('@msgpack/msgpack')
        return { text: plain(decodePack(bytes, { useBigInt64: true })), as, fault: null }
      } catch (error) {
        return failed(`MessagePack: ${(error as Error).message}`)
      }
    case 'sparkplug':
      try {
        const [{ sparkplug }, { namesFor }] = await Promise.all([
          import('./sparkplug.ts'),
          import('./sparkplug-names.ts'),
        ])
        return { text: plain(sparkplug(bytes, namesFor(topic))), as, fault: null }
      } catch (error) {
        return failed(`Sparkplug B: ${(error as Error).message}`)
      }
  }
}

/** First characters of a payload on one line, for a list. */
export function preview({ text, base64, bytes }: Bytes, length = 160): string {
  if (bytes === 0) return ''
  if (text !== null && isPrintable(text)) return text.slice(0, length).replace(/\s+/g, ' ')
  const shown = bytesOf(base64).subarray(0, Math.floor(length / 3))
  return Array.from(shown, hexOf).join(' ')
}
