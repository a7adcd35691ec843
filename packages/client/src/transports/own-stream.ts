/** The option `dial`: a stream that the application opens, for all transports of Node. */

import type { Socket } from 'node:net'
import { check, type Rule } from '@recado/protocol'
import { orAborted, throwIfAborted } from '../abort.ts'
import { UnreachableError } from '../errors.ts'
import type { DialStream, ServerAddress, StreamLike } from './transport.ts'

const stream: Rule = {
  must: 'a stream (a Duplex of node:stream, such as a Socket)',
  holds: (value) =>
    typeof value === 'object' && value !== null && 'write' in value && 'on' in value && 'destroy' in value,
}

/**
 * Opens the application's stream. Rejects with `UnreachableError`, with `OptionError` for a value that is no stream, or
 * with the reason of `signal`; then nothing stays open.
 */
export async function ownStream(dial: DialStream, address: ServerAddress, signal: AbortSignal): Promise<Socket> {
  const opening = (async () => await dial(address, signal))()
  let opened: StreamLike
  try {
    opened = await orAborted(opening, signal)
  } catch (cause) {
    // The stream may still open after the attempt was given up.
    if (signal.aborted) opening.then(discard, () => {})
    throwIfAborted(signal)
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UnreachableError(`cannot connect to ${address.href}: dial failed: ${why}`, { cause })
  }
  check('the result of dial()', opened, stream)
  // Until the transport listens: an error of the stream must not be uncaught.
  opened.on('error', () => {})
  if (opened.destroyed)
    throw new UnreachableError(`cannot connect to ${address.href}: the stream that dial() returned is closed`)
  return opened as unknown as Socket
}

function discard(opened: StreamLike): void {
  if (!stream.holds(opened, '')) return
  opened.on('error', () => {})
  opened.destroy()
}
