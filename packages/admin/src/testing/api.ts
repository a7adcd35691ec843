/**
 * A broker with its API on a free port, for tests: logins, requests and clients.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Broker, type BrokerOptions, createBroker, http } from '@recado/broker'
import type { Role } from '../access/roles.ts'
import { TokenFile } from '../access/tokens.ts'
import { Admin, type AdminOptions } from '../admin.ts'
import type { AdminHost } from '../host.ts'

/** Answer of the API. */
export interface Got {
  readonly status: number
  readonly text: string
  readonly headers: IncomingHttpHeaders
  /** Body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they expect
  json(): any
}

/** Request of a test. */
export interface Asked {
  readonly method?: string
  readonly body?: unknown
  /** Body as it is. */
  readonly raw?: string | Buffer
  readonly headers?: Record<string, string>
  /** `user:password`. */
  readonly login?: string
  readonly token?: string
}

/** Broker with its API. */
export interface Served {
  readonly broker: Broker
  readonly admin: Admin
  readonly port: number
  readonly mqttPort: number
  readonly tokens: TokenFile
  /** Lines of the log. */
  readonly lines: string[]
  ask(path: string, asked?: Asked): Promise<Got>
  /** Token with this role. */
  tokenOf(role: Role): string
}

/** Users of the stub: `ada:lovelace` is admin, `olga:ladyzhenskaya` operator, `vera:rubin` viewer, `bob:builder` nobody. */
const users: Readonly<Record<string, [password: string, role: Role | null]>> = {
  ada: ['lovelace', 'admin'],
  olga: ['ladyzhenskaya', 'operator'],
  vera: ['rubin', 'viewer'],
  bob: ['builder', null],
}

/** Starts a broker with its API; the test's end stops both. */
export async function serve(
  context: TestContext,
  options: {
    readonly broker?: BrokerOptions
    readonly host?: Partial<AdminHost>
    readonly admin?: Partial<AdminOptions>
  } = {},
): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-admin-'))
  const lines: string[] = []
  const host: AdminHost = {
    version: '1.2.3',
    async login(_connection, { username = '', password }) {
      const known = users[username]
      if (known === undefined || Buffer.from(password ?? []).toString() !== known[0]) return null
      return { username, role: known[1] }
    },
    anonymousRole: () => 'viewer',
    log: (type, event, text) => void lines.push(`${type} ${event} ${text}`),
    ...options.host,
  }
  const broker = createBroker({ ...options.broker })
  const tokens = new TokenFile(join(folder, 'tokens.json'))
  const admin = new Admin(broker, { host, tokens, ...options.admin })
  const { port } = await broker.listen({
    port: 0,
    host: '127.0.0.1',
    protocol: http(admin.handler, admin.serverOptions),
  })
  const { port: mqttPort } = await broker.listen({ port: 0, host: '127.0.0.1' })
  context.after(async () => {
    await admin.close()
    await broker.close({ timeoutMs: 100 })
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    broker,
    admin,
    port,
    mqttPort,
    tokens,
    lines,
    ask: (path, asked) => ask(port, path, asked),
    tokenOf: (role) => tokens.create({ name: role, role, expiresAtMs: null, createdBy: 'test' }).text,
  }
}

/** Sends a request with its path unchanged: `fetch` would resolve `..` by itself. */
export function ask(
  port: number,
  path: string,
  { method = 'GET', body, raw, headers = {}, login, token }: Asked = {},
): Promise<Got> {
  const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        agent: false,
        ...(login === undefined ? {} : { auth: login }),
        headers: {
          ...(sent === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            text,
            headers: response.headers,
            json: () => JSON.parse(text) as unknown,
          })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(sent)
  })
}
