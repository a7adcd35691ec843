/** Syslog, topics and the journal, through the `Logger`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { LogConfig } from '../config/log.ts'
import { Logger, type LogType } from '../log.ts'

const config = (rest: Partial<LogConfig>): LogConfig => ({
  destinations: [],
  types: new Set(['error', 'warning', 'notice', 'information', 'debug', 'subscribe', 'unsubscribe']),
  style: 'mosquitto',
  mosquittoVersion: '2.1',
  facility: null,
  syslogFormat: 'rfc3164',
  timestamp: true,
  timestampFormat: null,
  connectionMessages: true,
  ...rest,
})

const nowMs = new Date(2023, 10, 4, 2, 3, 4, 567).getTime()
const seconds = Math.floor(nowMs / 1000)

interface Reader {
  readonly path: string
  next(): Promise<string>
}

/** A unix socket for datagrams in the place of /dev/log. */
function syslog(context: TestContext, folder = mkdtempSync(join(tmpdir(), 'recado-'))): Reader {
  const path = join(folder, 'log')
  const { DgramSocket } = createRequire(import.meta.url)('node-unix-socket')
  const socket = new DgramSocket()
  socket.bind(path)
  context.after(() => {
    socket.close()
    rmSync(folder, { recursive: true })
  })
  const waiting: string[] = []
  socket.on('data', (bytes: Buffer) => {
    waiting.push(bytes.toString())
    socket.emit('line')
  })
  return {
    path,
    next: async () => {
      while (waiting.length === 0) await once(socket, 'line')
      return waiting.shift()!
    },
  }
}

function loggerTo(path: string, rest: Partial<LogConfig> = {}): { logger: Logger; err: string[] } {
  const err: string[] = []
  const streams = {
    stdout: { write: () => true },
    stderr: { write: (text: string) => err.push(text) },
    syslogPath: path,
  }
  return { logger: new Logger(config({ destinations: [['syslog']], ...rest }), streams, () => nowMs), err }
}

test('lines go to syslog with the severity of their type, as syslog(3) sends them', async (context) => {
  const reader = syslog(context)
  const { logger, err } = loggerTo(reader.path)
  context.after(() => logger.close())
  const expected: [LogType, number][] = [
    ['error', 3],
    ['warning', 4],
    ['notice', 5],
    ['subscribe', 5],
    ['unsubscribe', 5],
    ['information', 6],
    ['debug', 7],
  ]
  for (const [type, severity] of expected) {
    logger.log(type, 'a.b', `of ${type}`)
    const head = `<${3 * 8 + severity}>Nov  4 02:03:04 recado[${process.pid}]: `
    assert.equal(await reader.next(), `${head}${seconds}: of ${type}`)
  }
  assert.deepEqual(err, [])
})

test('log_facility and RFC 5424', async (context) => {
  const reader = syslog(context)
  const { logger } = loggerTo(reader.path, { facility: 7, syslogFormat: 'rfc5424', timestamp: false })
  context.after(() => logger.close())
  logger.log('notice', 'client.connected', 'text')
  const time = new Date(nowMs).toISOString()
  assert.match(await reader.next(), new RegExp(`^<189>1 ${time} \\S+ recado ${process.pid} client\\.connected - text$`))
})

test('a syslog that is not there is told once, errors go to stderr, and what is lost is told when it is back', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  const { logger, err } = loggerTo(join(folder, 'log'))
  context.after(() => logger.close())
  logger.log('notice', 'a', 'one')
  while (err.length === 0) await new Promise((resolve) => setImmediate(resolve))
  logger.log('error', 'a', 'two')
  logger.log('notice', 'a', 'three')
  assert.match(err[0] ?? '', /^recado: cannot write the log to syslog: /)
  assert.deepEqual(err.slice(1), [`${seconds}: two\n`])
  const reader = syslog(context, folder)
  await new Promise((resolve) => setImmediate(resolve))
  logger.log('notice', 'a', 'four')
  assert.match(await reader.next(), /: recado: 3 log lines could not be written$/)
  assert.match(await reader.next(), /: four$/)
})

test('lines are published below $SYS/broker/log, not while they are logged, and never of type debug', async () => {
  const { logger } = loggerTo('', { destinations: [['topic']] })
  const published: string[][] = []
  logger.log('information', 'a', 'before there is a broker')
  logger.publishBy((topic, payload) => void published.push([topic, payload]))
  for (const type of ['error', 'warning', 'notice', 'subscribe', 'unsubscribe', 'debug'] as const) {
    logger.log(type, 'a', type)
  }
  assert.deepEqual(published, [])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(published, [
    ['$SYS/broker/log/I', `${seconds}: before there is a broker`],
    ['$SYS/broker/log/E', `${seconds}: error`],
    ['$SYS/broker/log/W', `${seconds}: warning`],
    ['$SYS/broker/log/N', `${seconds}: notice`],
    ['$SYS/broker/log/M/subscribe', `${seconds}: subscribe`],
    ['$SYS/broker/log/M/unsubscribe', `${seconds}: unsubscribe`],
  ])
  published.length = 0
  for (let i = 0; i < 1_500; i++) logger.log('notice', 'a', `${i}`)
  await new Promise((resolve) => setImmediate(resolve))
  logger.log('notice', 'a', 'last')
  logger.publishBy(null)
  assert.equal(published.length, 1_001)
  assert.equal(published.at(-1)?.[1], `recado: 500 log lines could not be written\n${seconds}: last`)
})

test("lines to systemd's journal begin with their severity", () => {
  const lines: string[] = []
  const stderr = { isJournal: true, write: (text: string) => lines.push(text) }
  const stdout = { write: (text: string) => lines.push(text) }
  const logger = new Logger(config({ destinations: [['stderr'], ['stdout']], timestamp: false }), { stdout, stderr })
  logger.log('error', 'a', 'x')
  assert.deepEqual(lines, ['<3>x\n', 'x\n'])
})
