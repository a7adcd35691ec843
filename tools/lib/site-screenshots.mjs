/*
 * The screenshots of docs/: the site in light, dark and on a telephone, taken by Debian's Chromium from the built pages.
 *
 * `npm run site -- --screenshots` calls it. The pages are read from the disk; nothing is served, and nothing is asked for
 * elsewhere.
 */
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { chromium } from 'playwright-core'
import { ToolError } from './workspace.mjs'

/** Never looked up: every request is answered from the disk. */
const ORIGIN = 'http://site.invalid'
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const desktop = { width: 1280, height: 800 }
const shots = [
  { name: 'site-light', path: '/learn/publishing.html', viewport: desktop, colorScheme: 'light' },
  { name: 'site-dark', path: '/es/learn/connecting.html', viewport: desktop, colorScheme: 'dark' },
  { name: 'site-phone', path: '/network-lab.html', viewport: { width: 390, height: 800 }, colorScheme: 'light' },
]

/** Writes them into `folder`, from the pages in `pages`. */
export async function takeScreenshots(pages, folder) {
  const { findPeer } = await import('@recado/testkit').catch(() => {
    throw new ToolError('The screenshots need a build: npm run build')
  })
  const found = findPeer('chromium')
  if ('skip' in found) throw new ToolError(found.skip)
  const browser = await chromium.launch({ executablePath: found.path, args: ['--no-sandbox', '--hide-scrollbars'] })
  try {
    for (const { name, path, ...options } of shots) {
      const page = await browser.newPage(options)
      await page.route('**', (route) => {
        const { pathname } = new URL(route.request().url())
        const file = readFileSync(join(pages, decodeURIComponent(pathname)))
        return route.fulfill({ body: file, contentType: types[extname(pathname)] ?? 'application/octet-stream' })
      })
      await page.goto(ORIGIN + path, { waitUntil: 'networkidle', timeout: 180_000 })
      await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' })
      await page.close()
    }
  } finally {
    await browser.close()
  }
}
