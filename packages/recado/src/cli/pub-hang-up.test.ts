import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import { Connack, Decoder, encode, Pingresp, Puback } from '@recado/protocol'
import { runPub } from './pub.ts'

test('pub -l -q 1 gets over a line that the server hangs up on, says so, and sends the rest', async () => {
  const delivered = new Set<string>()
  const server = createServer((socket) => {
    const decoder = new Decoder({ role: 'server' })
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      decoder.push(Uint8Array.from(chunk))
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
        if (packet.type === 1) socket.write(encode(new Connack(false, 0), 4))
        else if (packet.type === 12) socket.write(encode(new Pingresp(), 4))
        else if (packet.type === 14) socket.end()
        else if (packet.type === 3) {
          const line = new TextDecoder().decode(packet.payload)
          if (line === 'poison') {
            socket.destroy()
            return
          }
          delivered.add(line)
          socket.write(encode(new Puback(packet.packetId), 4))
        }
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = String((server.address() as AddressInfo).port)
  let stderr = ''
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
  const errors = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      stderr += chunk.toString()
      done()
    },
  })
  const stdin = Readable.from([Buffer.from('one\npoison\ntwo\nthree\n')])
  try {
    const argv = ['-h', '127.0.0.1', '-p', port, '-t', 'a', '-l', '-q', '1']
    const io = { stdin, stdout: sink, stderr: errors, env: {} } as unknown as Parameters<typeof runPub>[1]
    assert.equal(await runPub(argv, io), 1)
  } finally {
    server.close()
  }
  assert.match(stderr, /^Error: the server ended the connection after PUBLISH of "a", which is not sent again/)
  assert.deepEqual([...delivered].sort(), ['one', 'three', 'two'])
})
