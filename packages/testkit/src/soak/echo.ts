/**
 * The control of the soak's latency: a process that sends back what it gets, and nothing else. What its answers take is the machine's doing;
 * `bystander.ts` starts it and measures it beside the broker. Prints its port, and ends with its standard input.
 */
import { type AddressInfo, createServer } from 'node:net'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy()) // whoever measured has gone
  socket.pipe(socket)
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
process.stdin.on('end', () => process.exit()).resume()
