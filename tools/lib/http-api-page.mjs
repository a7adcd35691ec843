/* docs/api/http.md: every operation of the HTTP API, from the OpenAPI document that it serves itself. */

import { openApi } from '../../packages/admin/dist/http/openapi.js'
import { createAdmin } from '../../packages/admin/dist/mod.js'
import { createBroker } from '../../packages/broker/dist/mod.js'

/** Operations of the API, and the OpenAPI document of them. */
async function readApi() {
  const broker = createBroker()
  const host = { version: '', login: async () => null, anonymousRole: () => null, log: () => {} }
  const admin = createAdmin(broker, { host, decisionsMax: 1 })
  const operations = await admin.operations()
  const document = openApi(operations, '')
  await admin.close()
  await broker.close()
  return { operations, document }
}

const cell = (text) => String(text).replaceAll('|', '\\|').replaceAll('\n', ' ')

/** Type of a JSON Schema in a few words. */
function typeOf(schema) {
  if (schema.enum !== undefined) return schema.enum.map((each) => `\`${each}\``).join(', ')
  if (schema.const !== undefined) return `\`${schema.const}\``
  const any = schema.anyOf ?? schema.oneOf
  if (any !== undefined) return any.map(typeOf).join(' or ')
  if (schema.type === 'array') return `array of ${schema.items === undefined ? 'anything' : typeOf(schema.items)}`
  return schema.type ?? 'anything'
}

function row(name, schema, third, description = '') {
  const byDefault = schema.default === undefined ? '' : ` Default \`${JSON.stringify(schema.default)}\`.`
  return `| \`${name}\` | ${cell(typeOf(schema))} | ${third} | ${cell(description + byDefault)} |`
}

const fieldRows = ({ properties = {}, required = [] }, prefix = '') =>
  Object.entries(properties).map(([name, each]) =>
    row(`${prefix}${name}`, each, required.includes(name) ? 'yes' : '', each.description),
  )

function sample({ method, path, example, role }) {
  if (example === undefined) return ''
  const query = example.query ? `?${example.query}` : ''
  const lines = ['curl -s']
  if (method !== 'get') lines[0] += ` -X ${method.toUpperCase()}`
  if (role !== null) lines.push('-H "Authorization: Bearer $TOKEN"')
  if (example.body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example.body)}'`)
  }
  lines.push(`'http://127.0.0.1:9883${path}${query}'`)
  return `\`\`\`sh\n${lines.join(' \\\n  ')}\n\`\`\`\n\n`
}

function section(operation, described) {
  const { method, path, role, summary, description, mediaType } = operation
  const parameters = described.parameters.map(({ name, in: where, required, schema, description: text }) =>
    row(name, schema, `${where}${required ? ', needed' : ''}`, text),
  )
  const body = described.requestBody?.content['application/json'].schema
  const [[status, ok]] = Object.entries(described.responses).filter(([code]) => code.startsWith('2'))
  const answer = Object.values(ok.content ?? {})[0]?.schema
  const items = answer?.properties?.items?.items
  const own = Object.entries(operation.problems ?? {}).map(([code, text]) => `${code} (${text.replace(/\.$/, '')})`)
  const parts = [
    `### ${method.toUpperCase()} ${path}\n`,
    `${summary} Role: ${role === null ? 'none needed' : `\`${role}\``}.`,
  ]
  if (description !== undefined) parts.push(`\n${description}`)
  if (parameters.length > 0) {
    parts.push(`\n| parameter | type | where | |\n|---|---|---|---|\n${parameters.join('\n')}`)
  }
  if (body !== undefined) parts.push(`\n| body | type | needed | |\n|---|---|---|---|\n${fieldRows(body).join('\n')}`)
  if (mediaType !== undefined) parts.push(`\nAnswers ${status} with \`${mediaType}\`.`)
  else if (answer === undefined) parts.push(`\nAnswers ${status} without a body.`)
  else {
    const rows = [...fieldRows(answer), ...(items === undefined ? [] : fieldRows(items, 'items[].'))]
    parts.push(`\n| answer ${status} | type | always | |\n|---|---|---|---|\n${rows.join('\n')}`)
  }
  if (own.length > 0) parts.push(`\nProblems of its own: ${own.join(', ')}.`)
  return `${parts.join('\n')}\n\n${sample(operation)}`
}

/** Text of the page. */
export async function httpApiPage() {
  const { operations, document } = await readApi()
  const groups = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ tag }) => tag === name)
    return `## ${description}\n\n${own.map((each) => section(each, document.paths[each.path][each.method])).join('')}`
  })
  return `<!-- Generated from packages/admin/src by "npm run docs". Do not edit. -->

# HTTP API

A listener with \`protocol http_api\` serves this API, metrics for Prometheus and health checks; a broker without
configured listeners has one on 127.0.0.1:9883. The API describes itself:
\`GET /api/v1/openapi.json\` is its OpenAPI 3.1 document.

    listener 9883 127.0.0.1
    protocol http_api
    http_api_role admin ada

    TOKEN=$(recado token create laptop --role admin)

## Who may

Each operation has a role: \`viewer\` looks at everything but contents of messages, \`operator\` also sees and publishes
messages, disconnects and bans clients, \`admin\` also makes tokens, reloads, and changes what is logged. A role is had by

- a **bearer token** of \`recado token create\` (\`Authorization: Bearer rcd_…\`): it expires and can be revoked at once;
- a **user** of the listener's logins (password file, JWT, webhook, client certificate) with \`http_api_role ROLE USER\`:
  by HTTP Basic, or a JWT as a bearer token;
- a **session**, which \`POST /api/v1/session\` begins with either: a cookie, and for changes its \`csrf\` in the header
  \`x-recado-csrf\`;
- **nobody in particular** on this machine (127.0.0.1, ::1), where \`allow_anonymous\` is true for the listener: a viewer,
  who changes nothing and sees no payload. A request that a proxy has passed on, or whose Host header names something
  else than this machine, is not from here.

Ten wrong passwords from an address, and every further one costs a wait (429). Each change is in the audit log
(\`GET /api/v1/audit\`) and in the log of the broker (\`api.change\`). No other site may read or change anything: there are
no CORS headers, but on the three paths of Mosquitto (\`/api/v1/version\`, \`/api/v1/listeners\`, \`/api/v1/systree\`).

## Requests and answers

- Bodies and answers are JSON. A body has at most 1 MiB, and 20 s to arrive.
- What fails is a problem document (RFC 9457, \`application/problem+json\`) whose \`detail\` says what to do.
- Lists come in pages: \`next\` of an answer is \`cursor\` of the next request; null is the end. \`sort=-name\` sorts
  descending. Each page walks through the list once, in slices of 2 ms, so clients of the broker do not notice.
- Answers have an \`ETag\`; \`If-None-Match\` saves the body of one that is the same.
- More than 100 requests a second from an address (500 in a burst) are answered 429 with \`Retry-After\`.
- Times are milliseconds since the Unix epoch.

${groups.join('')}`
}
