/*
 * Alert rules and the Grafana dashboard: every metric and label that they use is one of /metrics, every alert has its
 * runbook, and Prometheus' own promtool evaluates the rules.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { createAdmin } from '@recado/admin'
import { createBroker, http } from '@recado/broker'
import { connect } from '@recado/client'
import { skipWithout } from '@recado/testkit'
import { root } from '../../tools/lib/workspace.mjs'

const rulesPath = join(import.meta.dirname, 'recado.rules.yml')
const rules = readFileSync(rulesPath, 'utf8')
const dashboard = JSON.parse(readFileSync(join(root, 'packaging/grafana/recado.json'), 'utf8'))

/** A program that says everything that can be said. */
const host = {
  version: '1.2.3',
  login: async () => null,
  anonymousRole: () => 'viewer',
  log: () => undefined,
  problems: () => [],
  disk: async () => ({ fileBytes: 1, freeBytes: 2 }),
  listeners: () => [{ name: '*:8883', certificateExpiresAtMs: 1 }],
  bridges: () => [{ name: 'hub', state: 'connected', lagSeconds: 0, queuedMessages: 0 }],
}
let text = ''
/** Labels of each metric, by its name. */
const labelsOf = new Map()

before(async () => {
  const broker = createBroker()
  const admin = createAdmin(broker, { host })
  const { port } = await broker.listen({ port: 0, protocol: http(admin.handler, admin.serverOptions) })
  const mqtt = await broker.listen({ port: 0 })
  const client = await connect(`mqtt://127.0.0.1:${mqtt.port}`)
  text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  await client.close()
  await admin.close()
  await broker.close()
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line)
    if (match === null) continue
    const labels = labelsOf.get(match[1]) ?? new Set()
    for (const [, label] of (match[2] ?? '').matchAll(/(\w+)="/g)) labels.add(label)
    labelsOf.set(match[1], labels)
  }
})

/** Labels that Prometheus adds. */
const ofPrometheus = new Set(['job', 'instance'])

/** Checks an expression of PromQL. */
function mustBeKnown(expression, where) {
  const names = [...expression.matchAll(/\b((?:recado|process)_[a-z_]+)\b(?:\{([^}]*)\})?/g)]
  for (const [, name, matchers = ''] of names) {
    assert.ok(labelsOf.has(name), `${where}: ${name} is no metric of /metrics`)
    for (const [, label] of matchers.matchAll(/(\w+)\s*[=!]/g)) {
      const isKnown = ofPrometheus.has(label) || labelsOf.get(name).has(label)
      assert.ok(isKnown, `${where}: ${name} has no label ${label}`)
    }
  }
  return names.length
}

const alerts = [...rules.matchAll(/- alert: (\w+)\n\s+expr: (.*)\n/g)].map(([, name, expr]) => ({ name, expr }))

test('every metric of the alert rules is one of /metrics', () => {
  assert.equal(alerts.length, rules.match(/- alert:/g).length)
  for (const { name, expr } of alerts) assert.ok(mustBeKnown(expr, name) > 0 || expr.startsWith('up{'), name)
})

test('every alert has a runbook, a severity and a test, and every runbook an alert', () => {
  const page = readFileSync(join(root, 'docs/runbooks.md'), 'utf8')
  const headings = [...page.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
  const names = alerts.map(({ name }) => name)
  assert.deepEqual(headings, names)
  const links = [...rules.matchAll(/runbook_url: \S+\/docs\/runbooks#(\w+)/g)].map(([, name]) => name)
  assert.deepEqual(
    links,
    names.map((name) => name.toLowerCase()),
  )
  assert.equal(rules.match(/severity: (?:critical|warning|info)$/gm).length, names.length)
  const tests = readFileSync(join(import.meta.dirname, 'recado.rules.test.yml'), 'utf8')
  for (const name of names) {
    assert.ok(tests.includes(`alertname: ${name} }`), `${name} has no test in which it is silent`)
    assert.ok(tests.includes(`alertname="${name}"`), `${name} has no test in which it fires`)
  }
})

test('every metric of the Grafana dashboard is one of /metrics, and its panels stand beside each other', () => {
  const { panels, templating, annotations } = dashboard
  const ids = panels.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  const taken = new Set()
  for (const { title, type, description, targets = [], gridPos, datasource } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(x < 24 && !taken.has(`${x} ${y}`), `${title} stands on another panel`)
        taken.add(`${x} ${y}`)
      }
    }
    if (type === 'row') continue
    assert.ok(description.length > 10 && /^\$\{datasource\}$/.test(datasource.uid), title)
    assert.ok(targets.length > 0, title)
    for (const { expr } of targets) {
      assert.ok(mustBeKnown(expr, title) > 0, title)
      assert.match(expr, /instance=~"\$instance"/, title)
    }
  }
  for (const { query } of templating.list) if (typeof query === 'object') mustBeKnown(query.query, 'variables')
  for (const { expr } of annotations.list) assert.ok(mustBeKnown(expr, 'annotations') > 0)
})

const skip = skipWithout('promtool')
const promtool = (argv, input = '') => {
  const { status, stdout, stderr } = spawnSync('promtool', argv, { cwd: import.meta.dirname, encoding: 'utf8', input })
  return { status, said: `${stdout}${stderr}` }
}

test('promtool finds the rules right, and each alert fires when it should and only then', { skip }, () => {
  const checked = promtool(['check', 'rules', rulesPath])
  assert.equal(checked.status, 0, checked.said)
  const tested = promtool(['test', 'rules', 'recado.rules.test.yml'])
  assert.equal(tested.status, 0, tested.said)
})

test('promtool understands every line of /metrics, and each expression of the dashboard', { skip }, (context) => {
  const { status, said } = promtool(['check', 'metrics'], text)
  // Status 3: it would have named something differently.
  assert.ok(status === 0 || status === 3, said)
  assert.doesNotMatch(said, /error while linting|text format parsing/)
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  const asRules = {
    groups: [
      {
        name: 'dashboard',
        rules: expressions.map((expr, index) => ({
          record: `panel:${index}`,
          expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:job|instance)/g, '.*'),
        })),
      },
    ],
  }
  const folder = mkdtempSync(join(tmpdir(), 'recado-promtool-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'dashboard.yml')
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(asRules))
  const parsed = promtool(['check', 'rules', file])
  assert.equal(parsed.status, 0, parsed.said)
})
