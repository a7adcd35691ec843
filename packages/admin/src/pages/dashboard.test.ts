import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathOf } from '../http/path.ts'
import { ask } from '../testing/api.ts'
import { Dashboard } from './dashboard.ts'

async function serve(context: TestContext, files: Record<string, string>): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-dashboard-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const dashboard = new Dashboard(files['index.html'] === undefined ? join(folder, 'missing') : folder)
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const path = pathOf(request)
    if (dashboard.has(path)) dashboard.send(path, request, response)
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  context.after(() => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return (server.address() as AddressInfo).port
}

test('views are the page, assets are kept for ever, and nothing else is there', async (context) => {
  const script = 'const a = 1\n'.repeat(100)
  const port = await serve(context, { 'index.html': '<title>Recado</title>', 'main-A.js': script })
  for (const path of ['/', '/clients', '/client?id=%2F..%2F', '/why?topic=a']) {
    const page = await ask(port, path)
    assert.equal(page.text, '<title>Recado</title>', path)
    assert.equal(page.headers['cache-control'], 'no-cache')
    const policy = String(page.headers['content-security-policy'])
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
    assert.doesNotMatch(policy, /unsafe|\*/)
  }
  const asset = await ask(port, '/assets/main-A.js')
  assert.deepEqual([asset.text, asset.headers['content-type']], [script, 'text/javascript; charset=utf-8'])
  assert.match(String(asset.headers['cache-control']), /immutable/)
  const etag = String(asset.headers.etag)
  assert.equal((await ask(port, '/assets/main-A.js', { headers: { 'if-none-match': etag } })).status, 304)
  for (const path of ['/assets/index.html', '/assets/', '/assets/..%2f..%2fpackage.json', '/main-A.js', '/x', '//']) {
    assert.equal((await ask(port, path)).status, 404, path)
  }
  assert.equal((await ask(port, '/', { method: 'POST' })).status, 405)
  assert.deepEqual([(await ask(port, '/', { method: 'HEAD' })).text], [''])
})

test('who takes gzip gets it', async (context) => {
  const script = 'const a = 1\n'.repeat(100)
  const port = await serve(context, { 'index.html': 'x', 'main-A.js': script })
  const response = await fetch(`http://127.0.0.1:${port}/assets/main-A.js`, { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(response.headers.get('content-encoding'), 'gzip')
  assert.ok(Number(response.headers.get('content-length')) < script.length / 4)
  assert.equal(await response.text(), script)
})

test('a dashboard that was not built says how to build it', async (context) => {
  const port = await serve(context, {})
  const answer = await ask(port, '/')
  assert.equal(answer.status, 503)
  assert.match(answer.text, /npm run build/)
})
