import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BenchOptions, expandTemplate, parseBench } from './bench-options.ts'

function options(line: string): BenchOptions {
  const parsed = parseBench(line.split(' '))
  assert.equal(parsed.kind, 'run')
  return (parsed as { options: BenchOptions }).options
}

function complaint(line: string): string {
  try {
    parseBench(line.split(' '))
  } catch (error) {
    return (error as Error).message
  }
  return 'no complaint'
}

test('short options are those of emqtt-bench and MQTTX', () => {
  const { host, port, protocolVersion, count, connectRate, intervalMs, startNumber, payloadBytes, qos, ...more } =
    options(
      'pub -h ::1 -p 1884 -V 4 -c 20 -R 500 -I 10 -n 5 -s 1K -q 2 -t a/%i/%c/%u -C false -k 30 -u ada -P secret -i dev-%i -L 99 -r',
    )
  assert.deepEqual(
    { host, port, protocolVersion, count, connectRate, intervalMs, startNumber, payloadBytes, qos },
    {
      host: '::1',
      port: 1884,
      protocolVersion: 4,
      count: 20,
      connectRate: 500,
      intervalMs: 10,
      startNumber: 5,
      payloadBytes: 1024,
      qos: 2,
    },
  )
  assert.equal(more.topic, 'a/%i/%c/%u')
  assert.equal(more.cleanStart, false)
  assert.equal(more.keepAliveSeconds, 30)
  assert.equal(more.username, 'ada')
  assert.equal(more.password, 'secret')
  assert.equal(more.clientId, 'dev-%i')
  assert.equal(more.limit, 99)
  assert.equal(more.retain, true)
})

test('%i, %c and %u stand for number, Client Identifier and user name', () => {
  assert.equal(expandTemplate('a/%i/%c/%u/%i', 7, 'dev-%i', 'ada'), 'a/7/dev-7/ada/7')
  assert.equal(expandTemplate('%u|%x', 7, 'dev'), '|%x')
})

test('pair ends after 10 seconds unless it has a limit; the others go on until a signal', () => {
  assert.equal(options('pair').durationSeconds, 10)
  assert.equal(options('pair -L 5').durationSeconds, 0)
  assert.equal(options('sub').durationSeconds, 0)
  assert.equal(options('sub -d 2.5s').durationSeconds, 2.5)
})

test('subscribers of pair take the topics one by one, or all of them when they are fewer', () => {
  assert.equal(options('pair -c 4').filter, 'recado/bench/%i')
  assert.equal(options('pair -c 4 --subs 8').filter, 'recado/bench/%i')
  assert.equal(options('pair -c 4 --subs 1').filter, 'recado/bench/+')
  assert.equal(options('pair -c 4 --subs 1 --filter $share/g/recado/bench/+').filter, '$share/g/recado/bench/+')
  assert.equal(options('sub').topic, 'recado/bench/+')
})

test('what is wrong is one line that names the option', () => {
  assert.equal(complaint('conm'), 'unknown command "conm", did you mean "conn"?; there are conn, pub, sub, pair')
  assert.equal(complaint('pub --hots x'), 'unknown option "--hots", did you mean "--host"?')
  assert.equal(complaint('pub -c'), '-c needs a value')
  assert.equal(complaint('pub x'), '"x" is not an option')
  assert.equal(complaint('pub --json=1'), '--json takes no value')
  assert.equal(complaint('pub -c 0'), '--count 0: expected a whole number from 1 to 1000000')
  assert.equal(complaint('pub -q 3'), '--qos 3: expected a whole number from 0 to 2')
  assert.equal(complaint('pub -p 1e3'), '--port 1e3: expected a whole number from 1 to 65535')
  assert.match(complaint('pub -s 23'), /^--size 23: expected bytes from 24 /)
  assert.match(complaint('pub -V 6'), /^--mqtt-version 6: expected/)
  assert.equal(complaint('pub -C maybe'), '--clean maybe: expected true or false')
  assert.equal(complaint('pub -d 5m'), '--duration 5m: expected a number of seconds')
  assert.equal(complaint('pub -t a/#'), '--topic a/#: not a Topic Name')
  assert.equal(complaint('sub -t a/#/b'), '--topic a/#/b: not a Topic Filter')
  assert.equal(complaint('pub --filter a'), '--filter is for "recado bench pair" only')
})

test('several clients need %i in their Client Identifier, and -i 10 is told what it was in another tool', () => {
  assert.equal(complaint('pub -c 1 -i me'), 'no complaint')
  assert.equal(complaint('pub -c 2 -i me'), '--client-id me: 2 clients need %i in it')
  assert.match(complaint('pub -i 10'), /connections per second are -R/)
})

test('a password without a user name needs MQTT 5.0 [MQTT-3.1.1:3.1.2-22]', () => {
  assert.equal(complaint('conn -P x'), 'no complaint')
  assert.equal(complaint('conn -P x -V 4'), '--password without --username needs MQTT 5.0')
})

test('nothing and --help ask for help', () => {
  assert.deepEqual(parseBench([]), { kind: 'help' })
  assert.deepEqual(parseBench(['--help']), { kind: 'help' })
  assert.deepEqual(parseBench(['pair', '--help']), { kind: 'help' })
  assert.deepEqual(parseBench(['pub', '--version']), { kind: 'version' })
})
