/**
 * All operations of the API, and the handler of requests to them.
 *
 * `admin.ts` loads it, and the framework and the schemas with it, when the first request comes.
 */
import { getRequestListener, RequestError } from '@hono/node-server'
import { z } from 'zod'
import type { ProcessSamples } from '../metrics/process-samples.ts'
import { accessOperations } from '../operations/access.ts'
import { backupOperation } from '../operations/backup.ts'
import { clientOperations } from '../operations/clients.ts'
import { healthOperations } from '../operations/health.ts'
import { insightOperations } from '../operations/insight.ts'
import { messageOperations } from '../operations/messages.ts'
import type { Parts } from '../operations/parts.ts'
import { serverOperations } from '../operations/server.ts'
import { subscriptionOperations } from '../operations/subscriptions.ts'
import type { Decisions } from '../why/decisions.ts'
import { appOf } from './app.ts'
import type { Handler } from './flood.ts'
import { openApi } from './openapi.ts'
import { type Operation, operation } from './operation.ts'
import { Problem } from './problem.ts'
import { securityHeaders } from './security-headers.ts'

/** The API as it is served. */
export interface Api {
  readonly operations: readonly Operation[]
  readonly handler: Handler
}

/** Makes the API. `decisions`: what `why` answers from; null: nothing is remembered. */
export function createApi(parts: Parts, decisions: Decisions | null, samples: ProcessSamples): Api {
  const { host } = parts
  const all: Operation[] = [
    ...serverOperations(parts),
    backupOperation(parts),
    ...accessOperations(parts),
    ...clientOperations(parts),
    ...subscriptionOperations(parts),
    ...messageOperations(parts, decisions),
    ...insightOperations(parts, decisions),
    ...healthOperations(parts, samples),
  ]
  all.push(documentOperation(all, host.version))
  const failed = (where: string, error: unknown): void => {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    host.log('error', 'api.failed', `The API has failed at ${where}: ${what}`, { where })
  }
  const app = appOf(all, { identification: parts.identification, audit: parts.audit, failed })
  const listener = getRequestListener((request, bindings) => app.fetch(request, bindings as never), {
    overrideGlobalObjects: false,
    // HTTP/1.0, which health checks may speak, has no Host header.
    hostname: 'localhost',
    errorHandler: (error) => {
      // A Host header or a path that is none is nothing for the log.
      if (error instanceof RequestError) return malformed()
      failed('a request', error)
      return new Response(null, { status: 500 })
    },
  })
  return { operations: all, handler: listener }
}

/** Answer to a request that is so malformed that it reaches no operation. */
function malformed(): Response {
  const problem = new Problem(400, 'The Host header or the path of the request is malformed.')
  const headers = { ...securityHeaders, 'content-type': 'application/problem+json' }
  return new Response(JSON.stringify(problem.document('')), { status: 400, headers })
}

function documentOperation(all: readonly Operation[], version: string): Operation {
  let document: unknown
  return operation({
    method: 'get',
    path: '/api/v1/openapi.json',
    id: 'getOpenApi',
    tag: 'server',
    role: null,
    summary: 'This API as an OpenAPI 3.1 document.',
    answer: z.record(z.string(), z.unknown()),
    example: {},
    handle() {
      document ??= openApi(all, version)
      return document
    },
  })
}
