/**
 * `npm run site`, looked at in Chromium: pages in two languages, diagrams, a search without a server, dark mode, the
 * width of a telephone, and no request that leaves the machine. A dead link would have ended the build.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { peerPath, skipWithout } from '../peers/find.ts'
import { CHROMIUM_FLAGS, isTrue, troublesOf } from './chromium.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

suite('the site of the documentation', { skip: skipWithout('chromium'), timeout: 600_000 }, () => {
  let server: Server
  let browser: Browser
  let base: string
  const requested: string[] = []

  before(async () => {
    await promisify(execFile)(process.execPath, [join(root, 'tools/site.mjs')], { cwd: root, maxBuffer: 16 << 20 })
    server = createServer((request, response) => {
      const path = new URL(request.url ?? '/', 'http://localhost').pathname
      try {
        const file = readFileSync(join(root, 'site/dist', path.endsWith('/') ? `${path}index.html` : path))
        response.writeHead(200, { 'content-type': types[extname(path)] ?? 'text/html' }).end(file)
      } catch {
        response.writeHead(404).end()
      }
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath: peerPath('chromium'), args: CHROMIUM_FLAGS })
  })
  after(async () => {
    await browser?.close()
    server?.close()
  })

  async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.newPage(options)
    page.setDefaultTimeout(180_000)
    const troubles = troublesOf(page)
    page.on('request', (request) => void requested.push(request.url()))
    await page.goto(base + path, { waitUntil: 'load' })
    // The page answers to keys only when its script has run.
    await isTrue(page, "document.querySelector('#app').__vue_app__ !== undefined", troubles)
    return page
  }

  test('a page has its table of bytes and its diagrams', async () => {
    const page = await open('/learn/publishing.html')
    assert.match(await page.locator('table').first().innerText(), /packet type 3, PUBLISH/)
    const widths = (await page.evaluate(
      "[...document.querySelectorAll('main img')].map((i) => i.naturalWidth)",
    )) as number[]
    assert.equal(widths.length, 4)
    assert.ok(widths.every((width) => width > 0))
  })

  test('the search finds pages without a server', async () => {
    const page = await open('/')
    await page.keyboard.press('Control+k')
    await page.locator('.VPLocalSearchBox input').fill('Topic Alias')
    await page.locator('.result').first().waitFor()
    await page.locator('.result', { hasText: 'MQTT 5.0' }).first().click()
    await page.waitForURL(/mqtt5/)
  })

  test('Spanish pages have Spanish words around them, and dark mode follows the reader', async () => {
    const page = await open('/es/learn/connecting.html', { colorScheme: 'dark' })
    assert.equal(await page.locator('html').getAttribute('lang'), 'es')
    assert.match((await page.locator('html').getAttribute('class')) ?? '', /dark/)
    assert.match((await page.locator('.VPSidebar').textContent()) ?? '', /MQTT desde cero/)
    assert.match((await page.locator('.VPNavBarSearch').textContent()) ?? '', /Buscar/)
    assert.match((await page.locator('.VPDocAsideOutline').textContent()) ?? '', /En esta página/)
  })

  for (const path of ['/learn/connecting.html', '/configuration.html', '/es/network-lab.html', '/api/client.html']) {
    test(`${path} fits a telephone`, async () => {
      const page = await open(path, { viewport: { width: 360, height: 740 } })
      const width = (await page.evaluate('document.documentElement.scrollWidth')) as number
      assert.ok(width <= 360, `${width} pixels`)
    })
  }

  test('nothing asks for anything outside', () => {
    assert.ok(requested.length > 20)
    assert.deepEqual(
      requested.filter((url) => !url.startsWith(base) && !url.startsWith('data:')),
      [],
    )
  })
})
