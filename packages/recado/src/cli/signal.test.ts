import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { run } from '../testing/program.ts'
import { isBroker, runSignal, signalTable } from './signal.ts'

/** A process that prints the name of each signal that it gets. */
async function listener(context: TestContext): Promise<{ child: ChildProcess; next(): Promise<string> }> {
  const handlers = ['HUP', 'INT', 'USR1', 'USR2', 'RTMIN'].map((name) => `trap 'echo ${name}' ${name}`).join('; ')
  const child = spawn('bash', ['-c', `${handlers}; echo ready; while :; do read -t 1 line <&3; done 3<>/dev/null`])
  context.after(() => child.kill('SIGKILL'))
  let text = ''
  const next = async (): Promise<string> => {
    while (!text.includes('\n')) text += String((await once(child.stdout!, 'data'))[0])
    const [line = ''] = text.split('\n', 1)
    text = text.slice(line.length + 1)
    return line
  }
  assert.equal(await next(), 'ready')
  return { child, next }
}

const skip = process.platform === 'linux' ? false : 'signals and /proc as Linux has them'

test('each word sends its signal', { skip }, async (context) => {
  const { child, next } = await listener(context)
  for (const [word, expected] of [
    ['config-reload', 'HUP'],
    ['log-rotate', 'HUP'],
    ['shutdown', 'INT'],
    ['tree-print', 'USR2'],
    ['xtreport', 'RTMIN'],
    ['save', 'USR1'],
  ] as const) {
    assert.deepEqual(await run('signal', '-p', String(child.pid), word), { code: 0, out: '', err: '' })
    assert.equal(await next(), expected, word)
  }
  assert.equal(signalTable.length, 6)
  const { out } = await run('signal', '--json', '-p', String(child.pid), 'save')
  assert.deepEqual(JSON.parse(out), { signal: 'save', sent: [child.pid], failed: [] })
})

test('what is wrong is said in the words of mosquitto_signal', { skip }, async () => {
  for (const [argv, expected] of [
    [['--invalid'], 'Error: One of -a or -p must be used.\n'],
    [['-p'], 'Error: -p argument given but process ID missing.\n'],
    [['-p', '0'], 'Error: Process ID must be >0.\n'],
    [['-p', '1'], 'Error: No signal given.\n'],
    [['-a'], 'Error: No signal given.\n'],
    [['-p', '1', 'invalid'], "Error: Unknown signal 'invalid'.\n"],
    [['-p', '1', 'shutdwn'], `Error: Unknown signal 'shutdwn'. Did you mean "shutdown"?\n`],
    [['-a', '-p', '1', 'save'], 'Error: -a and -p cannot be used together.\n'],
    [['-p', '1', '-a', 'save'], 'Error: -a and -p cannot be used together.\n'],
    [['-a', '-n', 'save'], "Error: Unknown signal '-n'.\n"],
    [['-p', '4194999', 'save', '-n'], "Error: Unexpected argument '-n' after the signal.\n"],
    [['-p', '4194999', 'save', 'shutdown'], "Error: Unexpected argument 'shutdown' after the signal.\n"],
    [['-p', '4194999', 'shutdown'], 'Error sending signal to process 4194999: No such process\n'],
  ] as const) {
    assert.deepEqual(await run('signal', ...argv), { code: 1, out: '', err: expected }, argv.join(' '))
  }
  assert.equal((await run('signal')).code, 1)
  assert.equal((await run('signal', '--help')).code, 0)
  assert.equal((await run('signal', '--as-mosquitto', '2.1', '--help')).code, 1)
  const io = { stdout: { write: () => true }, stderr: { write: () => true } } as never
  assert.equal(await runSignal(['--help'], io, 'mosquitto_signal'), 1)
})

test('brokers are told from tools and from other programs by their command lines', () => {
  for (const [line, expected] of [
    [['/usr/sbin/mosquitto', '-c', '/etc/mosquitto/mosquitto.conf'], true],
    [['mosquitto'], true],
    [['node', '/usr/local/bin/recado', '-c', 'a.conf'], true],
    [['/usr/bin/node', '--max-old-space-size=100', '/opt/recado/bin/recado.js'], true],
    [['node', '/usr/local/bin/mosquitto', '-d'], true],
    [['recado'], true],
    [['recado -c a.conf'], true],
    [['node', '/usr/local/bin/recado', 'sub', '-t', 'a'], false],
    [['recado pub'], false],
    [['mosquitto_sub', '-t', 'a'], false],
    [['node', '/usr/local/bin/mosquitto_sub'], false],
    [['vi', 'mosquitto'], false],
    [['node', 'server.js', 'recado'], false],
    [[], false],
  ] as const) {
    assert.equal(isBroker([...line, '']), expected, line.join(' '))
  }
})
