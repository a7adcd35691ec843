/**
 * A part of Mosquitto's own suites, as much as runs in about a minute; `npm run mosquitto-suite` runs them whole.
 *
 * A test that fails without a reason in `expected.ts` fails here, and so does one that has a reason and passes.
 */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { skipWithout } from '../peers/find.ts'
import { casesOf } from './cases.ts'
import { isSurprise } from './expected.ts'
import { runCases, testUser } from './run.ts'
import { type SuiteVersion, sourceOf } from './source.ts'
import { type SuiteName, Workspace } from './workspace.ts'

const TEST_MS = 600_000

/** Tests of each suite for the short form: of each subject one or two, none of which waits for long. */
const short: readonly (readonly [suite: SuiteName, version: SuiteVersion, names: readonly string[]])[] = [
  [
    'broker',
    '2.0',
    [
      ...[
        '01-connect-success',
        '01-connect-uname-password-denied',
        '01-connect-invalid-id-utf8',
        '01-connect-duplicate',
      ],
      ...['02-subpub-qos1', '02-subscribe-long-topic', '02-shared-qos0-v5', '02-subpub-qos2-bad-puback-1'],
      ...['03-publish-dollar-v5', '03-publish-qos2', '03-publish-b2c-disconnect-qos2', '03-publish-long-topic'],
      ...['04-retain-qos0', '05-clean-session-qos1', '07-will-qos0', '08-ssl-connect-no-auth', '09-acl-change'],
      ...['12-prop-server-keepalive', '14-dynsec-client', '02-subpub-qos2'],
    ],
  ],
  [
    'broker',
    '2.1',
    [
      ...['01-connect-take-over', '01-connect-global-max-clients', '02-subpub-qos0-topic-alias', '07-will-control'],
      ...['17-control-missing-endpoint', '20-sparkplug-aware', '21-proxy-v2-websockets', '13-websocket-bad-origin'],
      ...['03-publish-qos1-max-inflight-expire', '12-prop-server-keepalive', '14-dynsec-group-invalid', '16-cmd-args'],
      ...[
        '16-config-missing',
        '17-control-list-listeners',
        '21-proxy-v1-success',
        '22-http-api-api',
        '03-publish-qos2-dup',
      ],
    ],
  ],
  [
    'client',
    '2.1',
    ['02-subscribe-null', '03-publish-url', '03-publish-qos1-ws', '04-rr-qos1', '03-publish-argv-errors-tls'],
  ],
]

for (const [suite, version, names] of short) {
  describe(`Mosquitto's own suite, ${suite} ${version}`, {
    skip: skipWithout('suite-python', 'openssl', 'microsocks'),
  }, () => {
    let source: string
    before(() => {
      source = sourceOf(version)
    })

    test('its tests pass, but those that differ for a reason', { timeout: TEST_MS }, async (context) => {
      const cases = casesOf(source, suite).filter(({ name }) => names.includes(name))
      assert.equal(cases.length, names.length)
      const workspace = new Workspace(source, version, null, testUser)
      context.after(() => workspace.remove())
      const results = await runCases({
        workspace,
        cases,
        jobs: 2,
        limitSeconds: 90,
        onResult: () => {},
        isSurprise: (name, isPassed) => isSurprise(suite, version, name, isPassed),
      })
      const surprises = results.filter(({ name, isPassed }) => isSurprise(suite, version, name, isPassed))
      assert.deepEqual(
        surprises.map(({ name, isPassed, output }) => `${name} ${isPassed ? 'passes' : `fails:\n${output}`}`),
        [],
      )
    })
  })
}
