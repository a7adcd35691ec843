/** Packets of `@recado/protocol` for a stream: what clients.mjs needs of MQTT. */
import { Decoder } from '@recado/protocol'

export { Connect, Disconnect, encode, Pingreq, Publish } from '@recado/protocol'

/** Returns an object whose `next()` resolves with the next packet of the stream. */
export function decodeAll(stream, version) {
  const packets = []
  const waiting = []
  const decoder = new Decoder({ role: 'client', protocolVersion: version })
  stream.on('data', (chunk) => {
    decoder.push(chunk)
    for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
      if (waiting.length > 0) waiting.shift()(packet)
      else packets.push(packet)
    }
  })
  return { next: () => packets.shift() ?? new Promise((resolve) => waiting.push(resolve)) }
}
