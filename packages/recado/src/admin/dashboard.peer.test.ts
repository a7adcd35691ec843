/**
 * The dashboard in Debian's Chromium, against a broker that runs as a process of its own: every view with data, logins and
 * roles, what is destroyed and what is not, live updates, a broker that goes away and comes back, names and payloads that would
 * be scripts, axe-core, light and dark, 320 pixels, two languages, the keyboard.
 *
 * The 19,000 clients of one case are views in the place of `broker.inspect`: paging, sorting and search of the API run over all
 * of them, 19,000 sockets do not.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createAdmin } from '@recado/admin'
import { type ClientView, createBroker, http } from '@recado/broker'
import { type Client, connect } from '@recado/client'
import { peerPath, skipWithout } from '@recado/testkit'
import { CHROMIUM_FLAGS, troublesOf } from '@recado/testkit/chromium'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { freePort, Program, run, temporaryFolder } from '../testing/program.ts'

const WAIT_MS = 180_000
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Script that would run if a name or a payload became markup. */
const MARKUP = `"><img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>`

/** Views, and what each of them shows of the broker below. */
const views: readonly (readonly [path: string, shown: string])[] = [
  ['/', 'Busiest publishers'],
  ['/clients', 'thermometer'],
  ['/clients?kind=sessions&away=true', 'archive'],
  ['/client?id=archive', 'rooms/+/temperature'],
  ['/topics?topic=rooms/hall/temperature', '21.5'],
  ['/shared', '$share/work/jobs/#'],
  ['/live', 'Give a Topic Filter'],
  ['/publish?topic=rooms/hall/temperature&qos=1', 'waits in its queue'],
  ['/why?topic=secret/x', 'may not publish to this topic'],
  ['/trace', 'Nothing is traced'],
  ['/drops', 'secret/x'],
  ['/bridges', 'No bridge is configured'],
  ['/configuration?q=acl_file', 'acl_file'],
  ['/bans', 'Nobody is banned'],
  ['/tokens', 'There are no tokens'],
  ['/audit', 'logged in'],
]

suite('the dashboard', { skip: skipWithout('chromium'), timeout: 600_000 }, () => {
  let browser: Browser
  let program: Program
  let config: readonly string[]
  let base: string
  let mqtt: string
  let thermometer: Client
  const outside: string[] = []

  // A suite's own context has no end to be waited for.
  const cleanups: (() => unknown)[] = []
  const context = { after: (cleanup: () => unknown) => cleanups.push(cleanup) } as unknown as TestContext

  before(async () => {
    const { ensureDashboard } = (await import(
      fileURLToPath(new URL('../../../../tools/build-dashboard.mjs', import.meta.url))
    )) as { ensureDashboard(): void }
    ensureDashboard()
    const folder = temporaryFolder(context)
    writeFileSync(join(folder, 'pw'), '')
    for (const login of ['ada lovelace', 'vera rubin', 'device d']) {
      assert.equal((await run('passwd', '-b', join(folder, 'pw'), ...login.split(' '))).code, 0)
    }
    writeFileSync(
      join(folder, 'acl'),
      'user device\ntopic readwrite #\ntopic deny secret/#\nuser ada\ntopic readwrite #\n',
    )
    const [port, api] = [await freePort(), await freePort()]
    config = [
      `password_file ${folder}/pw`,
      `acl_file ${folder}/acl`,
      'allow_anonymous false',
      `persistence_location ${folder}/data`,
      `listener ${api} 127.0.0.1`,
      'protocol http_api',
      `http_api_token_file ${folder}/tokens.json`,
      'http_api_role admin ada',
      'http_api_role viewer vera',
    ]
    program = await Program.start(context, port, config)
    base = `http://127.0.0.1:${api}`
    mqtt = `mqtt://127.0.0.1:${port}`
    browser = await chromium.launch({ executablePath: peerPath('chromium'), args: CHROMIUM_FLAGS })
    thermometer = await clientNamed('thermometer')
    const archive = await clientNamed('archive', { cleanStart: false, sessionExpiryIntervalSeconds: 3_600 })
    await archive.subscribe('rooms/+/temperature', { qos: 1 }).ready
    await archive.close()
    await thermometer.subscribe('$share/work/jobs/#', { qos: 1 }).ready
    await thermometer.publish('rooms/hall/temperature', '21.5', { qos: 1, retain: true })
    for (let i = 0; i < 40; i++) await thermometer.publish(`many/${i}/state`, `{"on":${i}}`, { retain: true })
    await thermometer.publish('secret/x', '1', { qos: 1 }).catch(() => undefined)
  })
  after(async () => {
    await browser?.close()
    await thermometer?.close().catch(() => undefined)
    for (const cleanup of cleanups.reverse()) await cleanup()
  })

  const clientNamed = (clientId: string, options: object = {}): Promise<Client> =>
    connect(mqtt, { clientId, username: 'device', password: 'd', reconnect: false, ...options })

  /** Context of the browser with a login; '' for none. */
  async function contextFor(login: string): Promise<BrowserContext> {
    const context = await browser.newContext({
      ...{ viewport: { width: 1280, height: 900 }, locale: 'en-GB' },
      // Colours in between would be measured.
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(WAIT_MS)
    context.on('request', (request) => {
      if (!request.url().startsWith('http://127.0.0.1:')) outside.push(request.url())
    })
    if (login === '') return context
    const [username, password] = login.split(':')
    const answer = await context.request.post(`${base}/api/v1/session`, { data: { username, password } })
    assert.equal(answer.status(), 200, await answer.text())
    return context
  }

  /** Rules that the page breaks. */
  async function barriersIn(page: Page, only?: readonly string[]): Promise<string[]> {
    if (!(await page.evaluate('globalThis.axe !== undefined'))) await page.evaluate(axeSource)
    const rules = only === undefined ? { exclude: [] } : { runOnly: { type: 'rule', values: only } }
    return (await page.evaluate(
      `axe.run(document, ${JSON.stringify(rules)}).then(({ violations }) => violations.map(({ id, nodes }) =>
        id + ': ' + nodes.map(({ html, failureSummary }) => html.slice(0, 200) + ' ' + failureSummary).join('; ')))`,
    )) as string[]
  }

  test('a login is asked for, refused with a sentence, and gives a cookie that no script can read', async () => {
    const context = await contextFor('')
    const page = await context.newPage()
    await page.goto(base)
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Password', { exact: true }).fill('babbage')
    await page.getByLabel('Password', { exact: true }).press('Enter')
    await page.getByRole('alert').getByText('User name or password is wrong').waitFor()
    assert.deepEqual(await barriersIn(page), [])
    await page.getByLabel('Password', { exact: true }).fill('lovelace')
    await page.getByRole('button', { name: 'Log in', exact: true }).click()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    const [cookie] = await context.cookies()
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict'])
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('User name').waitFor()
    assert.deepEqual(await context.cookies(), [])
    await context.close()
  })

  test('every view shows what there is, without barriers, in light and dark, and in 320 pixels', async () => {
    const context = await contextFor('ada:lovelace')
    const page = await context.newPage()
    const troubles = troublesOf(page)
    await page.goto(base)
    for (const [path, shown] of views) {
      await page.emulateMedia({ colorScheme: 'light' })
      await page.setViewportSize({ width: 1280, height: 900 })
      // As a link does it: the page is loaded once.
      await page.evaluate(
        `history.pushState(null, '', ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent('popstate'))`,
      )
      await page.locator('main').getByText(shown).first().waitFor()
      assert.deepEqual(await barriersIn(page), [], path)
      await page.emulateMedia({ colorScheme: 'dark' })
      assert.deepEqual(await barriersIn(page, ['color-contrast']), [], `${path} dark`)
      await page.setViewportSize({ width: 320, height: 700 })
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 320, `${path} in 320 pixels`)
    }
    // A stream ends with its page.
    assert.deepEqual(
      troubles.filter((each) => !each.includes('net::ERR_ABORTED')),
      [],
    )
    await context.close()
  })

  test('a viewer sees, but has no button that changes anything, and the API refuses it', async () => {
    const context = await contextFor('vera:rubin')
    const page = await context.newPage()
    await page.goto(`${base}/client?id=thermometer`)
    await page.getByText('This needs the role operator').waitFor()
    assert.equal(await page.getByRole('button', { name: /Disconnect|Ban|Delete session/ }).count(), 0)
    assert.equal(await page.getByRole('link', { name: 'Publish' }).count(), 0)
    const status = await page.evaluate(`fetch('/api/v1/session').then((each) => each.json()).then(({ csrf }) =>
      fetch('/api/v1/clients/thermometer', { method: 'DELETE', headers: { 'x-recado-csrf': csrf } })).then(({ status }) => status)`)
    assert.equal(status, 403)
    await context.close()
  })

  test('what destroys asks first: disconnect, ban, delete a session, empty a queue, delete retained messages', async () => {
    const context = await contextFor('ada:lovelace')
    const page = await context.newPage()
    const dialog = page.getByRole('dialog')
    const victim = await clientNamed('victim', { cleanStart: false, sessionExpiryIntervalSeconds: 3_600 })
    await victim.subscribe('for/victim', { qos: 1 }).ready
    await page.goto(`${base}/client?id=victim`)
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.equal(victim.state.name, 'connected')
    await page.getByRole('button', { name: 'Disconnect' }).click()
    assert.deepEqual(await barriersIn(page), [])
    await dialog.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByText('It was disconnected').waitFor()
    await page.getByText('Away').first().waitFor()

    await thermometer.publish('for/victim', 'x', { qos: 1 })
    await page.getByRole('button', { name: 'Empty queue' }).click()
    await dialog.getByText('1 message that waits for it is dropped').waitFor()
    await dialog.getByRole('button', { name: 'Empty queue' }).click()
    await page.getByText('The queue was emptied').waitFor()

    await page.getByRole('button', { name: 'Ban' }).click()
    await dialog.getByLabel('For').selectOption('600')
    await dialog.getByRole('button', { name: 'Ban' }).click()
    await page.getByText('The ban has begun').waitFor()
    await assert.rejects(clientNamed('victim'))
    await page.goto(`${base}/bans`)
    await page.getByRole('button', { name: 'End' }).click()
    await page.getByText('Nobody is banned').waitFor()

    await page.goto(`${base}/client?id=victim`)
    await page.getByRole('button', { name: 'Delete session' }).click()
    await dialog.getByRole('button', { name: 'Delete session' }).click()
    await page.getByText('The session was deleted').waitFor()
    assert.match(page.url(), /\/clients$/)

    await thermometer.publish('old/a', '1', { retain: true, qos: 1 })
    await thermometer.publish('old/b/c', '2', { retain: true, qos: 1 })
    await page.goto(`${base}/topics?topic=old`)
    await page.getByRole('button', { name: 'Delete all at and below' }).click()
    await dialog.getByText('All that match old/#').waitFor()
    await dialog.getByRole('button', { name: 'Delete 2 messages' }).click()
    await page.getByText('Deleted.').waitFor()
    await page.goto(`${base}/audit`)
    for (const what of ['disconnected the client "victim"', 'deleted 2 retained messages', 'ended the session']) {
      await page.getByText(what).first().waitFor()
    }
    await context.close()
  })

  test('messages, topics and traces are live, and a retained message can be set', async () => {
    const context = await contextFor('ada:lovelace')
    const page = await context.newPage()
    await page.goto(`${base}/live?topicFilter=live/%23`)
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByText('Waiting for the first message').waitFor()
    await thermometer.publish('live/a', '{"value":21.5}')
    await page.getByRole('button', { name: /live\/a/ }).click()
    await page.getByText('"value": 21.5').waitFor()
    await page.getByRole('main').getByRole('link', { name: 'thermometer' }).waitFor()

    // Sparkplug B: NBIRTH binds the alias 7 to a name, NDATA has the alias alone.
    await page.goto(`${base}/live?topicFilter=spBv1.0/%23`)
    await page.getByRole('button', { name: 'Start', exact: true }).click()
    await page.getByText('Waiting for the first message').waitFor()
    await thermometer.publish('spBv1.0/plant/NBIRTH/edge', Buffer.from('120d0a054c6576656c100720035003', 'hex'))
    await page.getByRole('button', { name: /NBIRTH/ }).waitFor()
    await thermometer.publish('spBv1.0/plant/NDATA/edge', Buffer.from('12061007200350091801', 'hex'))
    await page.getByRole('button', { name: /NDATA/ }).click()
    const metric = page.locator('.message', { hasText: 'NDATA' }).locator('pre', { hasText: '"name": "Level"' })
    assert.match((await metric.textContent())!, /"alias": 7,\s+"type": "Int32",\s+"value": 9/)
    await page.goto(`${base}/topics?topic=live/set`)
    await page.getByRole('button', { name: 'Set retained message' }).click()
    await page.getByLabel('Payload').fill('warm')
    await page.locator('form').getByRole('button', { name: 'Set retained message' }).click()
    await page.getByText('The retained message was set').waitFor()
    await page.locator('pre').getByText('warm').first().waitFor()
    await page.getByText('Last values, live').waitFor()

    await page.goto(`${base}/trace?topicFilter=rooms/%23`)
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByText('Waiting for the first message').waitFor()
    await thermometer.publish('rooms/hall/temperature', '22', { qos: 1 })
    await page.getByText('1 subscription matches').waitFor()
    await page.getByText('has it in its queue with QoS 1').waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()

    await page.goto(`${base}/publish?topic=rooms/hall/temperature&qos=1`)
    await page.getByLabel('Typed as').selectOption('json')
    await page.getByLabel('Payload').fill('{"broken":')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByText('The payload is no JSON').waitFor()
    await page.getByLabel('Payload').fill('{"t":1}')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByText('Published.', { exact: true }).waitFor()
    await context.close()
  })

  test('the keyboard reaches everything, filters are in the address, and language and theme are kept', async () => {
    const context = await contextFor('ada:lovelace')
    const page = await context.newPage()
    await page.goto(`${base}/topics`)
    await page.getByRole('treeitem', { name: /many/ }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the contents')
    await page.getByRole('tree').focus()
    await page.keyboard.press('Home')
    while (!/many/.test(await activeRow(page))) await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight')
    await page.getByRole('treeitem', { name: '12' }).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.waitForURL(/topic=many%2F0$/)

    await page.goto(`${base}/clients`)
    await page.getByLabel('Search identifier, user or address').fill('thermo')
    await page.waitForURL(/q=thermo/)
    await page.getByRole('button', { name: 'From it, per s' }).press('Enter')
    await page.waitForURL(/sort=-rateReceived/)
    assert.equal(await page.locator('th[aria-sort=descending]').count(), 1)
    await page.reload()
    await page.getByRole('link', { name: 'thermometer' }).waitFor()
    assert.equal(await page.getByLabel('Search identifier, user or address').inputValue(), 'thermo')

    await page.getByRole('button', { name: 'Español' }).click()
    await page.getByRole('heading', { name: 'Clientes' }).waitFor()
    await page.getByRole('button', { name: 'Tema: como el sistema' }).click()
    await page.getByRole('button', { name: 'Tema: claro' }).click()
    await page.reload()
    await page.getByRole('heading', { name: 'Clientes' }).waitFor()
    assert.deepEqual(await page.evaluate('[document.documentElement.dataset.theme, document.documentElement.lang]'), [
      'dark',
      'es',
    ])
    await page.goto(`${base}/why?topic=secret/x`)
    const answer = page.locator('.answer-sentence [lang=es]')
    await answer.waitFor()
    assert.match((await answer.textContent())!, /^No se envió a nadie: thermometer no puede publicar en este tema/)
    assert.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(13, 15, 20)')
    await context.close()
  })

  test('names and payloads that would be scripts are text', async () => {
    const context = await contextFor('ada:lovelace')
    const page = await context.newPage()
    const evil = await clientNamed(MARKUP)
    await evil.subscribe(`x/${MARKUP}`, { qos: 1 }).ready
    await evil.publish(`x/${MARKUP}`, MARKUP, { qos: 1, retain: true })
    await evil.publish(`secret/${MARKUP}`, MARKUP, { qos: 1 }).catch(() => undefined)
    const name = encodeURIComponent(MARKUP)
    const policy: string[] = []
    page.on('console', (message) => {
      if (/Content Security Policy|Trusted/i.test(message.text())) policy.push(message.text())
    })
    for (const path of [
      '/clients',
      `/client?id=${name}`,
      `/topics?topic=x/${name}`,
      `/why?topic=x/${name}&client=${name}`,
      `/drops?client=${name}`,
      `/publish?topic=x/${name}`,
      '/',
    ]) {
      await page.goto(base + path)
      await page.getByText('<script>globalThis.hacked=1</script>').first().waitFor()
      assert.equal(await page.evaluate('globalThis.hacked'), undefined, path)
      assert.equal(await page.locator('img').count(), 0, path)
    }
    await page.goto(`${base}/live?topicFilter=x/%23&retained=true`)
    await page.getByRole('button', { name: 'Start' }).click()
    await page.locator('.message-head').click()
    await page.locator('pre').getByText('hacked').waitFor()
    assert.deepEqual([await page.evaluate('globalThis.hacked'), policy], [undefined, []])
    await evil.close()
    await context.close()
  })

  test('19,000 clients are searched, sorted and paged, and the page has a hundred of them', async () => {
    const broker = createBroker()
    const one = await sample()
    const many = Array.from({ length: 19_000 }, (_, i): ClientView => {
      const rates = { ...one.rates, messagesReceived: (i * 7) % 19_000 }
      return { ...one, clientId: `client-${String(i).padStart(5, '0')}`, rates }
    })
    const inspect = Object.create(broker.inspect, {
      clients: {
        value: () => ({
          async *[Symbol.asyncIterator]() {
            yield* many
          },
          async page({ limit, after = '' }: { limit: number; after?: string }) {
            const from = many.findIndex(({ clientId }) => clientId > after)
            const items = many.slice(from, from + limit)
            return { items, next: from + limit < many.length ? items.at(-1)!.clientId : null }
          },
        }),
      },
    }) as unknown
    const shown = new Proxy(broker, {
      get(target, key) {
        if (key === 'inspect') return inspect
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const host = { version: '1', login: async () => null, anonymousRole: () => 'viewer' as const, log: () => undefined }
    const admin = createAdmin(shown, { host })
    const { port } = await broker.listen({ port: 0, host: '127.0.0.1', protocol: http(admin.handler) })
    const context = await contextFor('')
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${port}/clients`)
    await page.getByText('client-00099').waitFor()
    assert.equal(await page.locator('tbody tr').count(), 100)
    await page.getByRole('button', { name: 'Next page' }).click()
    await page.getByText('client-00199').waitFor()
    await page.getByRole('button', { name: 'From it, per s' }).click()
    const busiest = many.reduce((a, b) => (b.rates.messagesReceived > a.rates.messagesReceived ? b : a))
    await page.locator('tbody tr').first().getByText(busiest.clientId).waitFor()
    await page.getByLabel('Search identifier, user or address').fill('client-1899')
    await page.getByText('10 rows').waitFor()
    assert.equal(await page.locator('tbody tr').count(), 10)
    await context.close()
    admin.close()
    await broker.close({ timeoutMs: 100 })
  })

  test('a broker that goes away is missed, and found again when it is back', async (context) => {
    const browserContext = await contextFor('ada:lovelace')
    const page = await browserContext.newPage()
    await page.goto(`${base}/clients`)
    await page.getByText('thermometer').waitFor()
    await program.stop('SIGKILL')
    await page.getByText('The broker does not answer').waitFor()
    await page.getByText('thermometer').waitFor()
    program = await Program.start(context, program.port, config)
    // Sessions of the dashboard end with the broker.
    await page.getByLabel('User name').fill('ada')
    await page.getByLabel('Password', { exact: true }).fill('lovelace')
    await page.getByRole('button', { name: 'Log in', exact: true }).click()
    await page.getByRole('heading', { name: 'Clients' }).waitFor()
    assert.equal(await page.getByText('The broker does not answer').count(), 0)
    await browserContext.close()
  })

  test('no request has left the machine', () => {
    assert.deepEqual(outside, [])
  })

  async function activeRow(page: Page): Promise<string> {
    return (await page.evaluate(
      "document.getElementById(document.querySelector('[role=tree]').getAttribute('aria-activedescendant')).textContent",
    )) as string
  }

  /** A client as the broker shows it. */
  async function sample(): Promise<ClientView> {
    const broker = createBroker()
    const { port } = await broker.listen({ port: 0, host: '127.0.0.1' })
    const client = await connect(`mqtt://127.0.0.1:${port}`, { clientId: 'one' })
    const view = broker.inspect.client('one')!
    await client.close()
    await broker.close({ timeoutMs: 100 })
    return view
  }
})
