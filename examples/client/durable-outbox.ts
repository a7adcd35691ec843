/** Messages that survive the process: they are in a database before `publish` resolves, and the next client sends them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createClient } from '@recado/client'
import { lmdb } from '@recado/client/lmdb'

const url = process.env['MQTT_URL'] ?? 'mqtt://localhost'
const path = await mkdtemp(join(tmpdir(), 'outbox-')) // a folder that stays, in real life

// The network is down: nobody listens on this port. `until: 'stored'` waits for the disk, not for the server.
const offline = createClient('mqtt://127.0.0.1:1', { store: lmdb({ path }), retryFirst: true })
const connecting = offline.connect().catch(() => console.log('never connected'))
await offline.publish('examples/outbox', 'from a process that is gone', { qos: 2, until: 'stored' })
console.log('stored')
offline.destroy() // as good as a crash
await connecting

// Later, another process with the same folder.
await using watcher = await connect(url)
const arrived = watcher.subscribe('examples/outbox', { qos: 2 })
await arrived.ready
const client = await connect(url, { store: lmdb({ path }) })
const { value } = await arrived.next()
console.log('arrived:', value?.text())
await client.close()
await rm(path, { recursive: true })

// Prints:
// stored
// never connected
// arrived: from a process that is gone
