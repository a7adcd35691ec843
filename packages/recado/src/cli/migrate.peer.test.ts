/** Debian's Mosquitto replaced by recado and back, with everything but the service manager. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { accepts } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import { freePort, printed, programPath, run, temporaryFolder } from '../testing/program.ts'

const options = { skip: skipWithout('mosquitto'), timeout: 300_000 }

/** An installation of Mosquitto below a folder, as Debian's. */
function installation(folder: string, port: number): string[] {
  for (const name of ['mosquitto/conf.d', 'lib', 'recado', 'data', 'log']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  const file = (path: string, text: string): void => writeFileSync(join(folder, path), text)
  file(
    'mosquitto/mosquitto.conf',
    [
      `pid_file ${folder}/mosquitto.pid`,
      'persistence true',
      `persistence_location ${folder}/lib/`,
      `include_dir ${folder}/mosquitto/conf.d`,
      '',
    ].join('\n'),
  )
  file(
    'mosquitto/conf.d/local.conf',
    `listener ${port} 127.0.0.1\npassword_file ${folder}/mosquitto/passwords\nacl_file ${folder}/mosquitto/rights\n`,
  )
  file('mosquitto/rights', 'user ada\ntopic casa/#\n')
  file('recado/recado.conf', '# as it was installed\n')
  const paths = ['--to', `${folder}/recado`, '--data', `${folder}/data`, '--log', `${folder}/log`]
  return ['--from', `${folder}/mosquitto/mosquitto.conf`, ...paths, '--backup', `${folder}/backup`, '--no-services']
}

async function started(context: TestContext, command: string, argv: readonly string[], port: number) {
  const child = spawn(command, argv, { stdio: 'ignore' })
  context.after(() => child.kill('SIGKILL'))
  while (!(await accepts(port))) assert.equal(child.exitCode, null)
  return child
}

async function stopped(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

test('recado takes the place of a Mosquitto with its files and data, and gives it back', options, async (context) => {
  const folder = temporaryFolder(context)
  const port = await freePort()
  const argv = installation(folder, port)
  await printed('passwd', '-c', '-b', join(folder, 'mosquitto/passwords'), 'ada', 'secret')
  const as = (...more: string[]): string[] => [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-u',
    'ada',
    '-P',
    'secret',
    ...more,
  ]
  const asAda = (tool: string, ...more: string[]): Promise<string> => printed(tool, ...as(...more))
  const mosquitto = () =>
    // As root Mosquitto would become another user, who may not write here.
    started(context, peerPath('mosquitto'), ['-c', join(folder, 'root.conf')], port)
  const main = join(folder, 'mosquitto/mosquitto.conf')
  writeFileSync(join(folder, 'root.conf'), `user root\n${readFileSync(main, 'utf8')}`)

  const before = await mosquitto()
  await asAda('sub', '-i', 'visita', '-c', '-q', '1', '-t', 'casa/#', '-E')
  await asAda('pub', '-t', 'casa/puerta', '-q', '1', '-r', '-m', 'abierta')
  await stopped(before)

  const shown = await printed('migrate-from-mosquitto', ...argv)
  assert.match(shown, /mosquitto\.conf -> .*recado\.conf/)
  assert.match(shown, /mosquitto\.conf:1: pid_file becomes a comment/)
  assert.match(shown, /mosquitto\.db: 1 session, 1 subscription, 1 message waiting/)
  assert.match(shown, /max_queued_messages is not set: 1000 in Mosquitto, 100000 here/)
  assert.match(shown, /Nothing was changed/)
  assert.deepEqual(readdirSync(join(folder, 'data')), [])

  assert.equal((await run('migrate-from-mosquitto', '--yes', ...argv)).code, 0)
  const ours = await started(context, process.execPath, [programPath, '-c', join(folder, 'recado/recado.conf')], port)
  assert.equal(await asAda('sub', '-i', 'visita', '-c', '-q', '1', '-t', 'casa/#', '-C', '1'), 'abierta\n')
  assert.equal(await asAda('sub', '-t', 'casa/puerta', '-C', '1'), 'abierta\n')
  await asAda('pub', '-t', 'casa/puerta', '-q', '1', '-r', '-m', 'cerrada')
  await stopped(ours)
  const again = await run('migrate-from-mosquitto', '--yes', ...argv)
  assert.match(again.err, /a migration was carried out already/)

  assert.equal((await run('migrate-from-mosquitto', '--undo', ...argv)).code, 0)
  assert.equal(readFileSync(join(folder, 'recado/recado.conf'), 'utf8'), '# as it was installed\n')
  assert.deepEqual(readdirSync(join(folder, 'data')), [])
  const back = await mosquitto()
  assert.equal(await asAda('sub', '-t', 'casa/puerta', '-C', '1'), 'cerrada\n')
  await stopped(back)
})

test('a step that fails takes all back', options, async (context) => {
  const folder = temporaryFolder(context)
  const argv = installation(folder, await freePort())
  // The password file that the configuration names is missing.
  const { code, err } = await run('migrate-from-mosquitto', '--yes', ...argv)
  assert.equal(code, 1)
  assert.match(err, /passwords.*everything is taken back/s)
  assert.equal(readFileSync(join(folder, 'recado/recado.conf'), 'utf8'), '# as it was installed\n')
  assert.deepEqual(readdirSync(join(folder, 'recado')), ['recado.conf'])
  assert.deepEqual(readdirSync(join(folder, 'data')), [])
  assert.equal(existsSync(join(folder, 'backup', 'migration.json')), false)
})
