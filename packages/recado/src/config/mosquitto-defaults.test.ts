/* `--as-mosquitto`: Mosquitto's defaults where nothing is said, and the file's word where it says something. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { main } from '../main.ts'
import { isRoot } from '../privileges.ts'
import { freePort, printed, run, TestIo, temporaryFolder } from '../testing/program.ts'
import { brokerOptionsFrom } from './broker-options.ts'
import { type CommandLine, loadConfig } from './config.ts'

const commandLine: CommandLine = { configFile: null, dataFolder: null, ports: [], verbose: false, quiet: false }

test('without a word of the file the limits are those of Mosquitto, and nothing is kept', () => {
  for (const [asMosquitto, packetBytesMax] of [
    ['2.0', 268_435_460],
    ['2.1', 2_000_000],
  ] as const) {
    const config = loadConfig({ ...commandLine, asMosquitto })
    const { limits, answers, overflow, sessionOwner } = brokerOptionsFrom(config)
    assert.deepEqual([answers, overflow, sessionOwner], [`mosquitto-${asMosquitto}`, 'drop-newest', 'off'])
    assert.equal(limits?.packetBytesMax, packetBytesMax)
    assert.deepEqual([limits?.receiveMaximum, limits?.inflightMax, limits?.queueMessagesMax], [20, 20, 1000])
    assert.equal(limits?.sessionExpirySecondsMax, 0xffff_ffff)
    assert.equal(config.durability, 'memory')
    assert.equal(config.log.mosquittoVersion, asMosquitto)
  }
  const own = loadConfig(commandLine)
  assert.equal(brokerOptionsFrom(own).answers, 'recado')
  assert.equal(own.durability, 'fsync')
})

test('root becomes the user mosquitto, or nobody, unless the file names another', { skip: !isRoot() }, (context) => {
  assert.match(loadConfig({ ...commandLine, asMosquitto: '2.0' }).user ?? '', /^(?:mosquitto|nobody)$/)
  assert.equal(loadConfig(commandLine).user, null)
  const configFile = join(temporaryFolder(context), 'a.conf')
  writeFileSync(configFile, 'user root\n')
  assert.equal(loadConfig({ ...commandLine, configFile, asMosquitto: '2.0' }).user, 'root')
})

test('what the file or the command line says holds', (context) => {
  const configFile = join(temporaryFolder(context), 'a.conf')
  writeFileSync(configFile, 'max_inflight_messages 7\npersistence true\nqueue_overflow reject\n')
  const config = loadConfig({ ...commandLine, configFile, asMosquitto: '2.1' })
  assert.deepEqual([config.maxInflightMessages, config.durability, config.queueOverflow], [7, 'fsync', 'reject'])
  assert.equal(loadConfig({ ...commandLine, dataFolder: 'kept', asMosquitto: '2.1' }).durability, 'fsync')
})

test("Mosquitto's SQLite plugin asks to keep what there is, beside its database", (context) => {
  const folder = temporaryFolder(context)
  const configFile = join(folder, 'a.conf')
  const plugin = 'plugin /usr/lib/mosquitto_persist_sqlite.so\n'
  writeFileSync(configFile, `${plugin}plugin_opt_db_file ${folder}/m.sqlite3\n`)
  const config = loadConfig({ ...commandLine, configFile, asMosquitto: '2.1' })
  assert.deepEqual([config.durability, config.dataFolder], ['fsync', folder])
  writeFileSync(configFile, `${plugin}persistence false\n`)
  assert.equal(loadConfig({ ...commandLine, configFile, asMosquitto: '2.1' }).durability, 'memory')
})

test('a bridge of MQTT 5.0 asks for no lasting session and adds no property, unless it is told to', (context) => {
  const configFile = join(temporaryFolder(context), 'a.conf')
  const lines = ['connection a', 'address 127.0.0.1', 'topic # out', 'bridge_protocol_version mqttv50']
  writeFileSync(configFile, lines.join('\n'))
  const of = (asMosquitto: '2.0' | '2.1' | null): unknown[] =>
    loadConfig({ ...commandLine, configFile, asMosquitto }).bridges.map((bridge) => [
      bridge.sessionExpirySeconds,
      bridge.topicAliasMaximum,
      bridge.path,
    ])
  assert.deepEqual([of(null), of('2.0'), of('2.1')], [[[null, 10, 'keep']], [[0, 0, 'off']], [[0, 10, 'off']]])
  writeFileSync(configFile, [...lines, 'bridge_session_expiry_interval 60', 'bridge_path strip'].join('\n'))
  assert.deepEqual(of('2.1'), [[60, 10, 'strip']])
})

test('the version is checked, and --version and --help are those of that Mosquitto', async () => {
  const { code, err } = await run('--as-mosquitto', '1.6')
  assert.equal(code, 3)
  assert.match(err, /--as-mosquitto 1\.6: there is 2\.0, 2\.1/)
  assert.match(await printed('--as-mosquitto', '2.0', '--version'), /^mosquitto version 2\.0\.11 running on recado /)
  const help = await run('--as-mosquitto', '2.0', '--help')
  assert.deepEqual([help.code, help.out.split('\n')[0]], [3, 'mosquitto version 2.0.11'])
  assert.equal((await run('--as-mosquitto', '2.1', '--help')).code, 0)
})

test('the log begins and ends with the name and version of that Mosquitto', async (context) => {
  const folder = temporaryFolder(context)
  const configFile = join(folder, 'a.conf')
  writeFileSync(configFile, `user root\nlistener ${await freePort()} 127.0.0.1\nallow_anonymous true\n`)
  const io = new TestIo()
  const ended = main(['--as-mosquitto', '2.0', '-c', configFile], io)
  await io.until(() => / running\n/.test(io.err))
  io.signals.emit('SIGTERM')
  assert.equal(await ended, 0)
  for (const word of ['starting', 'running', 'terminating']) {
    assert.match(io.err, new RegExp(`: mosquitto version 2\\.0\\.11 ${word}\n`))
  }
  assert.match(io.err, /NOTHING IS KEPT/)
})
