/** Our own broker in this process, as the server for the suites of the client. */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBroker, lmdb } from '@recado/broker'
import type { StartServer } from '@recado/client/testing'

/** Data folders by port, so that a server that restarts on a port finds its data again. */
const folders = new Map<number, string>()
process.on('exit', () => {
  for (const folder of folders.values()) rmSync(folder, { recursive: true, force: true })
})

export const startRecado: StartServer = async ({ port = 0, user, maximumQoS, webSocket, unixSocket }) => {
  const path = folders.get(port) ?? (await mkdtemp(join(tmpdir(), 'recado-client-')))
  const password = user && new TextEncoder().encode(user.password)
  const broker = createBroker({
    store: await lmdb({ path }),
    limits: maximumQoS === undefined ? {} : { maximumQoS },
    authenticate: ({ connect }) =>
      user === undefined ||
      (connect.username === user.name && Buffer.compare(connect.password ?? new Uint8Array(0), password!) === 0),
  })
  const listener = await broker.listen({ port })
  folders.set(listener.port, path)
  const unixPath = unixSocket ? join(path, 'socket') : undefined
  if (unixPath !== undefined) await broker.listen({ path: unixPath })
  const webSocketPort = webSocket ? (await broker.listen({ port: 0, webSocket: true })).port : undefined
  return { port: listener.port, webSocketPort, unixPath, stop: () => broker.close({ timeoutMs: 100 }) }
}
