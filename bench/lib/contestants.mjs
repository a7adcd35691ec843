/**
 * The contestants of `npm run bench`: the command of each broker, and the scenarios that it takes part in. Called by
 * run.mjs.
 *
 * All get the same configuration: one listener on 127.0.0.1, every client may connect, no limit on queues and messages
 * in flight, no log below errors. A broker chooses its own socket options. `-disk` variants keep sessions on disk and
 * take part in durable scenarios only: Recado with fsync before each acknowledgement (its default), Mosquitto with its
 * own default, a snapshot every 30 minutes.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { nodeExecutable } from './node.mjs'
import { BenchError, findProgram } from './processes.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const RECADO = path('../../packages/recado/bin/recado.js')

const COMMON =
  'listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n'
const MEMORY = `${COMMON}persistence false\n`
const DISK = `${COMMON}persistence true\npersistence_location {dir}/\n`

function firstLine(command, args) {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 })
  return error ? '?' : (`${stdout}${stderr}`.trim().split('\n')[0] ?? '?')
}

function recado(node, suffix) {
  const version = `${firstLine(node, [RECADO, '--version'])}, Node ${firstLine(node, ['--version'])}`
  const argv = [node, RECADO, '-c', '{dir}/broker.conf']
  return [
    { name: `recado${suffix}`, version, argv, files: { 'broker.conf': MEMORY } },
    { name: `recado${suffix}-disk`, version, argv, files: { 'broker.conf': DISK }, isDurableOnly: true },
  ]
}

function mosquitto() {
  const program = findProgram('mosquitto')
  if (program === null) {
    throw new BenchError(
      'mosquitto is not installed. "apt-get install mosquitto", or leave it out: --only recado,aedes',
    )
  }
  const version = firstLine(program, ['-h'])
  const argv = [program, '-c', '{dir}/broker.conf']
  // Started by root it would become another user, who may not write to the folder.
  const user = process.getuid?.() === 0 ? 'user root\n' : ''
  return [
    { name: 'mosquitto', version, argv, files: { 'broker.conf': MEMORY + user } },
    { name: 'mosquitto-disk', version, argv, files: { 'broker.conf': DISK + user }, isDurableOnly: true },
  ]
}

function aedes() {
  let manifest
  try {
    manifest = JSON.parse(readFileSync(path('../../node_modules/aedes/package.json'), 'utf8'))
  } catch {
    throw new BenchError('aedes is not installed: "npm ci", or leave it out: --only recado,mosquitto')
  }
  const version = `aedes ${manifest.version}, Node ${process.version}`
  return [
    {
      name: 'aedes',
      version,
      argv: [process.execPath, path('../load/aedes-server.mjs'), '{port}'],
      isVersion4Only: true,
    },
  ]
}

/**
 * Contestants for the command line. `only`: names to keep, `recado` with its variants. `nodes`: other Node versions or
 * their executables. `brokers`: `name=command`, with {port} and {dir} in the command.
 */
export function contestantsOf({ only, nodes, brokers }) {
  const wanted = (name) => only.length === 0 || only.includes(name)
  const found = []
  if (wanted('recado')) found.push(...recado(process.execPath, ''))
  for (const wantedNode of nodes) {
    const node = nodeExecutable(wantedNode)
    const version = firstLine(node, ['--version'])
    const major = /^v(\d+)\./.exec(version)?.[1]
    if (major === undefined) throw new BenchError(`--node ${node} is not a Node executable`)
    found.push(...recado(node, `@${major}`))
  }
  if (wanted('mosquitto')) found.push(...mosquitto())
  if (wanted('aedes')) found.push(...aedes())
  for (const text of brokers) {
    const [, name, command] = /^([\w.@-]+)=(.+)$/.exec(text) ?? []
    if (name === undefined) throw new BenchError(`--broker ${text}: expected name='command {port} {dir}'`)
    found.push({ name, version: command, argv: ['sh', '-c', `exec ${command}`] })
  }
  const unknown = only.filter((name) => !['recado', 'mosquitto', 'aedes'].includes(name))
  if (unknown.length > 0) {
    throw new BenchError(
      `--only ${unknown.join(',')}: there are recado, mosquitto and aedes; others are added with --broker`,
    )
  }
  if (found.length === 0) throw new BenchError('no broker to run')
  return found
}

/** Whether this broker takes part in this scenario. */
export function takesPart(contestant, scenario) {
  if (contestant.isDurableOnly && !scenario.durable) return false
  return !(contestant.isVersion4Only && scenario.isVersion5)
}
