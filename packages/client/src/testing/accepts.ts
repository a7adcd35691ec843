/** Waiting for a server that was started as a process of its own; for the suites, the crash run and the peers. */
import { connect } from 'node:net'

/** Whether a program listens on this port of a host. */
export function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
