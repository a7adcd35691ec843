/** What `recado pub` and `recado rr` publish: the text of `-m`, a file, everything on stdin, or nothing. */
import { readFileSync } from 'node:fs'
import { bytesOf } from '../argument-bytes.ts'
import type { CliIo } from './io.ts'
import type { ToolOptions } from './mosquitto-options.ts'
import { ArgumentError } from './tool-client.ts'

const PAYLOAD_MAX = 268_435_455

/** `null`: the lines of stdin, one by one. Throws `ArgumentError`. */
export async function readMessage({ message }: ToolOptions, io: CliIo): Promise<Uint8Array | null> {
  switch (message?.kind) {
    case 'text':
      return bytesOf(message.value)
    case 'file':
      return limited(readMessageFile(message.value))
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

function readMessageFile(file: string): Buffer {
  try {
    return readFileSync(bytesOf(file))
  } catch {
    throw new ArgumentError(`Error: Unable to open file "${file}".\nError loading input file "${file}".\n`)
  }
}

function limited(bytes: Buffer): Buffer {
  if (bytes.length > PAYLOAD_MAX) {
    throw new ArgumentError(`Error: Message length must be less than ${PAYLOAD_MAX} bytes.\n\n`)
  }
  return bytes
}
