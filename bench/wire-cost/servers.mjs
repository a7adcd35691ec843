/**
 * Servers beside the broker for `npm run bench:wire-cost`: HTTP/1.1, HTTP/2 and CoAP that take a reading and say so.
 *
 * Runs as a process of its own, in the server's network namespace: `node servers.mjs FOLDER`, with `server.pem` and
 * `server.key` in the folder. Prints a line when all of them listen.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createHttp2, createSecureServer as createHttp2Tls } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import { join } from 'node:path'
import { coapMessage, PORTS, READING } from './clients.mjs'

const folder = process.argv[2]
const tls = {
  cert: readFileSync(join(folder, 'server.pem')),
  key: readFileSync(join(folder, 'server.key')),
  minVersion: 'TLSv1.3',
}

function take(request, response) {
  request.resume()
  request.on('end', () => response.writeHead(204).end())
}

/** Observers of RFC 7641, by address; a message with the path `notify` asks for a notification of the sender. */
const sequences = new Map()
const coap = createSocket('udp4', (bytes, { address, port }) => {
  const type = (bytes[0] >> 4) & 3
  const code = bytes[1]
  const messageId = bytes.readUInt16BE(2)
  if (type === 2 || code === 0) return // ACK
  const answer = (options) => coap.send(coapMessage({ code: 68, messageId, ...options }), port, address)
  if (code === 1) answer({ type: 2, code: 69, observe: 1, payload: READING })
  else if (bytes.includes('notify')) {
    const observe = ((sequences.get(port) ?? 1) + 1) & 0xff
    sequences.set(port, observe)
    answer({ type: 0, code: 69, messageId: 1000 + observe, observe, payload: READING })
  } else if (type === 0) answer({ type: 2 }) // 2.04 Changed, in the ACK
})

// Connections stay open as long as the client likes.
const settings = { keepAliveTimeout: 0 }
const servers = [
  [createServer(settings, take), PORTS.http],
  [createHttps({ ...settings, ...tls }, take), PORTS.https],
  [createHttp2(take), PORTS.h2c],
  [createHttp2Tls(tls, take), PORTS.h2],
]
for (const [server, port] of servers) {
  server.listen(port)
  await once(server, 'listening')
}
coap.bind(PORTS.coap)
await once(coap, 'listening')
console.log('listening')
