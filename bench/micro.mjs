/**
 * `npm run bench:micro`: runs every file of bench/micro, one after the other, and prints one table of the results.
 *
 * Writes bench/micro.json, by version of Node (files that were not run stay as they are).
 *
 * Each file also runs alone and prints more. This program reads from their output: a line
 * `name … 38 ns … 725 ns … 19.3 x` (ours, the peer's, the ratio) or `name: 1434 ns a match`, indented below the heading
 * that it belongs to. A file that yields no row is an error.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { nodeExecutable } from './lib/node.mjs'
import { optionsFrom } from './lib/options.mjs'
import { aligned } from './lib/results.mjs'

const TIMEOUT_MS = 10 * 60_000
const folder = fileURLToPath(new URL('micro/', import.meta.url))
const all = readdirSync(folder).filter((file) => file.endsWith('.mjs'))
const names = all.map((file) => basename(file, '.mjs')).join(', ')
const usage = `npm run bench:micro -- [NAME ...] [--node 24|PATH] [--out FILE]

  NAME           of ${names}; default all
  --node 24      another Node, fetched from npm or an executable
  --out FILE     default bench/micro.json`
const { values: options, positionals: wanted } = optionsFrom(usage, {
  allowPositionals: true,
  options: {
    node: { type: 'string', default: process.execPath },
    out: { type: 'string', default: fileURLToPath(new URL('micro.json', import.meta.url)) },
  },
})
const node = nodeExecutable(options.node)
const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
const files = all.filter((file) => wanted.length === 0 || wanted.includes(basename(file, '.mjs')))
if (files.length === 0) {
  console.error(`bench:micro: no such file; there are ${names}`)
  process.exit(1)
}

const beside = /^(.+?)\s{2,}(\d+) ns(?:\s+(\d+) ns\s+([\d.]+) x)?$/
const measured = /(\d+) ns an? (\w+(?: again)?)/g

/** Rows of one line of output; `heading` is the last line that was not indented. */
function rowsOf(line, heading) {
  const columns = beside.exec(line)
  if (columns !== null) {
    const [, name, ours, theirs = '', ratio] = columns
    return [[name.trim(), 'packet', ours, theirs, ratio === undefined ? '' : `${ratio}x`]]
  }
  const label = line.startsWith(' ') ? `${heading}: ${line.trim().split(':')[0]}` : heading
  return [...line.matchAll(measured)].map(([, nanoseconds, what]) => [
    what === 'delete' ? heading : label,
    what,
    nanoseconds,
    '',
    '',
  ])
}

async function run(file) {
  const rows = []
  const child = spawn(node, [folder + file], { stdio: ['ignore', 'pipe', 'inherit'], timeout: TIMEOUT_MS })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let heading = file
  for await (const line of createInterface({ input: child.stdout })) {
    console.error(line)
    if (!line.startsWith(' ')) heading = line.split(':')[0]
    rows.push(...rowsOf(line, heading))
  }
  const code = await ended
  if (code !== 0) throw new Error(`bench/micro/${file} failed (${code ?? child.signalCode})`)
  if (rows.length === 0) throw new Error(`bench/micro/${file} printed nothing that is a measurement`)
  return rows.map(([name, ...rest]) => [`${basename(file, '.mjs')}: ${name}`, ...rest, ''])
}

const rows = []
for (const file of files) rows.push(...(await run(file)))
const table = [['case', 'per', 'ns', 'peer ns', 'ratio', ''], ...rows]
const results = existsSync(options.out) ? JSON.parse(readFileSync(options.out, 'utf8')) : {}
const before = results[version]?.cases ?? []
const isMeasured = (name) => files.some((file) => name.startsWith(`${basename(file, '.mjs')}: `))
results[version] = {
  date: new Date().toISOString(),
  cases: [
    ...before.filter(({ name }) => !isMeasured(name)),
    ...rows.map(([name, per, ns, peerNs]) => ({
      name,
      per,
      ns: Number(ns),
      ...(peerNs === '' ? {} : { peerNs: Number(peerNs) }),
    })),
  ],
}
writeFileSync(options.out, `${JSON.stringify(results, null, 1)}\n`)
console.log(`\nnode ${version}`)
for (const line of aligned(table)) console.log(line)
