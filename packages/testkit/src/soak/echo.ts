/**
 * The control of the soak's latency: a process that sends back the bytes that it gets, and does nothing else. The time
 * of its answers is the machine's; `latency-client.ts` starts it and measures it beside the broker. Prints its port,
 * and ends with its standard input.
 */
import { type AddressInfo, createServer } from 'node:net'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy()) // the measuring process has ended
  socket.pipe(socket)
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
process.stdin.on('end', () => process.exit()).resume()
