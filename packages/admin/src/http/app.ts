/**
 * Serves the operations by HTTP: routing, who may, limits, checks of what comes in, and the form of what goes out.
 *
 * `api.ts` makes one and hands it the requests of its listeners. Invariants: an operation is called only with what its
 * schemas allow and by a caller whose role is enough; every failure is a problem document; no answer can be framed,
 * sniffed or cached by others; bodies are bounded before they are read.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { connectionOf } from '@recado/broker'
import { MqttError } from '@recado/protocol'
import { type Context, Hono } from 'hono'
import type { z } from 'zod'
import type { AuditLog } from '../access/audit.ts'
import type { Identification } from '../access/identify.ts'
import { type Caller, isEnough } from '../access/roles.ts'
import { isChange, type Operation } from './operation.ts'
import { type Fault, Problem } from './problem.ts'
import { Reply } from './reply.ts'
import { securityHeaders } from './security-headers.ts'
import { endIfUnread } from './unread.ts'

/** Bytes of the largest body. */
export const BODY_BYTES_MAX: number = 1_048_576

/** Variables that the Node adapter hands to each request. */
export interface Bindings {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

type Env = { Bindings: Bindings }

export interface AppParts {
  readonly identification: Identification
  readonly audit: AuditLog
  /** Reports an error that is none of the caller's. */
  failed(operation: string, error: unknown): void
}

/** Makes the application. */
export function appOf(operations: readonly Operation[], parts: AppParts): Hono<Env> {
  const app = new Hono<Env>({ strict: true })
  for (const operation of operations) {
    app.on(operation.method.toUpperCase(), routeOf(operation), (context) => serve(operation, context, parts))
  }
  const methods = methodsByPath(operations)
  for (const [path, allowed] of methods) {
    app.all(path, () => {
      throw new Problem(405, `Only ${allowed} can be done here.`, { headers: { allow: allowed } })
    })
  }
  app.notFound((context) =>
    answerTo(new Problem(404, 'There is nothing at this path: GET /api/v1/openapi.json lists what there is.'), context),
  )
  app.onError((error, context) => answerTo(error, context, parts))
  return app
}

/** Path in the form of the router. */
const routeOf = ({ path }: Operation): string => path.replaceAll(/\{(\w+)\}/g, ':$1')

function methodsByPath(operations: readonly Operation[]): Map<string, string> {
  const methods = new Map<string, string[]>()
  for (const operation of operations) {
    const route = routeOf(operation)
    methods.set(route, [...(methods.get(route) ?? []), operation.method.toUpperCase()])
  }
  return new Map([...methods].map(([path, all]) => [path, all.join(', ')]))
}

async function serve(operation: Operation, context: Context<Env>, parts: AppParts): Promise<Response> {
  const { incoming } = context.env
  const changes = isChange(operation)
  const caller = operation.role === null ? nobody(incoming) : await parts.identification.callerOf(incoming, changes)
  const { role } = operation
  if (role !== null && !isEnough(caller.role, role)) {
    if (changes) parts.audit.add(caller, operation.id, `${incoming.method} ${incoming.url ?? ''}`, false)
    const hint = caller.via === 'anonymous' ? ' Log in, or send a token.' : ''
    throw new Problem(403, `This needs the role ${role}; ${caller.name} has ${caller.role}.${hint}`)
  }
  const params = check(operation.params, context.req.param(), 'path')
  const query = check(operation.query, queryOf(context.req.url), 'query')
  const body = operation.body === undefined ? undefined : check(operation.body, await bodyOf(context), 'body')
  const call = {
    params,
    query,
    body,
    caller,
    incoming,
    get signal() {
      return context.req.raw.signal
    },
    audit: (what: string): void => parts.audit.add(caller, operation.id, what, true),
  }
  const result = await operation.handle(call as never)
  return write(result instanceof Reply ? result : new Reply(200, result), operation, context)
}

/** Caller of an operation that is for everybody. */
function nobody(incoming: IncomingMessage): Caller {
  const connection = connectionOf(incoming)
  return {
    name: 'anonymous',
    role: 'viewer',
    via: 'anonymous',
    remoteAddress: connection?.remoteAddress ?? '',
    listener: connection?.listener ?? '',
  }
}

/** Query as an object; a name that stands twice is refused by the schema, which takes one value. */
function queryOf(url: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {}
  const at = url.indexOf('?')
  if (at === -1) return query
  for (const [name, value] of new URLSearchParams(url.slice(at + 1))) {
    const before = Object.hasOwn(query, name) ? query[name] : undefined
    const next = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
    Object.defineProperty(query, name, { value: next, enumerable: true, configurable: true, writable: true })
  }
  return query
}

/** @throws Problem 422 with every fault */
function check(schema: z.ZodType | undefined, value: unknown, where: string): unknown {
  if (schema === undefined) {
    const names = where === 'query' ? Object.keys(value as object) : []
    if (names.length > 0)
      throw new Problem(400, `This operation takes no query, but "${names[0]!.slice(0, 50)}" was given.`)
    return value
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues
    .slice(0, 20)
    .map(({ path, message }): Fault => ({ where: [where, ...path.map(String)].join('.'), what: message }))
  const [first] = faults
  throw new Problem(422, `${first?.where ?? where}: ${first?.what ?? 'it cannot be used'}.`, { faults })
}

/** Reads the body as JSON. @throws Problem 400, 413, 415 */
async function bodyOf(context: Context<Env>): Promise<unknown> {
  const { req } = context
  const type = (req.header('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new Problem(415, 'Send the body as JSON, with the header "Content-Type: application/json".')
  }
  if ((req.header('content-encoding') ?? 'identity').toLowerCase() !== 'identity') {
    throw new Problem(415, 'Send the body as it is, without a Content-Encoding.')
  }
  const tooLarge = (): Problem =>
    new Problem(413, `The body may have at most ${BODY_BYTES_MAX} bytes.`, { headers: { connection: 'close' } })
  if (Number(req.header('content-length') ?? 0) > BODY_BYTES_MAX) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of req.raw.body ?? []) {
    length += chunk.length
    if (length > BODY_BYTES_MAX) throw tooLarge()
    chunks.push(chunk)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
  } catch {
    throw new Problem(400, 'The body is not JSON.')
  }
}

function write(reply: Reply, operation: Operation, context: Context<Env>): Response {
  const { body, status } = reply
  if (body === undefined || operation.answer === null) {
    return send(context, status, { ...securityHeaders, ...reply.headers }, null)
  }
  const type = operation.mediaType ?? (body instanceof ReadableStream ? 'application/octet-stream' : 'application/json')
  const headers: Record<string, string> = { ...securityHeaders, 'content-type': type, ...reply.headers }
  if (body instanceof ReadableStream) return new Response(body, { status, headers })
  const text = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  if (operation.method === 'get' && status === 200) {
    const tag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`
    headers['etag'] = tag
    // A copy may be kept, and has to be asked about each time.
    headers['cache-control'] = 'private, no-cache'
    const known = context.env.incoming.headers['if-none-match']
    if (known?.split(',').some((each) => ['*', tag].includes(each.trim().replace(/^W\//, ''))))
      return send(context, 304, headers, null)
  }
  return send(context, status, headers, text)
}

/** Writes an answer as Node does it: as a `Response` it would go through a stream of its own, at twice the cost. */
function send(
  { env: { outgoing } }: Context<Env>,
  status: number,
  headers: Record<string, string>,
  body: Buffer | null,
): Response {
  if (body !== null) headers['content-length'] = String(body.length)
  endIfUnread(outgoing)
  outgoing.writeHead(status, headers)
  outgoing.end(body ?? undefined)
  return RESPONSE_ALREADY_SENT
}

function answerTo(error: unknown, context: Context<Env>, parts?: AppParts): Response {
  const problem = problemFrom(error)
  if (problem.status === 500) parts?.failed(`${context.req.method} ${context.req.path}`, error)
  const headers = { ...securityHeaders, ...problem.headers, 'content-type': 'application/problem+json' }
  return send(context, problem.status, headers, Buffer.from(JSON.stringify(problem.document(context.req.path))))
}

/** Problem of any error: what the broker has refused is the caller's to mend, anything else is ours. */
function problemFrom(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof MqttError) {
    if (error.code === 'ERR_MQTT_CLOSED') return new Problem(503, 'The broker is being stopped.')
    if (/^ERR_MQTT_STORE/.test(error.code)) return new Problem(503, `The store cannot be read: ${error.message}.`)
    return new Problem(422, `${error.message}.`)
  }
  return new Problem(500, 'The broker has failed at this: its log says more.')
}
