/** Operations about logins: sessions of the dashboard, tokens, bans, the audit log. */
import { isIP } from 'node:net'
import { connectionOf } from '@recado/broker'
import { z } from 'zod'
import { addressOf, cookieFrom, mustBeSameOrigin, mustHaveRole } from '../access/identify.ts'
import { roles } from '../access/roles.ts'
import { SESSION_COOKIE } from '../access/sessions.ts'
import { TOKEN_DAYS, TOKEN_DAYS_MAX, type TokenFile, TokenFileError } from '../access/tokens.ts'
import { type Operation, operation } from '../http/operation.ts'
import { Problem } from '../http/problem.ts'
import { done, Reply } from '../http/reply.ts'
import { need, type Parts } from './parts.ts'
import { timeMs } from './views.ts'

const role = z.enum(roles)
const token = z.object({
  id: z.string(),
  name: z.string(),
  role,
  createdAtMs: timeMs,
  expiresAtMs: timeMs.nullable(),
  createdBy: z.string(),
})
const me = z.object({
  user: z.string(),
  role,
  via: z.string(),
  csrf: z.string().nullable().describe('Value of the header x-recado-csrf for changes; null without a session.'),
  expiresAtMs: timeMs.nullable(),
})
const DAY_MS = 86_400_000
const CLEARED = `${SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`

/** Runs a change of the file of tokens. @throws Problem 409 */
function changing<T>(change: () => T): T {
  try {
    return change()
  } catch (error) {
    if (error instanceof TokenFileError) throw new Problem(409, `${error.message}.`)
    throw error
  }
}

/** Operations of the group `access`. */
export function accessOperations(parts: Parts): Operation[] {
  const { host, sessions, identification, audit } = parts
  const tokensOf = (): TokenFile => {
    if (parts.tokens === null) throw new Problem(501, 'This broker has no file of tokens: set http_api_token_file.')
    return parts.tokens
  }
  return [
    operation({
      method: 'post',
      path: '/api/v1/session',
      id: 'logIn',
      tag: 'access',
      role: null,
      summary: 'Logs in with a user name and password, or with a token; the answer sets the cookie of the session.',
      body: z.strictObject({
        username: z.string().max(65_535).optional(),
        password: z.string().max(65_535).optional(),
        token: z.string().max(1_000).optional(),
      }),
      answer: me,
      problems: { 401: 'The login is wrong.', 403: 'The user has no role.', 503: 'It cannot be checked now.' },
      async handle({ incoming, body, caller }) {
        mustBeSameOrigin(incoming)
        const connection = connectionOf(incoming)!
        const isSecure = (connection.peer?.tlsVersion ?? null) !== null
        const begin = (user: string, as: (typeof roles)[number], text: string | null): Reply => {
          const { cookie, session } = sessions.begin(user, as, text)
          const secure = isSecure ? '; Secure' : ''
          audit.add({ ...caller, name: user, role: as, via: 'session' }, 'logIn', 'logged in', true)
          const answer = { user, role: as, via: 'session', csrf: session.csrf, expiresAtMs: session.expiresAtMs }
          return new Reply(200, answer, {
            'set-cookie': `${SESSION_COOKIE}=${cookie}; Path=/; HttpOnly; SameSite=Strict${secure}`,
          })
        }
        if (body.token !== undefined) {
          const found = parts.tokens?.find(body.token) ?? null
          if (found === null) throw new Problem(401, 'The token is not known, has expired or was revoked.')
          return begin(found.name, found.role, body.token)
        }
        if (body.username === undefined || body.password === undefined) {
          throw new Problem(422, 'Send username and password, or token.')
        }
        const login = { username: body.username, password: Buffer.from(body.password) }
        const loggedIn = await identification.login(connection, login)
        return begin(loggedIn.username, mustHaveRole(loggedIn), null)
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/session',
      id: 'getSession',
      tag: 'access',
      role: 'viewer',
      summary: 'Who asks, and with which role.',
      answer: me,
      example: {},
      handle({ caller, incoming }) {
        const session = identification.sessionOf(incoming.headers.cookie)
        return {
          user: caller.name,
          role: caller.role,
          via: caller.via,
          csrf: session?.csrf ?? null,
          expiresAtMs: session?.expiresAtMs ?? null,
        }
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/session',
      id: 'logOut',
      tag: 'access',
      role: null,
      summary: 'Ends the session of the cookie.',
      answer: null,
      handle({ incoming }) {
        mustBeSameOrigin(incoming)
        const cookie = cookieFrom(incoming.headers.cookie)
        if (cookie !== null) sessions.end(cookie)
        return done({ 'set-cookie': CLEARED })
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/tokens',
      id: 'listTokens',
      tag: 'access',
      role: 'admin',
      summary: 'Tokens, without their secrets.',
      answer: z.object({ items: z.array(token) }),
      problems: { 501: 'There is no file of tokens.' },
      example: {},
      handle: () => ({ items: tokensOf().list() }),
    }),
    operation({
      method: 'post',
      path: '/api/v1/tokens',
      id: 'createToken',
      tag: 'access',
      role: 'admin',
      summary: 'Makes a token. Its text is in this answer and nowhere else.',
      body: z.strictObject({
        name: z.string().min(1).max(100),
        role,
        days: z
          .number()
          .int()
          .min(1)
          .max(TOKEN_DAYS_MAX)
          .nullable()
          .default(TOKEN_DAYS)
          .describe('null: it does not expire.'),
      }),
      answer: token.extend({ text: z.string().describe('The token, for `Authorization: Bearer`.') }),
      problems: { 409: 'The file of tokens cannot be changed.', 501: 'There is no file of tokens.' },
      example: { body: { name: 'grafana', role: 'viewer', days: 30 } },
      handle({ body: { name, role, days }, caller, audit }) {
        const expiresAtMs = days === null ? null : Date.now() + days * DAY_MS
        const made = changing(() => tokensOf().create({ name, role, expiresAtMs, createdBy: caller.name }))
        audit(`made the token "${name}" (${made.token.id}) with the role ${role}`)
        return new Reply(201, { ...made.token, text: made.text })
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/tokens/{id}',
      id: 'revokeToken',
      tag: 'access',
      role: 'admin',
      summary: 'Revokes a token at once.',
      params: z.strictObject({ id: z.string() }),
      answer: null,
      problems: { 404: 'There is no such token.', 409: 'The file of tokens cannot be changed.' },
      handle({ params: { id }, audit }) {
        const revoked = changing(() => tokensOf().revoke(id))
        if (revoked === null) throw new Problem(404, `There is no token ${id.slice(0, 50)}.`)
        audit(`revoked the token "${revoked.name}" (${id})`)
        return done()
      },
    }),
    operation({
      method: 'put',
      path: '/api/v1/users/{username}/password',
      id: 'setPassword',
      tag: 'access',
      role: 'admin',
      summary: 'Sets the password of a user of the password file, and ends the sessions of the API.',
      description:
        'The user must be there: `recado passwd` makes new ones. Clients that are connected with the old password are disconnected.',
      params: z.strictObject({ username: z.string().describe('User name, percent-encoded.') }),
      body: z.strictObject({
        password: z.string().min(1).max(65_535),
        listener: z
          .string()
          .max(1_000)
          .optional()
          .describe('Listener whose file it is; default the first one with a password file.'),
      }),
      answer: null,
      problems: {
        404: 'The file has no such user, or there is no such file.',
        409: 'The file cannot be changed.',
        501: 'The program cannot.',
      },
      async handle({ params: { username }, body: { password, listener }, audit }) {
        const set = need(host, 'setPassword')
        const outcome = await set(username, password, listener).catch((error: Error) => {
          throw new Problem(409, `The password cannot be set: ${error.message}.`)
        })
        if (outcome === 'no-file') throw new Problem(404, 'No password file is configured there.')
        if (outcome === 'no-user') {
          throw new Problem(404, `The password file has no user "${username.slice(0, 200)}": recado passwd makes one.`)
        }
        audit(`set the password of the user "${username}"`)
        return done()
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/bans',
      id: 'listBans',
      tag: 'access',
      role: 'viewer',
      summary: 'Bans that were begun by the API and are not over.',
      answer: z.object({
        items: z.array(z.object({ kind: z.string(), name: z.string(), untilMs: timeMs, by: z.string() })),
      }),
      problems: { 501: 'The program cannot.' },
      example: {},
      handle: () => ({ items: need(host, 'bans')() }),
    }),
    operation({
      method: 'post',
      path: '/api/v1/bans',
      id: 'createBan',
      tag: 'access',
      role: 'operator',
      summary: 'Refuses a Client Identifier, user name or address for a time, and disconnects whom it concerns.',
      body: z.strictObject({
        kind: z.enum(['clientid', 'username', 'address']),
        name: z.string().min(1).max(65_535),
        seconds: z.number().int().min(1).max(31_536_000).default(3_600),
      }),
      answer: z.object({ disconnected: z.number().int() }),
      problems: { 422: 'The address is none.', 501: 'The program cannot.' },
      example: { body: { kind: 'clientid', name: 'noisy', seconds: 600 } },
      handle({ body: { kind, name, seconds }, caller, audit }) {
        if (kind === 'address' && isIP(name) === 0)
          throw new Problem(422, `"${name.slice(0, 200)}" is not an IPv4 or IPv6 address, as 192.0.2.7 or 2001:db8::7.`)
        need(host, 'ban')(kind, name, seconds, caller.name)
        const disconnected = parts.broker.disconnect(({ clientId, username, remoteAddress }) => {
          if (kind === 'clientid') return clientId === name
          return kind === 'username' ? username === name : addressOf(remoteAddress) === name
        })
        audit(`banned the ${kind} "${name}" for ${seconds} s (${disconnected} disconnected)`)
        return new Reply(201, { disconnected })
      },
    }),
    operation({
      method: 'delete',
      path: '/api/v1/bans/{kind}/{name}',
      id: 'endBan',
      tag: 'access',
      role: 'operator',
      summary: 'Ends a ban that was begun by the API.',
      params: z.strictObject({ kind: z.enum(['clientid', 'username', 'address']), name: z.string() }),
      answer: null,
      problems: { 404: 'There is no such ban.', 501: 'The program cannot.' },
      handle({ params: { kind, name }, audit }) {
        if (!need(host, 'unban')(kind, name)) throw new Problem(404, 'There is no such ban.')
        audit(`ended the ban of the ${kind} "${name}"`)
        return done()
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/audit',
      id: 'listAudit',
      tag: 'access',
      role: 'operator',
      summary: 'Changes that were made by the API, latest first: the last 1,000.',
      query: z.strictObject({
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
        before: z.coerce.number().int().min(1).optional().describe('`number` of the last line of the page before.'),
      }),
      answer: z.object({
        items: z.array(
          z.object({
            number: z.number().int(),
            atMs: timeMs,
            user: z.string(),
            via: z.string(),
            remoteAddress: z.string(),
            operation: z.string(),
            what: z.string(),
            isDone: z.boolean().describe('False: it was refused.'),
          }),
        ),
      }),
      example: { query: 'limit=10' },
      handle: ({ query: { limit, before } }) => ({ items: audit.latest(limit, before) }),
    }),
  ]
}
