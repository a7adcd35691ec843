/** The example of a page, bundled as its first line says, in Chromium. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Client, connect } from '@recado/client'
import { type RunningServer, startMosquitto } from '@recado/client/testing'
import { build } from 'esbuild'
import { skipWithout } from '../peers/find.ts'
import { Chromium } from './chromium.ts'

const skip = skipWithout('chromium', 'mosquitto')
const atRoot = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url))

suite('examples in Chromium', { skip, timeout: 600_000 }, () => {
  let chromium: Chromium
  let server: RunningServer
  let observer: Client
  before(async () => {
    chromium = await Chromium.start()
    server = await startMosquitto({ webSocket: true })
    observer = await connect(`mqtt://127.0.0.1:${server.port}`)
  })
  after(async () => {
    await observer?.close()
    await chromium?.stop()
    await server?.stop()
  })

  test('the thermometer shows what is published, and publishes what is typed', async () => {
    const { outputFiles } = await build({
      entryPoints: [atRoot('examples/browser/thermometer.ts')],
      bundle: true,
      format: 'esm',
      write: false,
      // Not the bundle of the package, which need not have been built.
      alias: { '@recado/client': atRoot('packages/client/dist/mod.browser.js') },
    })
    const page = await chromium.open()
    await page.route(/\/thermometer\.js$/, (route) => {
      return route.fulfill({ contentType: 'text/javascript', body: outputFiles[0]!.text })
    })
    await observer.publish('examples/rooms/attic/celsius', '14.5', { qos: 1, retain: true })
    // In a page that came over the network: one that was put in its place may not open a WebSocket to this machine.
    const query = `?server=ws://127.0.0.1:${server.webSocketPort}/mqtt`
    await page.evaluate(`history.replaceState(null, '', ${JSON.stringify(query)})`)
    await page.setContent(readFileSync(atRoot('examples/browser/thermometer.html'), 'utf8'))
    await page.getByText('attic: 14.5 °C').waitFor()
    assert.equal(await page.locator('output').textContent(), 'connected')
    await page.getByRole('button', { name: 'send' }).click()
    await page.getByText('kitchen: 21 °C').waitFor()
    await observer.publish('examples/rooms/attic/celsius', '15', { qos: 1 })
    await page.getByText('attic: 15 °C').waitFor()
    assert.equal(await page.locator('li').count(), 2)
    await page.close()
  })
})
