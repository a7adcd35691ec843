/** aedes as a server of the network laboratory, a program: CERTIFICATE KEY. Ports 1883, and 8883 for TLS. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'
import { PLAIN_PORT, TLS_PORT } from './ports.ts'

const [cert = '', key = ''] = process.argv.slice(2)
const broker = await Aedes.createBroker()
const plain = createServer((socket) => broker.handle(socket)).listen(PLAIN_PORT)
await once(plain, 'listening')
const options = { cert: readFileSync(cert), key: readFileSync(key) }
const tls = createTlsServer(options, (socket) => broker.handle(socket)).listen(TLS_PORT)
// A handshake that fails is the client's fault, and seen there.
tls.on('tlsClientError', (error) => process.stderr.write(`${error.message}\n`))
await once(tls, 'listening')
process.stdout.write('listening\n')
