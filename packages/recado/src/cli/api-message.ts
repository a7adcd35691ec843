/**
 * The message of `recado publish` and `recado retained set`: its options, and their form for the HTTP API.
 */
import { readFileSync } from 'node:fs'
import { isGiven, type OptionRow, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { reasonText } from './mosquitto-messages.ts'
import { wholeNumber } from './whole-number.ts'

/** Bytes of the largest payload: the API takes bodies of 1 MiB, and the payload is in it in base64. */
const PAYLOAD_BYTES_MAX = 750_000
const EXPIRY_SECONDS_MAX = 4_294_967_295
/** Reason Codes from this one on are failures. */
const FAILURE = 0x80

export const messageRows: readonly OptionRow[] = [
  { names: ['-m', '--message'], value: 'TEXT', help: 'payload' },
  { names: ['-f', '--file'], value: 'FILE', help: 'file with the payload; - is standard input', completes: 'file' },
  { names: ['-q', '--qos'], value: 'QOS', help: 'QoS (default: 1)', completes: ['0', '1', '2'] },
  { names: ['--expiry'], value: 'SECONDS', help: 'Message Expiry Interval (default: it does not expire)' },
  { names: ['--content-type'], value: 'TYPE', help: 'Content Type, such as application/json' },
]

/** Row for messages without a payload. */
export const emptyRow: OptionRow = { names: ['-n', '--null-message'], help: 'empty payload' }

/** Reads the message that the options name. @throws ToolError */
export async function messageFrom(parsed: ParsedCommand, io: Io): Promise<Record<string, unknown>> {
  const [text, file] = [valueIn(parsed, '--message'), valueIn(parsed, '--file')]
  const given = [text !== undefined, file !== undefined, isGiven(parsed, '--null-message')].filter(Boolean).length
  if (given !== 1) throw new ToolError('give the payload in one way: -m TEXT, -f FILE or -f -')
  const payload = text === undefined ? await bytesFrom(file, io) : Buffer.from(text)
  if (payload.length > PAYLOAD_BYTES_MAX) {
    throw new ToolError(
      `the payload has ${payload.length} bytes, and the API takes ${PAYLOAD_BYTES_MAX}: use recado pub for larger ones`,
    )
  }
  const expiry = wholeNumber(parsed, '--expiry', -1, 0, EXPIRY_SECONDS_MAX)
  const contentType = valueIn(parsed, '--content-type')
  return {
    payloadBase64: payload.toString('base64'),
    qos: Number(valueIn(parsed, '--qos') ?? 1),
    properties: {
      ...(expiry === -1 ? {} : { messageExpiryIntervalSeconds: expiry }),
      ...(contentType === undefined ? {} : { contentType }),
    },
  }
}

async function bytesFrom(file: string | undefined, io: Io): Promise<Buffer> {
  if (file === undefined) return Buffer.alloc(0)
  if (file !== '-') return readFileSync(file)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of io.stdin as AsyncIterable<Uint8Array | string>) {
    const bytes = Buffer.from(chunk as Uint8Array)
    chunks.push(bytes)
    length += bytes.length
    if (length > PAYLOAD_BYTES_MAX) break
  }
  return Buffer.concat(chunks)
}

/** Tells why a message that was published by the API was refused, and where more is to be had; null when it was not. */
export function refusalText(reasonCode: number): string | null {
  if (reasonCode < FAILURE) return null
  const code = `0x${reasonCode.toString(16)} ${reasonText(reasonCode)}`
  return `refused with ${code}; recado why -t TOPIC says what was in its way`
}
