/*
 * `npm run docs`: writes the pages of docs/ that are generated from code. A test in tools/tidy fails while one is not
 * up to date. Needs a build.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { brokerErrorCodes } from '../packages/broker/dist/errors.js'
import { metricTable } from '../packages/broker/dist/mod.js'
import { clientErrorCodes } from '../packages/client/dist/errors.js'
import { errorCodes } from '../packages/protocol/dist/errors.js'
import { reasonCodeName } from '../packages/protocol/dist/mod.js'
import { wireCases } from '../packages/protocol/dist/wire-cases.js'
import { bridgeSysTopics } from '../packages/recado/dist/bridge/bridge-sys.js'
import { configCases } from '../packages/recado/dist/config/mosquitto-cases.test-support.js'
import { groups, optionTable } from '../packages/recado/dist/config/schema.js'
import { lintTable } from '../packages/recado/dist/lint/table.js'
import { loadTopics, sysTopics } from '../packages/recado/dist/sys/sys-topics.js'
import { comparedGroups } from '../packages/recado/dist/testing/mosquitto-commands.js'
import { refusalCases } from '../packages/testkit/dist/refusals/cases.js'
import { setups } from '../packages/testkit/dist/setups/setups.js'
import { apiPage, readApi } from './lib/api-page.mjs'
import { configurationPage } from './lib/configuration-page.mjs'
import { conformancePage } from './lib/conformance-page.mjs'
import { decisionsPage } from './lib/decisions-page.mjs'
import { errorsPage } from './lib/errors-page.mjs'
import { httpApiPage } from './lib/http-api-page.mjs'
import { learnPages } from './lib/learn-pages.mjs'
import { lintsPage } from './lib/lints-page.mjs'
import { metricsPage } from './lib/metrics-page.mjs'
import { migratingPage } from './lib/migrating-page.mjs'
import { refusalsPage } from './lib/refusals-page.mjs'
import { sysTopicsPage } from './lib/sys-topics-page.mjs'
import { toolsComparedPage } from './lib/tools-compared-page.mjs'
import { root } from './lib/workspace.mjs'
import { wrapPage } from './lib/wrap.mjs'

/** The error codes of each package. */
export const errorTables = new Map([
  ['@recado/protocol', errorCodes],
  ['@recado/broker', brokerErrorCodes],
  ['@recado/client', clientErrorCodes],
])

const declarations = (path) => join(root, 'packages', `${path}.d.ts`)

/** Public names of the client, by the module that they are imported from. */
export const clientApi = readApi(
  new Map([
    ['@recado/client', declarations('client/dist/mod')],
    ['@recado/client/store', declarations('client/dist/store/mod')],
    ['@recado/client/lmdb', declarations('client/dist/store/lmdb')],
    ['@recado/client/indexeddb', declarations('client/dist/store/indexed-db')],
    ['@recado/client/scram', declarations('client/dist/scram')],
  ]),
  (specifier) => declarations(`${specifier.replace('@recado/', '')}/dist/mod`),
)

const clientIntroduction = `Where to begin: [the guide](../../packages/client/README.md); coming from MQTT.js: [migrating](../migrating-from-mqttjs.md); what a
\`code\` means: [errors](../errors.md). In browsers there is no default for what only Node has (\`tls\`, \`localAddress\`, \`noDelay\`).`

/** Public names of the broker. */
export const brokerApi = readApi(new Map([['@recado/broker', declarations('broker/dist/mod')]]), (specifier) =>
  declarations(`${specifier.replace('@recado/', '')}/dist/mod`),
)

const brokerIntroduction = `Where to begin: [the guide](../../packages/broker/README.md); coming from aedes:
[migrating](../migrating-from-aedes.md); the meaning of a \`code\`: [errors](../errors.md); of a number: [metrics](../metrics.md).`

/** Generated pages: path and text of each, before long lines are wrapped. */
const texts = [
  ['docs/api/client.md', apiPage('API of @recado/client', clientIntroduction, clientApi)],
  ['docs/api/http.md', await httpApiPage()],
  ['docs/api/broker.md', apiPage('API of @recado/broker', brokerIntroduction, brokerApi)],
  ['docs/conformance.md', conformancePage(wireCases)],
  ['docs/configuration.md', configurationPage(optionTable, groups)],
  ['docs/errors.md', errorsPage(errorTables)],
  ['docs/metrics.md', metricsPage(metricTable)],
  ['docs/sys-topics.md', sysTopicsPage(sysTopics, loadTopics, bridgeSysTopics)],
  ['docs/lints.md', lintsPage(lintTable)],
  ['docs/migrating-from-mosquitto.md', migratingPage(optionTable, configCases, setups)],
  ['docs/tools-compared.md', toolsComparedPage(comparedGroups)],
  ['docs/adr/README.md', decisionsPage(root)],
  ['docs/refusals.md', refusalsPage(refusalCases, reasonCodeName)],
]

/** Generated pages: path and text of each. */
export const pages = new Map(
  [...texts, ...learnPages(root, wireCases)].map(([path, text]) => [
    path,
    path.endsWith('.md') ? wrapPage(text) : text,
  ]),
)

if (import.meta.filename === process.argv[1]) {
  for (const [path, text] of pages) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    console.log(`wrote ${path}`)
  }
}
