/** Users and rights in a database: changed there, they hold at once for clients that are connected. */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { type AuthorizeHooks, createBroker } from '@recado/broker'
import { connect, PublishError } from '@recado/client'
import sqlite from 'node-sqlite3-wasm'

const database = new sqlite.Database(':memory:')
database.exec(`
  CREATE TABLE users (name TEXT PRIMARY KEY, salt BLOB, hash BLOB);
  CREATE TABLE rights (name TEXT, prefix TEXT, may_write INTEGER)`)

const hashOf = (password: Uint8Array | string, salt: Uint8Array): Uint8Array => scryptSync(password, salt, 32)

function addUser(name: string, password: string): void {
  const salt = randomBytes(16)
  database.run('INSERT INTO users VALUES (?, ?, ?)', [name, salt, hashOf(password, salt)])
}

/** Rights to all topics that begin so. */
function mayUse(name: string | undefined, topic: string, mayWrite: 0 | 1): boolean {
  const row = database.get(
    'SELECT 1 FROM rights WHERE name = ? AND substr(?, 1, length(prefix)) = prefix AND may_write >= ?',
    [name ?? '', topic, mayWrite],
  )
  return row !== null
}

const authorize: AuthorizeHooks = {
  // The database is asked once for each client and topic, and again after `broker.recheck()`.
  isStable: true,
  publish: ({ username }, topic) => mayUse(username, topic, 1),
  // Any filter may be subscribed to: what does not belong to the user is not delivered.
  subscribe: () => true,
  mayReceive: ({ username }, topic) => mayUse(username, topic, 0),
  // What was retained by somebody who has lost the right since is not delivered either.
  mayPublish: ({ username }, topic) => mayUse(username, topic, 1),
}

const broker = createBroker({
  authenticate: {
    authenticate({ connect: { username, password } }) {
      const user = database.get('SELECT salt, hash FROM users WHERE name = ?', [username ?? ''])
      if (user === null || password === undefined) return false
      const { salt, hash } = user as { salt: Uint8Array; hash: Uint8Array }
      return timingSafeEqual(hash, hashOf(password, salt))
    },
    // Asked by `recheck`: who was deleted is disconnected.
    isStillValid: ({ username }) => database.get('SELECT 1 FROM users WHERE name = ?', [username ?? '']) !== null,
  },
  authorize,
})

addUser('ada', 'lovelace')
database.run("INSERT INTO rights VALUES ('ada', 'house/', 0), ('ada', 'house/door/', 1)")
const { port } = await broker.listen({ port: 0 })

// --- What a client sees -------------------------------------------------------------------------------------------------

const ada = await connect(`mqtt://127.0.0.1:${port}`, { username: 'ada', password: 'lovelace' })
const everything = ada.subscribe('#', { qos: 1, decode: 'text' })
await everything.ready

/** What becomes of a message that she publishes. */
async function publish(topic: string): Promise<string> {
  try {
    await ada.publish(topic, 'by ada', { qos: 1 })
    return 'taken'
  } catch (error) {
    return error instanceof PublishError ? `refused, 0x${error.reasonCode.toString(16)}` : String(error)
  }
}

console.log('house/door/bell:', await publish('house/door/bell'))
console.log('house/lamp:', await publish('house/lamp'))
await broker.publish({ topic: 'garden/lamp', payload: 'not for her', qos: 1 })
await broker.publish({ topic: 'house/lamp', payload: 'for her', qos: 1 })
for (let i = 0; i < 2; i++) {
  const { value: message } = await everything.next()
  console.log('received:', message?.topic, message?.value)
}

database.run("DELETE FROM rights WHERE prefix = 'house/door/'")
broker.recheck()
console.log('house/door/bell:', await publish('house/door/bell'))

database.run("DELETE FROM users WHERE name = 'ada'")
broker.recheck()
const reason = await ada.closed
console.log('disconnected:', reason?.message)

await ada.close()
await broker.close()
database.close()

// Prints:
// house/door/bell: taken
// house/lamp: refused, 0x87
// received: house/door/bell by ada
// received: house/lamp for her
// house/door/bell: refused, 0x87
// disconnected: the server refused the connection: Not Authorized; check username, password and clientId, and what they may do
