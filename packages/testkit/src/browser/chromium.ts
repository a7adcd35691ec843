/**
 * Debian's Chromium for the peer tests: a browser with a profile of its own, and a web server on loopback with the
 * client's browser bundle (built anew), an empty page, and a worker.
 *
 * Invariant: after `stop` no process, folder or port of it is left.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { peerPath } from '../peers/find.ts'

/** Arguments with which Chromium runs as root, in little memory, and asks for nothing by itself. */
export const CHROMIUM_FLAGS: string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // /dev/shm of a container is small.
  '--disable-dev-shm-usage',
]
/** Time in milliseconds for one step of a page. A busy machine needs most of a minute to start the browser. */
const WAIT_MS = 180_000
/** Number of times that a page is loaded again because the network of the machine has changed. */
const LOADS_MAX = 20

const atRoot = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url))

/**
 * Page that defines `recado` before `loading` resolves; `loading` rejects with the module that failed. `skew` milliseconds are added to its clock, as
 * if the tab had slept.
 */
const PAGE = `<!doctype html><meta charset="utf-8"><title>recado</title><script>
globalThis.skew = 0
const now = performance.now.bind(performance)
performance.now = () => now() + globalThis.skew
const modules = [
  import('/client.js'),
  import('/indexeddb.js'),
  import('/src/client/dist/testing/row-store-contract.js'),
  import('/src/client/dist/store/indexed-db.js'),
]
globalThis.loading = Promise.all(modules).then(([client, indexedDb, { rowStoreCases }, { IndexedDbRows }]) => {
  globalThis.recado = { ...client, ...indexedDb, rowStoreCases, IndexedDbRows }
})
</script>`

/** Expression that waits for the modules, not for ever. */
const LOADING = `Promise.race([
  loading,
  new Promise((_, reject) => setTimeout(reject, ${WAIT_MS}, new Error('the modules do not load within ${WAIT_MS} ms'))),
])`

const WORKER = `import { connect } from './client.js'
onmessage = async ({ data: url }) => {
  try {
    const client = await connect(url)
    const subscription = client.subscribe('worker/#', { qos: 2 })
    await subscription.ready
    await client.publish('worker/a', 'from a worker', { qos: 2 })
    const { value } = await subscription.next()
    await client.close()
    postMessage([value.text(), typeof Buffer, typeof document])
  } catch (error) {
    postMessage([String(error)])
  }
}`

export class Chromium {
  readonly #folder: string
  readonly #server: Server
  readonly #context: BrowserContext

  private constructor(folder: string, server: Server, context: BrowserContext) {
    this.#folder = folder
    this.#server = server
    this.#context = context
  }

  static async start(): Promise<Chromium> {
    const folder = mkdtempSync(join(tmpdir(), 'recado-chromium-'))
    const bundle = join(folder, 'bundle')
    const { buildBrowser } = (await import(atRoot('tools/build-browser.mjs'))) as {
      buildBrowser: (folder: string) => Promise<unknown>
    }
    await buildBrowser(bundle)
    const server = createServer((request, response) => {
      const file = contents(bundle, new URL(request.url ?? '/', 'http://localhost').pathname)
      response.writeHead(file === null ? 404 : 200, { 'content-type': file?.type ?? 'text/plain' })
      response.end(file?.text)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
      executablePath: peerPath('chromium'),
      args: CHROMIUM_FLAGS,
      timeout: WAIT_MS,
    })
    context.setDefaultTimeout(WAIT_MS)
    return new Chromium(folder, server, context)
  }

  /** Opens a tab with the empty page. @throws with what the page, its console and its requests say when it fails */
  async open(): Promise<Page> {
    const page = await this.#context.newPage()
    const troubles = troublesOf(page)
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
    await loaded(page, troubles, () => page.goto(url))
    return page
  }

  /** Loads the page of a tab anew. @throws as `open` */
  async reload(page: Page): Promise<void> {
    await loaded(page, troublesOf(page), () => page.reload())
  }

  async stop(): Promise<void> {
    await this.#context.close()
    this.#server.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function contents(bundle: string, path: string): { type: string; text: string } | null {
  if (path === '/') return { type: 'text/html', text: PAGE }
  if (path === '/worker.js') return { type: 'text/javascript', text: WORKER }
  // The contract of the rows, and the rows themselves, as they were compiled: there inner names are not shortened.
  const isSource = /^\/src\/[\w./-]+\.js$/.test(path) && !path.includes('..')
  const isBundle = /^\/[\w-]+\.js$/.test(path)
  if (!isSource && !isBundle) return null
  try {
    const file = isSource ? atRoot(`packages${path.replace('/src', '')}`) : join(bundle, path)
    // Browsers know no packages.
    const text = readFileSync(file, 'utf8').replaceAll("'@recado/protocol'", "'/src/protocol/dist/mod.js'")
    return { type: 'text/javascript', text }
  } catch {
    return null
  }
}

/** Calls `load` until the page and its modules are there. */
async function loaded(page: Page, troubles: string[], load: () => Promise<unknown>): Promise<void> {
  for (let loads = 1; ; loads++) {
    try {
      await load()
      await page.evaluate(LOADING)
      return
    } catch (error) {
      // A device of the machine's network that comes or goes breaks off requests, those to loopback too.
      const isNetworkChange = [String(error), ...troubles].some((text) => text.includes('ERR_NETWORK_CHANGED'))
      if (!isNetworkChange || loads === LOADS_MAX) throw withTroubles(error, troubles)
      troubles.length = 0
    }
  }
}

/** Returns a list that grows by whatever goes wrong in the page: errors, failed requests, warnings of its console. */
export function troublesOf(page: Page): string[] {
  const troubles: string[] = []
  page.on('pageerror', (error) => void troubles.push(`error in the page: ${error.message}`))
  page.on('crash', () => void troubles.push('the page has crashed'))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`console: ${message.text()}`)
  })
  page.on('requestfailed', (request) => void troubles.push(`${request.url()}: ${request.failure()?.errorText}`))
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${response.url()}: status ${response.status()}`)
  })
  return troubles
}

/** Waits until an expression is true in the page. @throws with its troubles when that takes too long */
export async function isTrue(page: Page, expression: string, troubles: readonly string[]): Promise<void> {
  try {
    // Not once a frame, as is the default: a page that nobody sees need not get frames.
    await page.waitForFunction(expression, undefined, { polling: 100, timeout: WAIT_MS })
  } catch (error) {
    throw withTroubles(error, troubles)
  }
}

function withTroubles(error: unknown, troubles: readonly string[]): Error {
  const known = troubles.length === 0 ? ['the page reports nothing'] : troubles
  return new Error([(error as Error).message, ...known].join('\n  '), { cause: error })
}

/** Kills the process of the tab, as a crash does. */
export async function crash(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const crashed = page.waitForEvent('crash')
  // The page is gone, so the call is never answered.
  session.send('Page.crash').catch(() => {})
  await crashed
  await page.close()
}
