/** A name server that knows one name, a program: NAME ADDRESS. Listens on UDP port 53 of its host. RFC 1035 section 4.1. */
import { createSocket } from 'node:dgram'

const [name = '', address = ''] = process.argv.slice(2)
const HEADER_SIZE = 12
const TYPE_A = 1
const TTL_SECONDS = 1

const socket = createSocket('udp4', (query, { port, address: asker }) => {
  const answer = answerTo(query)
  if (answer !== null) socket.send(answer, port, asker)
})
socket.bind(53, () => process.stdout.write('listening\n'))

/** Returns the answer to a query, or `null` for what is none. */
function answerTo(query: Buffer): Buffer | null {
  if (query.length < HEADER_SIZE || query.readUInt16BE(4) !== 1) return null
  const labels: string[] = []
  let at = HEADER_SIZE
  while (at < query.length && query[at] !== 0) {
    const size = query[at]!
    labels.push(query.toString('latin1', at + 1, at + 1 + size))
    at += size + 1
  }
  if (at + 5 > query.length) return null
  const isKnown = labels.join('.').toLowerCase() === name
  const hasAddress = isKnown && query.readUInt16BE(at + 1) === TYPE_A
  const header = Buffer.alloc(HEADER_SIZE)
  query.copy(header, 0, 0, 2)
  // Authoritative, recursion as it was asked for; 3 is "no such name".
  header.writeUInt16BE(0x8480 | (query.readUInt16BE(2) & 0x0100) | (isKnown ? 0 : 3), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(hasAddress ? 1 : 0, 6)
  const parts = [header, query.subarray(HEADER_SIZE, at + 5)]
  if (hasAddress) {
    const record = Buffer.alloc(16)
    record.writeUInt16BE(0xc0_00 | HEADER_SIZE, 0)
    record.writeUInt16BE(TYPE_A, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(TTL_SECONDS, 6)
    record.writeUInt16BE(4, 10)
    for (const [i, byte] of address.split('.').entries()) record[12 + i] = Number(byte)
    parts.push(record)
  }
  return Buffer.concat(parts)
}
