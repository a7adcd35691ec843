import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ListenForTest, transportSuite } from '../testing/transport-suite.ts'
import { SocketListener, type SocketListenerOptions } from './socket-listener.ts'

const on =
  (options: SocketListenerOptions): ListenForTest =>
  async (accept) => {
    const listener = await SocketListener.open({ ...options, transport: 'socket' }, accept)
    return {
      address: options.path === undefined ? { port: listener.port } : { path: options.path },
      close: () => listener.close(),
    }
  }

transportSuite('net.Socket on TCP', on({ port: 0 }))
transportSuite('net.Socket on a unix socket', on({ path: join(tmpdir(), `recado-socket-${process.pid}.sock`) }))
