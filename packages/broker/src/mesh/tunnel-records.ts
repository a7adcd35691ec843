/** Bodies of the records of tunnels: a number of the tunnel, given by the Core that has accepted it, and what belongs to it. */
import { ByteWriter } from '@recado/protocol'
import type { Peer } from '../ports.ts'
import { FrameError, RECORD_HEAD_BYTES, RecordType, readUint32, recordOf, writeRecordHead } from './frame.ts'

const NUMBER_BYTES = 4

/** A connection as the Core that has accepted it knows it. */
export interface TunnelOrigin {
  readonly remoteAddress: string
  readonly listener: string
  readonly peer: Peer | null
}

export function tunnelOpen(number: number, { remoteAddress, listener, peer }: TunnelOrigin): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ remoteAddress, listener, peer }))
  return tunnelData(RecordType.TunnelOpen, number, text)
}

export function tunnelData(type: number, number: number, bytes: Uint8Array): Uint8Array {
  const writer = new ByteWriter(RECORD_HEAD_BYTES + NUMBER_BYTES + bytes.length)
  writer.length = RECORD_HEAD_BYTES
  writer.fourByteInteger(number)
  writer.raw(bytes, 0, bytes.length)
  writeRecordHead(writer.bytes, type, NUMBER_BYTES + bytes.length)
  return writer.bytes
}

export function tunnelCredit(type: number, number: number, bytes: number): Uint8Array {
  const writer = new ByteWriter(2 * NUMBER_BYTES)
  writer.fourByteInteger(number)
  writer.fourByteInteger(bytes)
  return recordOf(type, writer.bytes)
}

export function tunnelEnd(type: number, number: number, how: number): Uint8Array {
  const writer = new ByteWriter(NUMBER_BYTES + 1)
  writer.fourByteInteger(number)
  writer.byte(how)
  return recordOf(type, writer.bytes)
}

export const tunnelNumberOf = (body: Uint8Array): number => readUint32(body, 0)
export const tunnelBytesOf = (body: Uint8Array): Uint8Array => body.subarray(NUMBER_BYTES)
export const creditOf = (body: Uint8Array): number => readUint32(body, NUMBER_BYTES)

export function endOf(body: Uint8Array): number {
  const how = body[NUMBER_BYTES]
  if (how === undefined) throw new FrameError('the end of a tunnel is cut short')
  return how
}

export function originOf(body: Uint8Array): TunnelOrigin {
  return JSON.parse(new TextDecoder().decode(tunnelBytesOf(body))) as TunnelOrigin
}
