/** A TCP port for a server under test. All that start one as a process of its own call it: the suites, the crash run, the benchmarks. */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that operating systems hand out by themselves: nobody who asks for any port gets one of these meanwhile. */
const PORTS = { first: 12_000, last: 31_999 }
const ATTEMPTS = 100

/**
 * A TCP port on loopback that nobody has, for a program that is about to listen on it.
 *
 * It is not given out again before this process ends, here or in another process: the UDP port of the same number is held for that.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = randomInt(PORTS.first, PORTS.last + 1)
    const claim = createSocket('udp4')
    const server = createServer()
    try {
      claim.bind({ port, address: '127.0.0.1', exclusive: true })
      await once(claim, 'listening')
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    } catch (error) {
      claim.close()
      if (attempt < ATTEMPTS && (error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
      throw error
    }
    claim.unref()
    server.close()
    await once(server, 'close')
    return port
  }
}
