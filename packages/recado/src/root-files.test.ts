/* Root does not write through links of other users, and warns about a data folder that others can write to. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isRoot } from './privileges.ts'
import { folderWarnings, giveTo, noFollow, securityWarnings, writeSafely } from './root-files.ts'
import { freePort, Program, temporaryFolder } from './testing/program.ts'

const skip = isRoot() ? false : 'only root can do it'
const NOBODY = 65_534

test('root does not write through a link that somebody else has made, nor one in a folder of somebody else', {
  skip,
}, (context) => {
  const folder = temporaryFolder(context)
  const [victim, link] = [join(folder, 'victim'), join(folder, 'link')]
  writeFileSync(victim, 'precious')
  symlinkSync(victim, link)
  writeSafely(link, 'by root, in a folder of root')
  assert.equal(readFileSync(victim, 'utf8'), 'by root, in a folder of root')
  lchownSync(link, NOBODY, NOBODY)
  assert.throws(() => writeSafely(link, 'x'), { code: 'ERR_RECADO_LINK', message: /link is a symbolic link/ })
  giveTo(link, NOBODY, NOBODY)
  assert.equal(statSync(victim).uid, 0, 'and what it leads to is not given away')
  giveTo(join(folder, 'log that could not be opened'), NOBODY, NOBODY)
  lchownSync(link, 0, 0)
  chmodSync(folder, 0o777)
  assert.throws(() => writeSafely(link, 'x'), { code: 'ERR_RECADO_LINK' })
  chmodSync(folder, 0o1777)
  writeSafely(link, 'nobody else can change it here')
  const isRootNow = false
  lchownSync(link, NOBODY, NOBODY)
  assert.equal(noFollow(link, isRootNow), 0)
  writeSafely(join(folder, 'new'), 'x')
  assert.equal(readFileSync(join(folder, 'new'), 'utf8'), 'x')
  assert.equal(noFollow('/dev/stdout'), 0)
})

test('the pid file and the log are not written through such a link', { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const [victim, own] = [join(folder, 'victim'), join(folder, 'own')]
  writeFileSync(victim, 'precious')
  mkdirSync(own)
  const [pid, log] = [join(own, 'pid'), join(own, 'log')]
  for (const link of [pid, log]) {
    symlinkSync(victim, link)
    lchownSync(link, NOBODY, NOBODY)
  }
  const program = Program.spawn(context, await freePort(), ['user root', 'persistence false', `pid_file ${pid}`])
  assert.equal(await program.ended(), 14)
  assert.match(program.err, /pid file cannot be written: .*pid is a symbolic link that others than root may have made/)
  const other = await Program.start(context, await freePort(), [
    'user root',
    'persistence false',
    'log_dest stderr',
    `log_dest file ${log}`,
  ])
  await other.stop('SIGTERM')
  assert.match(other.err, /log is a symbolic link/)
  assert.equal(readFileSync(victim, 'utf8'), 'precious')
  assert.equal(readlinkSync(log), victim)
})

test('a data folder that others can write to is warned about', async (context) => {
  const folder = join(temporaryFolder(context), 'data')
  assert.deepEqual(folderWarnings(folder), [])
  mkdirSync(folder)
  for (const [mode, isTold] of [
    [0o700, false],
    [0o755, false],
    [0o770, true],
    [0o777, true],
    [0o1777, true],
  ] as const) {
    chmodSync(folder, mode)
    assert.equal(folderWarnings(folder).length, isTold ? 1 : 0, mode.toString(8))
  }
  const program = await Program.start(context, await freePort(), [`persistence_location ${folder}`])
  await program.stop('SIGTERM')
  assert.match(program.err, /Warning: the data folder \S+ has mode 1777: others than its owner can write there/)
})

test('a folder in which dynamic security cannot replace its file is told once', () => {
  const closed = (folder: string): void => {
    if (folder === '/etc/mosquitto') throw new Error('EACCES')
  }
  const warnings = securityWarnings(['/etc/mosquitto/a.json', '/etc/mosquitto/a.json', '/var/lib/b.json'], closed)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /^the folder \/etc\/mosquitto cannot be written by the user that the broker runs as/)
})
