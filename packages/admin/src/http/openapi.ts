/**
 * The OpenAPI 3.1 document of the API, made of the table of operations and their schemas.
 *
 * `GET /api/v1/openapi.json` serves it; tools/docs.mjs makes docs/api/http.md of it.
 */
import { z } from 'zod'
import type { Operation } from './operation.ts'
import { tags } from './operation.ts'

type Json = Record<string, unknown>

/** JSON Schema of what goes in or out. */
export function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const made = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Json
  const { $schema: _schema, ...rest } = made
  return rest
}

const problem: Json = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'instance'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'A sentence: what is wrong, and what to do.' },
    instance: { type: 'string', description: 'Path of the request.' },
    faults: {
      type: 'array',
      description: 'Values that cannot be used.',
      items: {
        type: 'object',
        required: ['where', 'what'],
        properties: { where: { type: 'string' }, what: { type: 'string' } },
      },
    },
  },
}

/** Makes the document. */
export function openApi(operations: readonly Operation[], version: string): Json {
  const paths: Record<string, Json> = {}
  for (const operation of operations) {
    paths[operation.path] ??= {}
    paths[operation.path]![operation.method] = operationOf(operation)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Recado',
      version,
      description: 'HTTP API of a Recado broker.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token of `recado token create`, or a JWT.' },
        password: { type: 'http', scheme: 'basic', description: 'A user of the password file with a role.' },
        session: { type: 'apiKey', in: 'cookie', name: 'recado_session' },
      },
    },
  }
}

function operationOf(operation: Operation): Json {
  const { id, tag, role, summary, description, params, query, body, answer, mediaType, method } = operation
  const status = answer === null ? '204' : method === 'post' && id.startsWith('create') ? '201' : '200'
  const problems = { ...generalProblems(operation), ...operation.problems }
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    'x-recado-role': role,
    ...(role === null ? { security: [] } : { security: [{ token: [] }, { password: [] }, { session: [] }] }),
    parameters: [...parametersOf(params, 'path'), ...parametersOf(query, 'query')],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } } }),
    responses: {
      [status]:
        answer === null
          ? { description: 'Done.' }
          : {
              description: 'The answer.',
              content: { [mediaType ?? 'application/json']: { schema: schemaOf(answer, 'output') } },
            },
      ...Object.fromEntries(
        Object.entries(problems).map(([code, reason]) => [
          code,
          {
            description: reason,
            content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
          },
        ]),
      ),
    },
  }
}

/** Problems that any operation of this kind can have. */
function generalProblems({ role, body, query, params }: Operation): Record<string, string> {
  return {
    ...(role === null
      ? {}
      : { '401': 'There is no login, or it is wrong.', '403': `The caller has a lesser role than ${role}.` }),
    '400': 'The request is malformed.',
    ...(body === undefined ? {} : { '413': 'The body is too large.', '415': 'The body has another type.' }),
    ...(query === undefined && params === undefined && body === undefined ? {} : { '422': 'A value cannot be used.' }),
    '429': 'Too many requests.',
  }
}

function parametersOf(schema: z.ZodObject | undefined, where: 'path' | 'query'): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, each]) => {
    const { description, ...rest } = each
    return {
      name,
      in: where,
      required: where === 'path' || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    }
  })
}
