import { connect } from 'node:tls'
import { TestAuthority } from '../testing/certificates.ts'
import { openPipeline } from '../testing/listener-pipeline.ts'
import { type ListenForTest, transportSuite } from '../testing/transport-suite.ts'

const authority = new TestAuthority('test authority')
const server = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })

const listen =
  (version: 'TLSv1.2' | 'TLSv1.3', transport: 'handle' | 'socket' = 'handle'): ListenForTest =>
  async (accept) => {
    const pipeline = await openPipeline(
      { port: 0, transport, tls: { cert: server.cert, key: server.key, minVersion: version, maxVersion: version } },
      accept,
    )
    return {
      address: { port: pipeline.port },
      close: () => pipeline.close(),
      connect: () => connect({ port: pipeline.port, host: '127.0.0.1', ca: authority.cert }),
      // A TLS socket cannot; the handle of TCP below it can.
      reset(peer) {
        const { _handle } = peer as unknown as { _handle: { _parent: { reset(done: () => void): void } } }
        _handle._parent.reset(() => {})
      },
    }
  }

transportSuite('TLS 1.3 on TCP', listen('TLSv1.3'), { connections: 300, isTls: true })
transportSuite('TLS 1.2 on TCP', listen('TLSv1.2'), { connections: 100, isTls: true })
transportSuite('TLS by the streams of Node', listen('TLSv1.3', 'socket'), { connections: 50, isTls: true })
