/** `-d`, and the environment of Mosquitto's container images, with real processes. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { isRoot } from './privileges.ts'
import { freePort, programPath, temporaryFolder } from './testing/program.ts'

const skip = process.platform !== 'linux' ? 'looks into /proc' : false
const rootOnly = skip || (!isRoot() ? 'only root can become another user' : false)

interface Ended {
  readonly code: number
  readonly err: string
}

/** Runs the program until it ends. */
async function ended(argv: readonly string[], env: NodeJS.ProcessEnv = {}, program = programPath): Promise<Ended> {
  const child = start(argv, env, program)
  let err = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const [code] = await once(child, 'close')
  return { code, err }
}

function start(argv: readonly string[], env: NodeJS.ProcessEnv, program: string): ChildProcess {
  return spawn(process.execPath, [program, ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
}

/** A configuration with a pid file, in a folder that others may pass. */
async function configured(
  context: TestContext,
  lines: string,
): Promise<{ port: number; folder: string; file: string; pidFile: string }> {
  const folder = temporaryFolder(context)
  chmodSync(folder, 0o777)
  const port = await freePort()
  const [file, pidFile] = [join(folder, 'recado.conf'), join(folder, 'pid')]
  const text = `listener ${port} 127.0.0.1\nallow_anonymous true\npid_file ${pidFile}\npersistence_location ${folder}/data\n`
  writeFileSync(file, text + lines)
  return { port, folder, file, pidFile }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20))
}

const isRunning = (pid: number): boolean =>
  existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`).length > 0

test('-d comes back with 0 when the broker listens, which then has a session, a pid file and no streams of its own', {
  skip,
}, async (context) => {
  const { port, folder, file, pidFile } = await configured(context, '')
  writeFileSync(file, `${readFileSync(file, 'utf8')}log_dest stderr\nlog_dest file ${folder}/log\n`)
  const { code, err } = await ended(['-d', '-c', file])
  assert.equal(code, 0)
  assert.match(err, /recado version \S+ running\n$/)
  const text = readFileSync(pidFile, 'utf8')
  assert.match(text, /^\d+$/, 'without a newline, as in Mosquitto')
  const pid = Number(text)
  context.after(() => isRunning(pid) && process.kill(pid, 'SIGKILL'))
  for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${pid}/fd/${fd}`), '/dev/null')
  const [, , , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/\(.*\)/, 'x')
    .split(' ')
    .slice(1)
  assert.equal(session, text)
  assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /^$/)
  const client = await SocketClient.connect({ port }, { clientId: 'ada' })
  client.destroy()
  await until(() => readFileSync(join(folder, 'log'), 'utf8').includes('as ada'))
  process.kill(pid, 'SIGTERM')
  await until(() => !isRunning(pid))
  assert.equal(existsSync(pidFile), false)
  assert.match(readFileSync(join(folder, 'log'), 'utf8'), /terminating\n/)
})

test('-d: a start that fails is told by the starter, with its exit code', { skip }, async (context) => {
  const { file, port } = await configured(context, '')
  const first = start(['-c', file], {}, programPath)
  context.after(() => first.kill('SIGKILL'))
  await until(() => existsSync(file.replace('recado.conf', 'pid')))
  const second = await configured(context, '')
  writeFileSync(second.file, readFileSync(second.file, 'utf8').replace(String(second.port), String(port)))
  const taken = await ended(['-d', '-c', second.file])
  assert.equal(taken.code, 1)
  assert.match(taken.err, new RegExp(`^recado: cannot listen on 127\\.0\\.0\\.1:${port}: .*\n$`))
  writeFileSync(second.file, 'nonsense\n')
  const wrong = await ended(['-d', '-c', second.file])
  assert.equal(wrong.code, 3)
  assert.match(wrong.err, /^\S+recado\.conf:1: unknown option "nonsense"/)
  first.kill('SIGTERM')
  assert.deepEqual(await once(first, 'exit'), [0, null])
})

test('PUID, PGID and UMASK_SET, and the name of a link to the program', { skip: rootOnly }, async (context) => {
  const { folder, file, pidFile } = await configured(context, 'user nobody\n')
  // By Mosquitto's name nothing is kept unless it is asked for.
  writeFileSync(file, `${readFileSync(file, 'utf8')}persistence true\nlog_dest file ${folder}/log\n`)
  const link = join(folder, 'mosquitto')
  symlinkSync(programPath, link)
  const child = start(['-c', file], { PUID: '12345', PGID: '23456', UMASK_SET: '077' }, link)
  context.after(() => child.kill('SIGKILL'))
  await until(() => existsSync(join(folder, 'log')) && readFileSync(join(folder, 'log'), 'utf8').includes('running'))
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  assert.match(status, /^Uid:\t12345\t12345\t12345\t/m)
  assert.match(status, /^Gid:\t23456\t23456\t23456\t/m)
  assert.match(status, /^Groups:\t23456 ?$/m)
  assert.match(status, /^Umask:\t0077$/m)
  assert.match(status, /^Name:\tmosquitto$/m)
  assert.equal(statSync(join(folder, 'data')).uid, 12_345)
  assert.equal(statSync(pidFile).mode & 0o777, 0o600)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('an environment that cannot be meant ends the start with 3', { skip: rootOnly }, async (context) => {
  const { file } = await configured(context, '')
  for (const [env, what] of [
    [{ PUID: 'ada' }, /^recado: PUID must be a number of a user or group, not "ada"\n$/],
    [{ PGID: '5' }, /^recado: PGID needs PUID, or user in the configuration/],
    [{ UMASK_SET: '888' }, /^recado: UMASK_SET must be an octal number up to 777, not "888"\n$/],
  ] as const) {
    const { code, err } = await ended(['-c', file], env)
    assert.match(err, what)
    assert.equal(code, 3)
  }
})
