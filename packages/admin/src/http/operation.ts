/**
 * The form of an operation of the API: its place, who may call it, the schemas of what goes in and out, and what it does.
 *
 * The files of `operations/` have one for each path and method. `app.ts` serves them, and `openapi.ts` describes them:
 * both read the same schemas, so that the document and the checks cannot differ.
 */
import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import type { Caller, Role } from '../access/roles.ts'

/** Groups of operations, in the order of the page. */
export const tags = {
  server: 'The broker itself',
  access: 'Logins, tokens and the audit log',
  clients: 'Clients and sessions',
  subscriptions: 'Subscriptions and routing',
  messages: 'Messages',
  insight: 'Why a message did not arrive, and where it went',
  health: 'Metrics and health',
} as const
/** Name of a group. */
export type Tag = keyof typeof tags

/** Request as an operation sees it: checked, and with its caller. */
export interface Call<Params, Query, Body> {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly caller: Caller
  readonly incoming: IncomingMessage
  /** Aborted when the client has gone away. */
  readonly signal: AbortSignal
  /** Notes what was done, for the audit log; called once the change is made. */
  audit(what: string): void
}

/** An operation whose types are known: what the files of `operations/` write. */
export interface Definition<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType> {
  readonly method: 'get' | 'put' | 'post' | 'delete'
  /** Path with `{name}` for each of `params`. */
  readonly path: string
  /** Name of the operation, unique. */
  readonly id: string
  readonly tag: Tag
  /** Role that is needed; null for everybody, a login or not. */
  readonly role: Role | null
  readonly summary: string
  readonly description?: string
  readonly params?: Params
  readonly query?: Query
  readonly body?: Body
  readonly answer: z.ZodType | null
  /** Media type of the answer; default JSON. */
  readonly mediaType?: string
  /** Statuses besides 200 (204 without an answer) and the general ones, with the reason of each. */
  readonly problems?: Readonly<Record<number, string>>
  /** Sample of a request, which a test runs. */
  readonly example?: { readonly params?: Record<string, string>; readonly query?: string; readonly body?: unknown }
  handle(call: Call<z.output<Params>, z.output<Query>, z.output<Body>>): unknown
}

/** An operation with its types forgotten, for the table of all. */
export type Operation = Omit<Definition<z.ZodObject, z.ZodObject, z.ZodType>, 'handle'> & {
  handle(call: Call<never, never, never>): unknown
}

type None = z.ZodObject<Record<never, z.ZodType>>

/** Types the call of an operation from its schemas. */
export function operation<
  Params extends z.ZodObject = None,
  Query extends z.ZodObject = None,
  Body extends z.ZodType = z.ZodUndefined,
>(definition: Definition<Params, Query, Body>): Operation {
  return definition as unknown as Operation
}

/** Whether what the operation does changes something. */
export const isChange = ({ method }: Pick<Operation, 'method'>): boolean => method !== 'get'
