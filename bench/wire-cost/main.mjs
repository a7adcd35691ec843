/**
 * `npm run bench:wire-cost`: what one reading of a sensor costs on the wire, by MQTT, HTTP and CoAP.
 *
 * Makes two hosts in network namespaces, joined by a line of its own (`ip netns`, veth), starts the broker and the other
 * servers on one and the clients on the other, counts IP packets and bytes, and writes the tables and the chart of
 * docs/wire-cost.md with `--write`. Where namespaces are not permitted it says so and stops. Bounded: about three
 * minutes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '@recado/broker/testing'
import { optionsFrom } from '../lib/options.mjs'
import { PORTS } from './clients.mjs'
import { RADIOS, wakeUp } from './energy.mjs'
import { report } from './report.mjs'

const usage = `npm run bench:wire-cost -- [options]

  --readings N   that are sent over each connection; default 5
  --write        write docs/wire-cost.md and .svg, also those in docs/es
  --json         print what was counted as JSON`
const { values } = optionsFrom(
  usage,
  {
    options: {
      readings: { type: 'string', default: '5' },
      write: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  },
  ['readings'],
)

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const name = `recado-wire-${process.pid}`
const hosts = { server: `${name}-s`, client: `${name}-c` }
const HOST = '10.199.0.1'
const children = []

class LineError extends Error {}

function ip(...args) {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0)
    throw new LineError(`ip ${args.join(' ')}: ${stderr?.trim() || 'the program ip is missing (Debian: iproute2)'}`)
}

/** Joins the two hosts. Offloads are off: packets are as they would be on a radio, not as the kernel batches them. */
function makeLine() {
  ip('netns', 'add', hosts.server)
  ip('netns', 'add', hosts.client)
  ip('-n', hosts.server, 'link', 'add', 'line', 'type', 'veth', 'peer', 'name', 'line', 'netns', hosts.client)
  for (const [host, address] of [
    [hosts.server, HOST],
    [hosts.client, '10.199.0.2'],
  ]) {
    ip('-n', host, 'addr', 'add', `${address}/24`, 'dev', 'line')
    // Without IPv6 there are no router solicitations to be counted.
    spawnSync('ip', ['netns', 'exec', host, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/line/disable_ipv6'])
    ip('-n', host, 'link', 'set', 'line', 'up')
    ip('-n', host, 'link', 'set', 'lo', 'up')
    for (const feature of ['tso', 'gso', 'gro'])
      spawnSync('ip', ['netns', 'exec', host, 'ethtool', '-K', 'line', feature, 'off'])
  }
  // Addresses are resolved for good, so that no ARP is counted.
  for (const [host, other, address] of [
    [hosts.server, hosts.client, '10.199.0.2'],
    [hosts.client, hosts.server, HOST],
  ]) {
    const { stdout } = spawnSync('ip', ['-n', other, '-j', 'link', 'show', 'dev', 'line'], { encoding: 'utf8' })
    ip(
      '-n',
      host,
      'neigh',
      'replace',
      address,
      'lladdr',
      JSON.parse(stdout)[0].address,
      'dev',
      'line',
      'nud',
      'permanent',
    )
  }
}

function start(host, argv, options = {}) {
  const child = spawn('ip', ['netns', 'exec', host, process.execPath, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  })
  children.push(child)
  return child
}

/** Resolves with the first line of its output that `isReady` takes. */
function untilLine(child, isReady) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => isReady(line) && resolve(line))
    child.once('exit', (code) => reject(new LineError(`a server ended with ${code} before it listened`)))
  })
}

function writeFiles(folder) {
  const authority = new TestAuthority('wire cost')
  const server = authority.issue('server', { altNames: ['server'] })
  const conf = [
    'allow_anonymous true',
    'persistence false',
    'log_dest stdout',
    `listener ${PORTS.mqtt}`,
    `listener ${PORTS.ws}`,
    'protocol websockets',
    `listener ${PORTS.mqtts}`,
    `certfile ${folder}/server.pem`,
    `keyfile ${folder}/server.key`,
    '',
  ]
  const files = {
    'ca.pem': authority.cert,
    'server.pem': server.cert,
    'server.key': server.key,
    'recado.conf': conf.join('\n'),
  }
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content)
}

async function measure(folder) {
  const broker = start(hosts.server, [here('../../packages/recado/bin/recado.js'), '-c', join(folder, 'recado.conf')])
  await untilLine(broker, (line) => /running$/.test(line))
  await untilLine(start(hosts.server, [here('servers.mjs'), folder]), (line) => line === 'listening')
  const client = start(hosts.client, [here('measure.mjs'), folder, HOST, 'line', values.readings])
  const rows = []
  for await (const line of createInterface({ input: client.stdout })) {
    rows.push(JSON.parse(line))
    process.stderr.write(`${rows.at(-1).name}\n`)
  }
  if (client.exitCode !== 0 && client.exitCode !== null)
    throw new LineError(`the clients ended with ${client.exitCode}`)
  return rows
}

function writePage(rows, language) {
  const { tables, chart } = report(rows, RADIOS, wakeUp, language)
  const page = language === 'en' ? 'docs/wire-cost' : `docs/${language}/wire-cost`
  const file = here(`../../${page}.md`)
  const text = readFileSync(file, 'utf8')
  const between = /(<!-- wire cost: begin -->\n)[\s\S]*(<!-- wire cost: end -->)/
  if (!between.test(text)) throw new LineError(`${page}.md has lost its marks`)
  writeFileSync(
    file,
    text.replace(between, (_, begin, end) => `${begin}\n${tables}\n${end}`),
  )
  writeFileSync(here(`../../${page}.svg`), chart)
}

const folder = mkdtempSync(join(tmpdir(), 'recado-wire-cost-'))
chmodSync(folder, 0o755)
try {
  writeFiles(folder)
  makeLine()
  const rows = await measure(folder)
  if (values.json) console.log(JSON.stringify(rows, null, 2))
  console.log(report(rows, RADIOS, wakeUp).tables)
  if (values.write) for (const language of ['en', 'es']) writePage(rows, language)
} catch (error) {
  console.error(error instanceof LineError ? `No measurement: ${error.message}` : error)
  process.exitCode = 1
} finally {
  for (const child of children) child.kill('SIGKILL')
  for (const host of Object.values(hosts)) spawnSync('ip', ['netns', 'del', host])
  rmSync(folder, { recursive: true, force: true })
}
