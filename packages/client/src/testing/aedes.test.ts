/** Runs the suite of the client against aedes, which has MQTT 3.1 and 3.1.1 and refuses 5.0 with a 3.1.1 CONNACK. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Aedes } from 'aedes'
import { connect } from '../mod.ts'
import { CannotServe, clientSuite, type StartServer } from './mod.ts'

const startAedes: StartServer = async ({ port = 0, user, maximumQoS, webSocket, unixSocket }) => {
  if (maximumQoS !== undefined) throw new CannotServe('aedes has no limit for QoS')
  if (webSocket) throw new CannotServe('aedes leaves WebSocket to others')
  const broker = await Aedes.createBroker({
    authenticate: (_client, username, password, done) => {
      done(null, user === undefined || (username === user.name && password?.toString() === user.password))
    },
  })
  const sockets = new Set<Socket>()
  const servers: Server[] = []
  const listen = async (where: { port: number; host: string } | { path: string }): Promise<Server> => {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      broker.handle(socket)
    }).listen(where)
    await once(server, 'listening')
    servers.push(server)
    return server
  }
  const server = await listen({ port, host: '127.0.0.1' })
  const folder = unixSocket ? mkdtempSync(join(tmpdir(), 'recado-aedes-')) : undefined
  const unixPath = folder === undefined ? undefined : join(folder, 'socket')
  if (unixPath !== undefined) await listen({ path: unixPath })
  return {
    port: (server.address() as AddressInfo).port,
    unixPath,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      for (const each of servers) each.close()
      await new Promise<void>((resolve) => broker.close(() => resolve()))
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

clientSuite('aedes', startAedes, {
  versions: [4, 3],
  resendsBadly: 'aedes 1.2 sends again out of order, QoS 2 more than once, and without DUP',
})

test('connect() falls back from 5.0 to 3.1.1 on aedes', async () => {
  const server = await startAedes({})
  const client = await connect(`mqtt://127.0.0.1:${server.port}`)
  assert.equal(client.session?.protocolVersion, 4)
  assert.equal((await client.publish('a', 'x', { qos: 2 })).reasonCode, 0)
  await client.close()
  await server.stop()
})
