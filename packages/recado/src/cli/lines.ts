/**
 * The lines of a stream as bytes, without their line feed, for `recado pub -l`: bytes that are not UTF-8 stay as they
 * are. The last line need not end with one. Only the pieces of the present line are held.
 */
import type { Readable } from 'node:stream'

export async function* readLines(stream: Readable): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = []
  for await (const data of stream) {
    const chunk = Buffer.from(data as Uint8Array)
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      pieces.push(chunk.subarray(start, end))
      yield pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
      pieces = []
      start = end + 1
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start))
  }
  if (pieces.length > 0) yield Buffer.concat(pieces)
}
