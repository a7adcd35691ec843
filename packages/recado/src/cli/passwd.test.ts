import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { printed, run, runWith, temporaryFolder } from '../testing/program.ts'

const pathFor = (context: TestContext): string => join(temporaryFolder(context), 'passwords')
const read = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const namesOf = (path: string): string[] => read(path).map((line) => line.split(':')[0]!)

test('-c makes a file that only its owner reads, and without it a user is added or updated in his line', async (context) => {
  const path = pathFor(context)
  assert.equal(await printed('passwd', '-c', '-b', path, 'ada', 'one'), 'Adding password for user ada\n')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.match(read(path)[0]!, /^ada:\$7\$1000\$[^$]{16}\$[^$]{88}$/)
  writeFileSync(path, `# ours\n${readFileSync(path, 'utf8')}\nnot a line`)
  await printed('passwd', '-b', path, 'bob', 'two')
  const before = read(path)
  assert.equal(await printed('passwd', '-b', '-I', '7', path, 'ada', 'one'), 'Updating password for user ada\n')
  const after = read(path)
  assert.deepEqual(namesOf(path), ['# ours', 'ada', '', 'not a line', 'bob'])
  assert.match(after[1]!, /^ada:\$7\$7\$/)
  assert.equal(after[4], before[4])
  await printed('passwd', '-c', '-b', path, 'eve', 'x')
  assert.deepEqual(namesOf(path), ['eve'], '-c overwrites')
})

test('each kind of hash is written when it is asked for', async (context) => {
  const path = pathFor(context)
  for (const [kind, form] of [
    ['sha512', /^u:\$6\$/],
    ['sha512-pbkdf2', /^u:\$7\$/],
    ['argon2id', /^u:\$argon2id\$v=19\$m=47104,t=1,p=1\$/],
    ['scram-sha-256', /^u:\$scram-sha-256\$4096\$/],
  ] as const) {
    assert.match(await printed('passwd', '-H', kind, '-c', '-b', '-', 'u', 'x'), form)
  }
  assert.ok(!existsSync(path))
})

test('beside hashes for SCRAM stands a secret, made once and kept', async (context) => {
  const path = pathFor(context)
  await printed('passwd', '-c', '-b', path, 'plain', 'x')
  assert.equal(read(path).length, 1)
  await printed('passwd', '-H', 'scram-sha-256', '-b', path, 'ada', 'x')
  const [, , secret = ''] = read(path)
  assert.match(secret, /^#scram-secret:[A-Za-z0-9+/]{43}=$/)
  await printed('passwd', '-H', 'scram-sha-256', '-b', path, 'bob', 'x')
  await printed('passwd', '-D', path, 'ada')
  assert.deepEqual(
    read(path).filter((line) => line.startsWith('#')),
    [secret],
  )
})

test('-D deletes a user, and says when there is none', async (context) => {
  const path = pathFor(context)
  writeFileSync(path, 'ada:$6$x$y\nbob:$6$x$y\nada:$6$x$z\n')
  await printed('passwd', '-D', path, 'ada')
  assert.deepEqual(namesOf(path), ['bob'])
  const { code, err } = await run('passwd', '-D', path, 'ada')
  assert.equal(code, 1)
  assert.match(err, /there is no user "ada"/)
})

test('-U hashes what is plain, and leaves hashes and comments', async (context) => {
  const path = pathFor(context)
  const hash = '$6$c2FsdHNhbHRzYWx0$aGFzaA=='
  writeFileSync(path, `# ours\nada: plain \nbob:${hash}\n`)
  assert.equal(await printed('passwd', '-U', path), '1 passwords hashed, 2 lines left as they were\n')
  const [comment, ada, bob] = read(path)
  assert.deepEqual([comment, bob], ['# ours', `bob:${hash}`])
  assert.match(ada!, /^ada:\$7\$1000\$/)
})

test('without a terminal the password is a line of standard input, or two that are the same', async (context) => {
  const path = pathFor(context)
  assert.equal((await runWith('one\n', 'passwd', '-c', path, 'ada')).code, 0)
  assert.equal((await runWith('one\none\n', 'passwd', path, 'ada')).code, 0)
  assert.equal((await runWith('no newline', 'passwd', path, 'bob')).code, 0)
  const before = read(path)
  for (const [input, what] of [
    ['one\ntwo\n', /the passwords are not the same/],
    ['', /no password is given/],
    ['\n', /no password is given/],
  ] as const) {
    const { code, err, out } = await runWith(input, 'passwd', path, 'eve')
    assert.equal(code, 1)
    assert.match(err, what)
    assert.equal(out, '')
  }
  assert.deepEqual(read(path), before)
})

test('a file keeps its mode, and a link stays a link', async (context) => {
  const path = pathFor(context)
  writeFileSync(path, '')
  chmodSync(path, 0o640)
  const link = `${path}.link`
  symlinkSync(path, link)
  await printed('passwd', '-b', link, 'ada', 'one')
  assert.equal(statSync(path).mode & 0o777, 0o640)
  assert.deepEqual(namesOf(path), ['ada'])
  assert.deepEqual(readdirSync(dirname(path)).sort(), ['passwords', 'passwords.link'], 'nothing is left beside it')
})

test('what cannot be done is one line on stderr and exit code 1, and changes nothing', async (context) => {
  const path = pathFor(context)
  for (const [argv, what] of [
    [['-b', path, 'ada', 'x'], /there is no .*passwords: -c makes it/],
    [['-c', '-b', `${path}/x/y`, 'ada', 'x'], /ENOENT/],
    [[], /FILE and USER missing/],
    [['-b', path, 'ada'], /PASSWORD missing/],
    [[path, 'ada', 'x'], /too many arguments|one argument too many/],
    [['-c', '-D', path, 'ada'], /-c and -D cannot be used together/],
    [['-b', '-D', path, 'ada'], /-D and -b cannot/],
    [['-H', 'sha215', path, 'ada'], /-H sha215: there is sha512, .*, did you mean "sha512"/],
    [['-I', '0', path, 'ada'], /-I needs a number/],
    [['-x', path, 'ada'], /unknown option "-x"/],
    [['-c', '-b', path, 'a:b', 'x'], /has a : in it/],
    [['-c', '-b', path, '#a', 'x'], /begins with #/],
    [['-c', '-b', path, 'a\nb', 'x'], /control character/],
    [['-c', '-b', path, '', 'x'], /user name is empty/],
    [['-c', '-b', path, 'a', ''], /password is empty/],
  ] as const) {
    const { code, err } = await run('passwd', ...argv)
    assert.equal(code, 1, argv.join(' '))
    assert.match(err, what)
    assert.match(err, /^recado passwd: [^\n]*\n$/)
  }
  assert.ok(!existsSync(path))
  assert.equal((await run('passwd', '--help')).code, 0)
})
