import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient, subscriptionTo } from '@recado/broker/testing'
import { Suback, Subscribe } from '@recado/protocol'
import { behaveAsDaemon, type DaemonProcess } from './daemon.ts'
import { Logger } from './log.ts'
import { freePort, programPath, TestIo, temporaryFolder } from './testing/program.ts'

const skip = process.platform !== 'linux' ? 'signals and processes as Linux has them' : false
const SIGRTMIN = 34

/** Resolves when `isTrue`, asked again and again. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const result = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return result
}

/** A broker whose standard streams a test decides about. */
function spawnBroker(
  context: TestContext,
  folder: string,
  port: number,
  stdio: ('pipe' | 'ignore' | number)[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  const file = join(folder, 'recado.conf')
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_type all\npersistence_location ${folder}/data\n`,
  )
  const child = spawn(process.execPath, [programPath, '-c', file], { cwd: folder, env, stdio })
  context.after(() => child.kill('SIGKILL'))
  return child
}

test('SIGUSR1, SIGUSR2 and SIGRTMIN mean what they mean to Mosquitto, and open no debugger', {
  skip,
}, async (context) => {
  const folder = temporaryFolder(context)
  const log = join(folder, 'log')
  const port = await freePort()
  const file = join(folder, 'recado.conf')
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_dest file ${log}\npersistence_location ${folder}/data\n`,
  )
  const child = spawn(process.execPath, [programPath, '-c', file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  context.after(() => child.kill('SIGKILL'))
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  await until(() => existsSync(log) && readFileSync(log, 'utf8').includes('running'))
  const client = await SocketClient.connect({ port }, { clientId: 'ada' })
  client.send(new Subscribe(1, [subscriptionTo('a/+/#', { qos: 1 })]))
  await client.next(Suback)

  child.kill('SIGUSR1')
  await until(() => readFileSync(log, 'utf8').includes('SIGUSR1: everything that has been acknowledged is on the disk'))
  assert.equal(await isListening(9229), false)

  child.kill('SIGUSR2')
  await until(() => out.includes('ada'))
  assert.equal(out, '    a\n      +\n        # (ada, 1)\n')

  renameSync(log, `${log}.1`)
  process.kill(child.pid!, SIGRTMIN)
  await until(() => existsSync(log) && readFileSync(log, 'utf8').includes('SIGRTMIN: log file reopened'))

  assert.equal(readFileSync(`/proc/${child.pid}/comm`, 'utf8'), 'recado\n')
  client.destroy()
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

/** Resolves when the log says that the broker runs: its first lines come before its listeners are open. */
async function untilRunning(child: ChildProcess): Promise<void> {
  let said = ''
  const take = (text: Buffer): void => {
    said += text
  }
  child.stderr!.on('data', take)
  while (!/ running$/m.test(said)) await once(child.stderr!, 'data')
  child.stderr!.off('data', take)
}

test('the reader of the log leaves, and the broker goes on', { skip }, async (context) => {
  const port = await freePort()
  const child = spawnBroker(context, temporaryFolder(context), port, ['ignore', 'pipe', 'pipe'])
  await untilRunning(child)
  child.stderr!.destroy()
  child.stdout!.destroy()
  for (let i = 0; i < 3; i++) {
    const client = await SocketClient.connect({ port }, { clientId: `client ${i}` })
    client.destroy()
  }
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test("the severity stands before each line where stderr is systemd's journal", { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'recado.conf')
  const lines = `listener ${await freePort()} 127.0.0.1\nallow_anonymous true\npersistence_location ${folder}/data\nlog_timestamp false\n`
  writeFileSync(file, lines)
  // As systemd says it: device and inode of what stderr leads to.
  const script = 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"'
  const argv = ['-c', script, 'sh', process.execPath, programPath, '-c', file]
  const child = spawn('sh', argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  context.after(() => child.kill('SIGKILL'))
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  await until(() => err.includes('running\n'))
  assert.match(err, /^<6>recado version \S+ starting\n<6>Config loaded from/)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('nobody reads the log: clients are served, and SIGTERM ends the broker', { skip }, async (context) => {
  const port = await freePort()
  const child = spawnBroker(context, temporaryFolder(context), port, ['ignore', 'pipe', 'pipe'])
  await untilRunning(child)
  child.stderr!.pause()
  // 1,000 lines of a kilobyte are more than a pipe and its reader take.
  const topic = 'x'.repeat(900)
  for (let i = 0; i < 100; i++) {
    const client = await SocketClient.connect({ port }, { clientId: `${i}-${'i'.repeat(900)}` })
    client.send(
      new Subscribe(
        1,
        Array.from({ length: 10 }, (_, at) => subscriptionTo(`${topic}${at}`)),
      ),
    )
    await client.next(Suback)
    client.destroy()
  }
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('closing the terminal does not end the broker, and SIGTERM then ends it in order', { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const port = await freePort()
  const script = join(folder, 'run.sh')
  const argv = `'${process.execPath}' '${programPath}' -v -p ${port} --data '${folder}/data'`
  writeFileSync(script, `trap : HUP\n${argv} &\necho $! >${folder}/pid\nwait $!\nwait $!\necho $? >${folder}/code\n`)
  const terminal = spawn('script', ['-qc', `sh ${script}`, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] })
  context.after(() => terminal.kill('SIGKILL'))
  let shown = ''
  terminal.stdout!.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  await until(() => shown.includes('Ctrl-C'))
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
  context.after(() => {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL')
  })
  terminal.kill('SIGKILL')
  await once(terminal, 'exit')
  const client = await SocketClient.connect({ port }, { clientId: 'after' })
  client.destroy()
  process.kill(pid, 'SIGTERM')
  await until(() => existsSync(join(folder, 'code')) && readFileSync(join(folder, 'code'), 'utf8') !== '')
  assert.equal(readFileSync(join(folder, 'code'), 'utf8'), '0\n')
})

test('a service manager is told READY, RELOADING and STOPPING, and its watchdog is fed', { skip }, async (context) => {
  const { DgramSocket } = createRequire(import.meta.url)('node-unix-socket') as {
    DgramSocket: new () => EventEmitter & { bind(path: string): void; close(): void }
  }
  const folder = temporaryFolder(context)
  const port = await freePort()
  const path = join(folder, 'notify')
  const manager = new DgramSocket()
  context.after(() => manager.close())
  let told = ''
  manager.on('data', (bytes: Buffer) => {
    told += `[${String(bytes)}]`
  })
  manager.bind(path)
  const env = { ...process.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: '1000000' }
  const child = spawnBroker(context, folder, port, ['ignore', 'ignore', 'ignore'], env)
  await until(() => told.includes('READY=1'))
  assert.ok(await isListening(port), 'READY means that it listens')
  await until(() => told.split('[WATCHDOG=1]').length > 2)
  told = ''
  child.kill('SIGHUP')
  await until(() => /\[RELOADING=1\nMONOTONIC_USEC=\d+\].*\[READY=1\n/s.test(told))
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await until(() => told.includes('[STOPPING=1]'))
  assert.deepEqual(await ended, [0, null])
})

test('a working folder that takes no data leaves the broker without, loudly; one that was named is an error', {
  skip,
}, async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'recado.conf')
  const port = await freePort()
  writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_type error\n`)
  const child = spawn(process.execPath, [programPath, '-c', file], {
    cwd: '/proc',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  context.after(() => child.kill('SIGKILL'))
  const [first] = (await once(child.stderr!.setEncoding('utf8'), 'data')) as [string]
  assert.match(first, /^recado: NOTHING IS KEPT: cannot keep data in \/proc\/data(?:-\d+)?: .*persistence_location/)
  const client = await SocketClient.connect({ port }, { clientId: 'a' })
  client.destroy()
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])

  writeFileSync(file, `listener ${port} 127.0.0.1\npersistence_location /proc/nope\nuser root\n`)
  const named = spawn(process.execPath, [programPath, '-c', file], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  context.after(() => named.kill('SIGKILL'))
  const [text] = (await once(named.stderr!.setEncoding('utf8'), 'data')) as [string]
  assert.match(text, /^recado: cannot keep data in \/proc\/nope: /)
  assert.deepEqual(await once(named, 'exit'), [1, null])
})

test('a log file that cannot be opened is one line, and errors go to stderr', async (context) => {
  const folder = temporaryFolder(context)
  const io = new TestIo()
  const config = {
    destinations: [['file', join(folder, 'nowhere/log')]],
    types: new Set(['error', 'notice']),
    style: 'recado',
    mosquittoVersion: '2.1',
    facility: null,
    syslogFormat: 'rfc3164',
    timestamp: false,
    timestampFormat: null,
    connectionMessages: true,
  } as const
  const logger = new Logger(config, io)
  logger.log('notice', 'a', 'not shown')
  logger.log('error', 'b', 'shown')
  assert.match(io.err, /^recado: cannot write the log to .*nowhere\/log: ENOENT.*\nshown\n$/)
  mkdirSync(join(folder, 'nowhere'))
  logger.reopen()
  io.err = ''
  logger.log('error', 'b', 'in the file')
  logger.close()
  assert.equal(io.err, '')
  const text = readFileSync(join(folder, 'nowhere/log'), 'utf8')
  assert.equal(text, 'recado: 2 log lines could not be written\nin the file\n')
})

class FakeProcess extends EventEmitter {
  readonly execArgv: string[] = []
  readonly env: Record<string, string> = {}
}

function daemonIn(io: TestIo): { fake: FakeProcess; restore: () => void; unsound: () => number } {
  const fake = new FakeProcess()
  const destinations = [['stderr']]
  const types = new Set(['error', 'warning'])
  const logger = new Logger(
    {
      destinations,
      types,
      style: 'recado',
      mosquittoVersion: '2.1',
      facility: null,
      syslogFormat: 'rfc3164',
      timestamp: false,
      timestampFormat: null,
      connectionMessages: true,
    },
    io,
  )
  let unsound = 0
  const restore = behaveAsDaemon(fake as unknown as DaemonProcess, logger, () => {
    unsound++
  })
  return { fake, restore, unsound: () => unsound }
}

test('an error that nobody caught is logged with its stack and ends nothing; twenty in a row end the broker', () => {
  const io = new TestIo()
  const { fake, restore, unsound } = daemonIn(io)
  fake.emit('uncaughtException', new Error('of a socket'))
  assert.match(io.err, /^An error that nobody caught; the broker goes on: Error: of a socket\\x0a {4}at .*daemon\.test/)
  assert.equal(unsound(), 0)
  for (let i = 0; i < 20; i++) fake.emit('uncaughtException', new Error('again'))
  assert.equal(unsound(), 1)
  assert.match(io.err, /the broker ends, to be started anew\.\n$/)
  restore()
  assert.deepEqual(fake.eventNames(), [])
})

test('warnings of Node and what libraries print are lines of the log', () => {
  const io = new TestIo()
  const { fake, restore } = daemonIn(io)
  console.error('a %s', 'library', { a: 1 })
  fake.emit('warning', Object.assign(new Error('too many'), { name: 'MaxListenersExceededWarning' }))
  restore()
  assert.equal(io.err, 'a library { a: 1 }\nWarning of Node: MaxListenersExceededWarning: too many\n')
})
