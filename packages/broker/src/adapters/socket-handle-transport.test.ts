import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ListenForTest, transportSuite } from '../testing/transport-suite.ts'
import { SocketListener, type SocketListenerOptions } from './socket-listener.ts'

const on =
  (options: SocketListenerOptions): ListenForTest =>
  async (accept) => {
    const listener = await SocketListener.open({ ...options, transport: 'handle' }, accept)
    return {
      address: options.path === undefined ? { port: listener.port } : { path: options.path },
      close: () => listener.close(),
    }
  }

transportSuite('handle on TCP', on({ port: 0 }))
transportSuite('handle on a unix socket', on({ path: join(tmpdir(), `recado-handle-${process.pid}.sock`) }))
