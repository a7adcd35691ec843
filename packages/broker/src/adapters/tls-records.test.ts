import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { Connect, encode, Publish, Subscribe } from '@recado/protocol'
import { createBroker } from '../broker.ts'
import { TestAuthority } from '../testing/certificates.ts'

const authority = new TestAuthority('test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['127.0.0.1'] })
const APPLICATION_DATA = 23

/** Lengths of the records with application data in what a server has sent. */
function recordsIn(bytes: Buffer): number[] {
  const lengths: number[] = []
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    if (bytes[at] === APPLICATION_DATA) lengths.push(bytes.readUInt16BE(at + 3))
  }
  return lengths
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`PUBLISH and PUBACK are a record each, thousands of packets are few, ${version}`, async (t) => {
    const broker = createBroker()
    t.after(() => broker.close({ timeoutMs: 100 }))
    const { port } = await broker.listen({ port: 0, tls: { cert, key } })
    let seen: Buffer[] = []
    // Between the two, so that what is on the wire can be seen.
    const proxy = createServer((near) => {
      const far = createConnection({ port, host: '127.0.0.1' })
      far.on('data', (chunk: Buffer) => seen.push(chunk))
      near
        .on('error', () => {})
        .pipe(far.on('error', () => {}))
        .pipe(near)
    })
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    t.after(() => proxy.close())
    const client = connect({
      port: (proxy.address() as AddressInfo).port,
      host: '127.0.0.1',
      ca: authority.cert,
      maxVersion: version,
    })
    await once(client, 'secureConnect')
    let received = 0
    client.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    const until = async (bytes: number): Promise<void> => {
      while (received < bytes) await once(client, 'data')
      received = 0
    }
    client.write(encode(new Connect({ protocolVersion: 4, cleanStart: true, keepAliveSeconds: 0, clientId: 'a' }), 4))
    await until(4)
    const subscription = {
      topicFilter: 't',
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const
    client.write(encode(new Subscribe(1, [subscription], {}), 4))
    await until(5)
    const publish = encode(Publish.of({ topic: 't', qos: 1, packetId: 1, payload: new Uint8Array(20) }), 4)
    seen = []
    client.write(publish)
    await until(publish.length + 4)
    assert.equal(recordsIn(Buffer.concat(seen)).length, 2)
    seen = []
    const pings = 30_000
    client.write(Buffer.from('c000'.repeat(pings), 'hex'))
    await until(2 * pings)
    assert.ok(recordsIn(Buffer.concat(seen)).length < pings / 5)
    client.destroy()
  })
}
