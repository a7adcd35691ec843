import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, type Files, type ParsedFile, parseConfigFile } from './parse.ts'
import { optionTable } from './schema.ts'

const inMemory = (texts: Record<string, string>): Files => ({
  read: (path) => {
    const text = texts[path]
    if (text === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' })
    return text
  },
  list: (folder) =>
    Object.keys(texts).flatMap((path) => (path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1)] : [])),
})

const parse = (text: string, others: Record<string, string> = {}): ParsedFile =>
  parseConfigFile('a.conf', inMemory({ 'a.conf': text, ...others }))
const settings = (text: string): [string, unknown][] =>
  parse(text).global.settings.map(({ option, value }) => [option.name, value])
const refused = (text: string, expected: string): void => {
  assert.throws(
    () => parse(text),
    (error) => error instanceof ConfigError && error.message === expected,
    (() => {
      try {
        parse(text)
        return `accepted: ${text}`
      } catch (error) {
        return `${(error as Error).message} instead of ${expected}`
      }
    })(),
  )
}

test('comments, empty lines, blanks and CRLF are taken; a line ends at a NUL byte', () => {
  assert.deepEqual(settings('# a\n\n  \n max_queued_messages  5 \r\nsys_interval 0 # never\nmax_keepalive 5\0x\n'), [
    ['max_queued_messages', 5],
    ['sys_interval', 0],
    ['max_keepalive', 5],
  ])
})

test('what Mosquitto takes for part of a name is refused, and told what it is', () => {
  refused('max_keepalive\t5', 'a.conf:1: a tab stands after max_keepalive: only blanks may')
  refused('\tmax_keepalive 5', 'a.conf:1: a tab stands before the name of the option: only blanks may')
  refused('  # five', 'a.conf:1: a comment begins at the beginning of a line')
  refused('\ufeffmax_keepalive 5', 'a.conf:1: the file begins with a byte order mark: save it as UTF-8 without one')
})

test('words after a value are ignored, as in Mosquitto, with a warning', () => {
  const { global, warnings } = parse('max_keepalive 5 6 # seven\nallow_anonymous true of course')
  assert.equal(global.settings[0]?.value, 5)
  assert.equal(warnings[0], 'a.conf:1: max_keepalive takes one value: "6" after it is ignored')
})

test('a number may be hexadecimal, as in Mosquitto 2.1', () => {
  assert.deepEqual(settings('max_packet_size 0x400'), [['max_packet_size', 1024]])
})

test('free text keeps its blanks and its #', () => {
  assert.deepEqual(settings('pid_file /run/a b#c.pid'), [['pid_file', '/run/a b#c.pid']])
})

test('true, false, 1 and 0 are truth values and nothing else is', () => {
  assert.deepEqual(settings('persistence 1\nretain_available 0\nqueue_qos0_messages true'), [
    ['persistence', true],
    ['retain_available', false],
    ['queue_qos0_messages', true],
  ])
  refused('\npersistence yes', 'a.conf:2: persistence must be true or false, not "yes"')
})

test('a number out of its range, or not a number, is refused with its line', () => {
  refused('max_packet_size 19', 'a.conf:1: max_packet_size must be from 20 to 2147483647, not 19')
  refused('max_keepalive 65536', 'a.conf:1: max_keepalive must be from 0 to 65535, not 65536')
  refused('port 0', 'a.conf:1: port must be from 1 to 65535, not 0')
  refused('max_queued_messages many', 'a.conf:1: max_queued_messages must be a whole number of messages, not "many"')
  refused('max_queued_messages 1.5', 'a.conf:1: max_queued_messages must be a whole number of messages, not "1.5"')
  refused('max_queued_messages', 'a.conf:1: max_queued_messages needs a value')
  refused('max_queued_messages # 5', 'a.conf:1: max_queued_messages needs a value')
})

test('a negative number means 0 where Mosquitto takes it for 0', () => {
  assert.deepEqual(settings('max_queued_messages -1\nmax_inflight_messages -7'), [
    ['max_queued_messages', 0],
    ['max_inflight_messages', 0],
  ])
})

test('an unknown option is refused with its line and the name that was probably meant', () => {
  refused('# a\nalow_anonymous true', 'a.conf:2: unknown option "alow_anonymous", did you mean "allow_anonymous"?')
  refused(
    'max_inflght_messages 5',
    'a.conf:1: unknown option "max_inflght_messages", did you mean "max_inflight_messages"?',
  )
  refused('frobnicate 5', 'a.conf:1: unknown option "frobnicate"')
  refused('a\x1b[31mb 5', 'a.conf:1: unknown option "a?[31mb"')
})

test('a duration is a number and a unit', () => {
  assert.deepEqual(settings('persistent_client_expiration 2w'), [['persistent_client_expiration', 1_209_600]])
  refused(
    'persistent_client_expiration 2',
    'a.conf:1: persistent_client_expiration must be a number and one of s h d w m y, as in 14d, not "2"',
  )
})

test('a choice is one of its words', () => {
  refused('log_style xml', 'a.conf:1: log_style must be one of mosquitto, mosquitto-2.0, recado, json, not "xml"')
  refused(
    'log_dest paper',
    'a.conf:1: log_dest must be one of stdout, stderr, file, none, syslog, topic, dlt, not "paper"',
  )
  refused('log_dest file', 'a.conf:1: log_dest file needs a path')
})

test('a list takes blanks and commas, and only its words', () => {
  const { listeners } = parse('listener 1883\naccept_protocol_versions 4, 5')
  assert.deepEqual(listeners[0]?.settings[0]?.value, ['4', '5'])
  refused(
    'listener 1883\naccept_protocol_versions 4 6',
    'a.conf:2: accept_protocol_versions must be of 3, 4, 5, not "6"',
  )
})

test('a listener takes a port, an address, or 0 and the path of a unix socket', () => {
  const { listeners } = parse('listener 1883\nlistener 1884 ::1 # local\nlistener 0 /run/a.sock')
  assert.deepEqual(
    listeners.map(({ head }) => head?.value),
    [
      { port: 1883, address: null },
      { port: 1884, address: '::1' },
      { port: 0, address: '/run/a.sock' },
    ],
  )
  refused('listener 0', 'a.conf:1: listener 0 needs the path of a unix socket')
  refused('listener 70000', 'a.conf:1: listener needs a port from 0 to 65535, not "70000"')
  refused('listener abc', 'a.conf:1: listener needs a port from 0 to 65535, not "abc"')
  refused('listener 1883 [::1]', 'a.conf:1: listener takes an address without brackets: ::1')
  assert.deepEqual(parse('listener 1883 a b').warnings, ['a.conf:1: listener takes one value: "b" after it is ignored'])
})

test('listener options belong to the listener above them, or to the default one', () => {
  const parsed = parse('max_connections 1\nlistener 1883\nmax_connections 2\nlistener 1884\nmaximum_qos 1')
  assert.equal(parsed.defaultListener.settings[0]?.value, 1)
  assert.equal(parsed.listeners[0]?.settings[0]?.value, 2)
  assert.equal(parsed.listeners[1]?.settings[0]?.option.name, 'max_qos')
})

test('security options belong to the broker, or with per_listener_settings to the listener above them', () => {
  const shared = parse('listener 1883\nallow_anonymous true')
  assert.equal(shared.global.settings[0]?.option.name, 'allow_anonymous')
  const own = parse('per_listener_settings true\nlistener 1883\nallow_anonymous true')
  assert.equal(own.listeners[0]?.settings[0]?.option.name, 'allow_anonymous')
  refused(
    'allow_anonymous true\nper_listener_settings true',
    'a.conf:2: per_listener_settings must stand before all options that it is about',
  )
  refused('listener_allow_anonymous true', 'a.conf:1: listener_allow_anonymous belongs below a "listener" line')
})

test('a text given twice is refused; of a number or truth value the last holds, with a warning', () => {
  refused('pid_file a\npid_file b', 'a.conf:2: pid_file stands already at a.conf:1: remove one of them')
  const parsed = parse('max_keepalive 5\nmax_keepalive 6')
  assert.deepEqual(
    parsed.global.settings.map(({ value }) => value),
    [6],
  )
  assert.deepEqual(parsed.warnings, ['a.conf:2: max_keepalive stands already at a.conf:1; this one holds'])
})

test('an option without effect is named with its file and line, unless it asks for what happens anyway', () => {
  const { warnings } = parse('retry_interval 20\nset_tcp_nodelay true\nautosave_interval 60')
  assert.deepEqual(
    warnings.map((warning) => warning.split(':').slice(0, 3).join(':')),
    ['a.conf:1: retry_interval has no effect', 'a.conf:3: autosave_interval has no effect'],
  )
})

test('sections of bridges are kept, quoted patterns with their blanks', () => {
  const { bridges, warnings } = parse('connection b\naddress 10.0.0.1:1883\ntopic # both 2\ntopic "a b/#" in\ntopic ""')
  assert.equal(bridges.length, 1)
  assert.deepEqual(
    bridges[0]?.settings.slice(1).map(({ value }) => value),
    [['#', 'both', '2'], ['a b/#', 'in'], ['']],
  )
  assert.deepEqual(warnings, [])
  refused('address 10.0.0.1', 'a.conf:1: address belongs below a "connection" line')
})

test('include_dir reads *.conf in the order of their names, and only from the main file', () => {
  const parsed = parse('include_dir d\nmax_keepalive 9', {
    'd/b.conf': 'max_queued_messages 2',
    'd/A.conf': 'max_inflight_messages 1',
    'd/00.conf': 'listener 1883',
    'd/no.txt': 'nonsense',
  })
  assert.deepEqual(parsed.files, ['a.conf', 'd/00.conf', 'd/A.conf', 'd/b.conf'])
  assert.equal(parsed.global.settings.length, 3)
  assert.throws(
    () => parse('include_dir d', { 'd/a.conf': 'include_dir e' }),
    /^.*d\/a.conf:1: include_dir may stand in the main file only: move this line there$/m,
  )
  assert.throws(() => parse('include_dir d', { 'd/a.conf': '\nfoo 1' }), /d\/a\.conf:2: unknown option "foo"/)
})

test('a file that cannot be read is one clear line', (context) => {
  assert.throws(() => parseConfigFile('/nowhere/a.conf'), {
    message: '/nowhere/a.conf: cannot be read: no such file or directory',
  })
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  context.after(() => rmSync(folder, { recursive: true }))
  assert.throws(() => parseConfigFile(folder), { message: `${folder}: cannot be read: it is a directory` })
  writeFileSync(join(folder, 'a.conf'), `include_dir ${folder}/none\n`)
  assert.throws(() => parseConfigFile(join(folder, 'a.conf')), /a\.conf:1: include_dir ".*none" cannot be read/)
})

test('every option of the table has a doc, a default of its type, and a name of its own', () => {
  const names = optionTable.flatMap(({ name, aliases = [] }) => [name, ...aliases])
  assert.equal(new Set(names).size, names.length)
  for (const { name, type, default: value, doc, choices, min, max } of optionTable) {
    assert.match(doc, /\.$/, name)
    if (type === 'boolean') assert.match(value, /^(true|false|)$/, name)
    if (type === 'integer' && value !== '' && name !== 'retain_expiry_interval') {
      assert.ok(Number(value) >= (min ?? -Infinity) && Number(value) <= (max ?? Infinity), name)
    }
    if (type === 'choice') assert.ok(choices !== undefined && choices.length > 1, name)
  }
})

test('include_dir reads names without regard to case, capitals first among equals, as Mosquitto does', () => {
  const folder = ['b.conf', 'B.conf', 'a.conf', 'A.conf', '01.conf', '00.conf', '.conf', 'c.config', 'C.conf']
  const { files } = parseConfigFile('main', {
    read: (path) => (path === 'main' ? 'include_dir d\n' : ''),
    list: () => folder,
  })
  const expected = ['00', '01', 'A', 'a', 'B', 'b', 'C'].map((name) => `d/${name}.conf`)
  assert.deepEqual(files, ['main', ...expected])
})

test('further words after log_dest and log_type are ignored, as in Mosquitto', () => {
  const text = 'log_dest topic $SYS/broker/log\nlog_dest stdout now\nlog_type error warning\nlog_dest file /a b\n'
  const { global } = parseConfigFile('main', { read: () => text, list: () => [] })
  assert.deepEqual(
    global.settings.map(({ value }) => value),
    [['topic'], ['stdout'], 'error', ['file', '/a b']],
  )
})
