/** The message that `recado pub` and `recado rr` publish: the text of `-m`, a file, everything on stdin, or nothing. */
import { readFileSync } from 'node:fs'
import { bytesOf } from '../argument-bytes.ts'
import type { CliIo } from './io.ts'
import type { Manner } from './manner.ts'
import { systemErrorText } from './mosquitto-messages.ts'
import { ArgumentError } from './tool-client.ts'
import type { ToolOptions } from './tool-options.ts'

const PAYLOAD_MAX = 268_435_455

/** Reads the message; `null` means the lines of stdin, one by one. Throws `ArgumentError`. */
export async function readMessage(
  { message }: ToolOptions,
  io: CliIo,
  { mosquitto }: Manner,
): Promise<Uint8Array | null> {
  switch (message?.kind) {
    case 'text':
      return bytesOf(message.value)
    case 'file':
      return limited(readMessageFile(message.value, mosquitto === '2.0'))
    case 'stdin': {
      const chunks: Buffer[] = []
      for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk as Uint8Array))
      const bytes = Buffer.concat(chunks)
      if (bytes.length === 0) {
        throw new ArgumentError('Error: Zero length input.\nError loading input from stdin.\n')
      }
      return limited(bytes)
    }
    case 'null':
      return new Uint8Array(0)
    default:
      return null
  }
}

function readMessageFile(file: string, isOld: boolean): Buffer {
  try {
    return readFileSync(bytesOf(file))
  } catch (error) {
    const why = isOld
      ? `open file "${file}"`
      : `read file "${file}": ${systemErrorText(error as NodeJS.ErrnoException)}`
    throw new ArgumentError(`Error: Unable to ${why}.\nError loading input file "${file}".\n`)
  }
}

function limited(bytes: Buffer): Buffer {
  if (bytes.length > PAYLOAD_MAX) {
    throw new ArgumentError(`Error: Message length must be less than ${PAYLOAD_MAX} bytes.\n\n`)
  }
  return bytes
}
