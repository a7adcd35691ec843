import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createBroker } from '../broker.ts'
import { SocketClient } from '../testing/mod.ts'

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'recado-listener-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function listening(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(path, () => resolve(server))
  })
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

/** The system's timer of the connection that came in at this port, as /proc/net/tcp has it: 0 none, 2 keepalive. */
async function timerOf(port: number): Promise<number | undefined> {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  const [, , , , , timer] = lines.find(([, own, , state]) => own === local && state === '01') ?? []
  return timer === undefined ? undefined : Number(timer.split(':')[0])
}

describe('TCP', () => {
  for (const transport of ['handle', 'socket'] as const) {
    test(`${transport}: the system asks whether a silent peer is still there, unless told not to`, {
      skip: process.platform !== 'linux' && 'looks into /proc',
    }, async () => {
      const broker = createBroker()
      const on = await broker.listen({ port: 0, transport })
      const off = await broker.listen({ port: 0, transport, tcpKeepAliveSeconds: 0 })
      for (const { port } of [on, off]) await SocketClient.connect({ port })
      // The answer to CONNECT is acknowledged by now, or its timer is another one for a moment.
      while ((await timerOf(on.port)) === 1) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(await timerOf(on.port), 2)
      while ((await timerOf(off.port)) === 1) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(await timerOf(off.port), 0)
      await broker.close()
    })
  }

  test('port 0 takes a free one and says which; the name is the address unless given', async () => {
    const broker = createBroker()
    const listener = await broker.listen({ port: 0 })
    assert.ok(listener.port > 0)
    assert.equal(listener.address, `127.0.0.1:${listener.port}`)
    assert.equal(listener.name, listener.address)
    assert.equal((await broker.listen({ port: 0, name: 'lan' })).name, 'lan')
    await broker.close()
  })

  test('a port that is in use: one clear error, with its cause', async () => {
    const first = createBroker()
    const { port } = await first.listen({ port: 0 })
    const second = createBroker()
    await assert.rejects(second.listen({ port }), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_MQTT_LISTEN')
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*in use`))
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'EADDRINUSE')
      return true
    })
    await first.close()
    // The port is free again, and the failed one did no harm.
    await second.listen({ port })
    await second.close()
  })

  test('an address that this machine does not have', async () => {
    const broker = createBroker()
    await assert.rejects(broker.listen({ port: 0, host: '192.0.2.1' }), {
      code: 'ERR_MQTT_LISTEN',
      message: /does not have that address/,
    })
    await broker.close()
  })

  test('observers and hooks see the name of the listener and the address of the peer', async () => {
    const seen: string[] = []
    const broker = createBroker({
      authenticate: ({ listener, remoteAddress }) => {
        seen.push(listener, remoteAddress)
        return true
      },
    })
    const address = await broker.listen({ port: 0, name: 'lan' })
    const a = await SocketClient.connect(address)
    const { localPort } = a.socket
    assert.deepEqual(seen, ['lan', `127.0.0.1:${localPort}`])
    a.destroy()
    await broker.close()
  })

  test('connectionsMax closes those that are too many; when one goes another may come', async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0, connectionsMax: 1 })
    const a = await SocketClient.connect(address)
    const b = await SocketClient.open(address)
    await b.closed()
    a.destroy()
    await a.closed()
    // The broker may hear of the end a little later than we do: each try ends when it has closed us or let us in.
    for (let isIn = false; !isIn; ) {
      isIn = await SocketClient.connect(address).then(
        (client) => {
          client.destroy()
          return true
        },
        () => false,
      )
    }
    await broker.close()
  })
})

for (const transport of ['handle', 'socket'] as const) {
  test(`who closes and comes again at once gets in, also where one is the most, ${transport}`, async () => {
    const broker = createBroker()
    const address = await broker.listen({ port: 0, connectionsMax: 1, transport })
    for (let i = 0; i < 100; i++) {
      const client = await SocketClient.connect(address)
      assert.equal(client.connack.reasonCode, 0)
      client.destroy()
    }
    await broker.close()
  })

  test(`so it is where the limit is that of its address, ${transport}`, async () => {
    const broker = createBroker({ limits: { connectionsPerAddressMax: 1 } })
    const address = await broker.listen({ port: 0, transport })
    for (let i = 0; i < 100; i++) (await SocketClient.connect(address)).destroy()
    const last = await SocketClient.connect(address)
    // One that stays is told in the end.
    await (await SocketClient.open(address)).closed()
    assert.equal(broker.metrics()['connectionsRefusedByAddress'], 1)
    last.destroy()
    await broker.close()
  })
}

test('no more wait than there is room to wait, and closing the listener ends those that do', async () => {
  const broker = createBroker()
  const address = await broker.listen({ port: 0, connectionsMax: 1 })
  const first = await SocketClient.connect(address)
  const others = await Promise.all(Array.from({ length: 100 }, () => SocketClient.open(address)))
  await address.close()
  await Promise.all(others.map((other) => other.closed()))
  first.destroy()
  await broker.close()
})

test('with ipv6Only the same port is free on IPv4', async (context) => {
  if (!Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'))) {
    context.skip('no IPv6 here')
    return
  }
  const broker = createBroker()
  const { port } = await broker.listen({ port: 0, host: '0.0.0.0' })
  await assert.rejects(broker.listen({ port, host: '::' }), { code: 'ERR_MQTT_LISTEN' })
  const six = await broker.listen({ port, host: '::', ipv6Only: true })
  assert.equal(six.port, port)
  await broker.close()
})

describe('unix socket', () => {
  test('serves clients; its mode is private unless told otherwise; the file goes with the listener', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'mqtt.sock')
      const broker = createBroker()
      const listener = await broker.listen({ path })
      assert.equal(listener.address, path)
      assert.equal(listener.port, 0)
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      const a = await SocketClient.connect({ path }, { clientId: 'a' })
      assert.equal(a.connack.reasonCode, 0)
      a.destroy()
      await broker.close()
      await assert.rejects(stat(path), { code: 'ENOENT' })
      const open = createBroker()
      const umask = process.umask()
      await open.listen({ path, mode: 0o666 })
      assert.equal(process.umask(), umask)
      assert.equal((await stat(path)).mode & 0o777, 0o666)
      await open.close()
    })
  })

  test('a file that a crash left is taken over', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'mqtt.sock')
      const crashed = await listening(join(folder, 'other.sock'))
      await rename(join(folder, 'other.sock'), path)
      await closed(crashed)
      assert.ok((await stat(path)).isSocket())
      const broker = createBroker()
      await broker.listen({ path })
      const a = await SocketClient.connect({ path })
      a.destroy()
      await broker.close()
    })
  })

  test('one that somebody listens on is an error and stays', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'mqtt.sock')
      const first = createBroker()
      await first.listen({ path })
      const second = createBroker()
      await assert.rejects(second.listen({ path }), { code: 'ERR_MQTT_LISTEN', message: /in use/ })
      const a = await SocketClient.connect({ path })
      assert.equal(a.connack.reasonCode, 0)
      a.destroy()
      await second.close()
      await first.close()
    })
  })

  test('a file that is no socket is an error and stays', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'notes.txt')
      await writeFile(path, 'mine')
      const broker = createBroker()
      await assert.rejects(broker.listen({ path }), { code: 'ERR_MQTT_LISTEN' })
      assert.equal((await stat(path)).size, 4)
      await broker.close()
    })
  })

  test('a folder that is not there is an error', async () => {
    const broker = createBroker()
    await assert.rejects(broker.listen({ path: '/nonexistent/recado/mqtt.sock' }), { code: 'ERR_MQTT_LISTEN' })
    await broker.close()
  })
})
