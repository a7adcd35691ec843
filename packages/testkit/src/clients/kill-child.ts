/**
 * A program that uses `@recado/client` with the LMDB session store, which `kill.test.ts` kills at any moment: as sender
 * it publishes numbers at QoS 2, as receiver it takes them. Its ledger records its steps (one line for each, written
 * before the next step; a write survives SIGKILL), and so does standard output.
 *
 *     node kill-child.js sender|receiver PORT FOLDER LAST
 */
import { appendFileSync, existsSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@recado/client'
import { lmdb } from '@recado/client/lmdb'

const [role, port, folder, lastText] = process.argv.slice(2) as [string, string, string, string]
const last = Number(lastText)
const ledger = join(folder, `${role}.ledger`)
/** Number of publishes that may wait to be stored. */
const WINDOW = 16

function note(line: string): void {
  appendFileSync(ledger, `${line}\n`)
  writeSync(1, `${line}\n`)
}

const client = createClient(`mqtt://127.0.0.1:${port}`, {
  clientId: `kill-${role}`,
  store: lmdb({ path: join(folder, role) }),
  reconnect: { minMs: 5, maxMs: 50 },
  receiveMaximum: 8,
  trace: (direction, packet) => {
    if (role === 'receiver' && direction === 'sent' && packet.type === 5) note(`pubrec ${packet.packetId}`)
  },
})

const lines = existsSync(ledger) ? readFileSync(ledger, 'utf8').split('\n') : []

async function send(): Promise<void> {
  const begun = lines.filter((line) => line.startsWith('begun ')).map((line) => Number(line.slice(6)))
  await client.connect()
  // A publish that was begun and is not noted as stored may be stored or not, so it is not published again.
  let waiting = 0
  let wake = (): void => {}
  for (let n = Math.max(0, ...begun) + 1; n <= last; n++) {
    note(`begun ${n}`)
    waiting++
    client.publish('kill/sender', String(n), { qos: 2, until: 'stored' }).then(() => {
      note(`stored ${n}`)
      waiting--
      wake()
    })
    while (waiting >= WINDOW)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }
  await client.close({ drainMs: 60_000 })
  note('done')
}

async function receive(): Promise<void> {
  const finish = (): void => void setImmediate(() => client.close().then(() => note('done')))
  const subscription = client.subscribe('kill/receiver', { qos: 2, ack: 'manual' }, (message) => {
    const n = Number(message.text())
    note(`got ${n} as ${message.packetId}`)
    message.ack()
    if (n === last) finish()
  })
  await client.connect()
  await subscription.ready
  note('subscribed')
  // It was killed after the last message, which perhaps does not come again.
  if (lines.some((line) => line.startsWith(`got ${last} `))) finish()
}

await (role === 'sender' ? send() : receive())
