/** A broker inside a Fastify application: one port, one table of users, messages from and to HTTP. */
import { timingSafeEqual } from 'node:crypto'
import { createBroker } from '@recado/broker'
import { connect } from '@recado/client'
import Fastify from 'fastify'

const users = new Map([
  ['ada', { password: 'lovelace', isAdmin: true }],
  ['bob', { password: 'ross', isAdmin: false }],
])

/** Same for both protocols. A real application has hashes here: `passwordFile`, or a database. */
function isUser(name: string | undefined, password: Uint8Array | undefined): name is string {
  const expected = Buffer.from(users.get(name ?? '')?.password ?? '')
  return password !== undefined && password.length === expected.length && timingSafeEqual(password, expected)
}

const broker = createBroker({
  authenticate: ({ connect }) => isUser(connect.username, connect.password),
  authorize: {
    publish: (client, topic) => topic.startsWith(`users/${client.username}/`),
    subscribe: (client, { topicFilter }) => topicFilter.startsWith(`users/${client.username}/`),
  },
})

const app = Fastify()
app.decorateRequest('user', '')
app.addHook('onRequest', async (request, reply) => {
  const [name = '', password = ''] = Buffer.from(request.headers.authorization?.slice('Basic '.length) ?? '', 'base64')
    .toString()
    .split(':')
  if (!isUser(name, Buffer.from(password))) return reply.code(401).header('www-authenticate', 'Basic').send('log in')
  request.user = name
})

/** POST /users/bob/inbox, the payload as text: a message from the application to the clients of that user. */
app.post<{ Params: { name: string; box: string }; Body: string }>(
  '/users/:name/:box',
  async ({ params, body }, reply) => {
    const { reasonCode } = await broker.publish({ topic: `users/${params.name}/${params.box}`, payload: body, qos: 1 })
    return reply.code(reasonCode < 0x80 ? 202 : 507).send()
  },
)

/** GET /clients?after=…: connected clients in pages, for admins. */
app.get<{ Querystring: { after?: string } }>('/clients', async ({ user, query }, reply) => {
  if (!users.get(user)?.isAdmin) return reply.code(403).send()
  const { items, next } = await broker.inspect.clients().page({ limit: 20, ...query })
  return { clients: items.map(({ clientId, username, traffic }) => ({ clientId, username, ...traffic })), next }
})

// MQTT over WebSocket, on the port of the application.
app.server.on('upgrade', (request, socket, head) =>
  broker.attachUpgrade(request, socket, head, { name: 'app', webSocket: { path: '/mqtt' } }),
)
const url = new URL(await app.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' }))

declare module 'fastify' {
  interface FastifyRequest {
    user: string
  }
}

// --- What a user of the application sees ------------------------------------------------------------------------------

const bob = await connect(`ws://${url.host}/mqtt`, { clientId: 'bobs-phone', username: 'bob', password: 'ross' })
const inbox = bob.subscribe('users/bob/inbox', { qos: 1, decode: 'text' })
await inbox.ready

const call = (path: string, user: string, init: RequestInit = {}): Promise<Response> =>
  fetch(new URL(path, url), {
    ...init,
    headers: { authorization: `Basic ${btoa(user)}`, 'content-type': 'text/plain' },
  })

console.log((await call('/users/bob/inbox', 'ada:lovelace', { method: 'POST', body: 'Somebody rang' })).status)
console.log((await inbox.next()).value?.value)
console.log((await call('/clients', 'bob:ross')).status)
const { clients } = (await (await call('/clients', 'ada:lovelace')).json()) as { clients: { clientId: string }[] }
console.log(clients.map(({ clientId }) => clientId))
console.log((await call('/clients', 'ada:wrong')).status)

await bob.close()
await broker.close()
await app.close()

// Prints:
// 202
// Somebody rang
// 403
// [ 'bobs-phone' ]
// 401
