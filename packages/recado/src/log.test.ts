import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LogConfig } from './config/log.ts'
import { escapeControls } from './escape-controls.ts'
import { Logger } from './log.ts'

const collect = (): { text: string; write(text: string): void } => ({
  text: '',
  write(text) {
    this.text += text
  },
})

const config = (rest: Partial<LogConfig> = {}): LogConfig => ({
  destinations: [['stderr']],
  types: new Set(['error', 'warning', 'notice', 'information']),
  style: 'recado',
  mosquittoVersion: '2.1',
  facility: null,
  syslogFormat: 'rfc3164',
  timestamp: true,
  timestampFormat: null,
  connectionMessages: true,
  ...rest,
})

function logged(rest: Partial<LogConfig>, use: (logger: Logger) => void): { stdout: string; stderr: string } {
  const [stdout, stderr] = [collect(), collect()]
  const logger = new Logger(config(rest), { stdout, stderr }, () => 1_700_000_000_123)
  use(logger)
  logger.close()
  return { stdout: stdout.text, stderr: stderr.text }
}

test('a line is the time in seconds and the message, as in Mosquitto', () => {
  const { stdout, stderr } = logged({}, (logger) => logger.log('notice', 'client.connected', 'New client connected.'))
  assert.equal(stderr, '1700000000: New client connected.\n')
  assert.equal(stdout, '')
})

test('the time can have a form, or be left out', () => {
  assert.equal(
    logged({ timestampFormat: '[%s]' }, (logger) => logger.log('error', 'a', 'b')).stderr,
    '[1700000000]: b\n',
  )
  assert.equal(logged({ timestamp: false }, (logger) => logger.log('error', 'a', 'b')).stderr, 'b\n')
})

test('only the types asked for are logged', () => {
  const { stderr } = logged({ types: new Set(['debug']) }, (logger) => {
    assert.equal(logger.has('debug'), true)
    assert.equal(logger.has('error'), false)
    logger.log('error', 'a', 'no')
    logger.log('debug', 'a', 'yes')
  })
  assert.equal(stderr, '1700000000: yes\n')
})

test('JSON lines have time, level, event, message and the fields', () => {
  const { stdout } = logged({ style: 'json', destinations: [['stdout']] }, (logger) =>
    logger.log('notice', 'client.connected', 'New\nclient', {
      clientId: 'a"\u0000b',
      keepAliveSeconds: 60,
      username: undefined,
    }),
  )
  assert.deepEqual(JSON.parse(stdout), {
    time: '2023-11-14T22:13:20.123Z',
    level: 'notice',
    event: 'client.connected',
    message: 'New\\x0aclient',
    clientId: 'a"\u0000b',
    keepAliveSeconds: 60,
  })
  assert.equal(stdout.split('\n').length, 2)
})

test('a JSON line has no character that ends a line or colours a terminal, and keeps the value', () => {
  const topicFilter = 'a\u2028b\u2029c\u0085d\u009b31me\u202ef\u007f'
  const { stderr } = logged({ style: 'json' }, (logger) => logger.log('error', 'a', 'b', { topicFilter }))
  assert.equal(escapeControls(stderr.trimEnd()), stderr.trimEnd())
  assert.equal(JSON.parse(stderr).topicFilter, topicFilter)
})

test('a Client Identifier cannot forge a line or colour a terminal', () => {
  const evil = 'a\n1700000001: New client\r\x1b[31m\u2028\u009b\u202e\x7f'
  assert.equal(escapeControls(evil), 'a\\x0a1700000001: New client\\x0d\\x1b[31m\\u2028\\x9b\\u202e\\x7f')
  assert.equal(logged({}, (logger) => logger.log('error', 'a', evil)).stderr.split('\n').length, 2)
  assert.equal(escapeControls('größe/温度/😀'), 'größe/温度/😀')
})

test('a log file is appended to, and reopened after a rotation', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'a.log')
  const { stderr } = logged({ destinations: [['file', path], ['stderr']] }, (logger) => {
    logger.log('error', 'a', 'one')
    renameSync(path, `${path}.1`)
    logger.log('error', 'a', 'two')
    logger.reopen()
    logger.log('error', 'a', 'three')
  })
  assert.equal(readFileSync(`${path}.1`, 'utf8'), '1700000000: one\n1700000000: two\n')
  assert.equal(readFileSync(path, 'utf8'), '1700000000: three\n')
  assert.equal(stderr.split('\n').length, 4)
})

test('no line is longer than 999 bytes, in either form, whatever a client calls itself', () => {
  for (const character of ['x', 'ü', '😀', '\u0001', '"', '\\', '\u2028']) {
    const long = character.repeat(65_535)
    for (const style of ['recado', 'json'] as const) {
      const { stderr } = logged({ style }, (logger) =>
        logger.log('notice', 'client.connected', `New client ${long} has come`, { clientId: long, topic: long, n: 1 }),
      )
      assert.ok(Buffer.byteLength(stderr) <= 999, `${style} ${character}: ${Buffer.byteLength(stderr)} bytes`)
      assert.ok(stderr.includes('…'), `${style} ${character}`)
      assert.doesNotMatch(stderr, /\ufffd/)
      if (style === 'json') assert.equal(JSON.parse(stderr).n, 1)
    }
  }
  const fits = 'y'.repeat(900)
  assert.equal(logged({}, (logger) => logger.log('notice', 'a', fits)).stderr, `1700000000: ${fits}\n`)
})

test('a log file on a full disk is told once, tried again, and says how much is missing', {
  skip: process.platform !== 'linux',
}, () => {
  const { stderr } = logged({ destinations: [['file', '/dev/full']] }, (logger) => {
    logger.log('error', 'a', 'one')
    logger.log('error', 'a', 'two')
  })
  assert.match(stderr, /^recado: cannot write the log to \/dev\/full: ENOSPC.*\n$/)
})
