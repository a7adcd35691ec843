import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { run, temporaryFolder } from '../testing/program.ts'

function acl(context: TestContext, ...lines: string[]): string {
  const path = join(temporaryFolder(context), 'acl')
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

test('recado acl check says allow or deny, names the line that decided, and exits with 0 or 1', async (context) => {
  const path = acl(
    context,
    'topic read news',
    'user ada',
    'topic house/#',
    'topic deny house/alarm',
    'pattern write dev/%c',
  )
  const check = (...argv: string[]) => run('acl', 'check', '--acl-file', path, ...argv)
  assert.deepEqual(await check('--user', 'ada', '--client', 'c', 'publish', 'house/door'), {
    code: 0,
    out: `allow: ${path}:3: topic house/#\n`,
    err: '',
  })
  assert.deepEqual(await check('--client', 'c', '--user', 'ada', 'publish', 'house/alarm'), {
    code: 1,
    out: `deny: ${path}:4: topic deny house/alarm\n`,
    err: '',
  })
  assert.equal((await check('subscribe', 'news')).out, `allow: ${path}:1: topic read news\n`)
  assert.equal((await check('-u', 'ada', 'subscribe', 'news')).out, 'deny: no line allows it\n')
  const pattern = await check('-i', 'phone', 'publish', 'dev/phone')
  assert.equal(pattern.out, `allow: ${path}:5: pattern write dev/%c (for this client dev/phone)\n`)
})

test('for a filter with wildcards it shows every line that has a say', async (context) => {
  const path = acl(
    context,
    'user ada',
    'topic read house/+/door',
    'topic deny house/secret/#',
    'topic write house/x',
    'topic other',
  )
  const check = (filter: string) => run('acl', 'check', '--acl-file', path, '--user', 'ada', 'subscribe', filter)
  const { code, out } = await check('house/#')
  assert.equal(code, 0)
  assert.deepEqual(out.split('\n').slice(0, -1), [
    'allow: messages come through, in the order of these lines',
    `  ${path}:3: topic deny house/secret/#`,
    `  ${path}:2: topic read house/+/door`,
  ])
  assert.equal((await check('house/secret/+')).code, 1)
  assert.equal((await check('$share/g/house/#')).code, 0)
  assert.match((await check('nothing/#')).out, /^deny: no line allows anything/)
})

test('with -c it finds the ACL file of the configuration, or of one listener', async (context) => {
  const [one, two] = [acl(context, 'topic a'), acl(context, 'topic deny a')]
  const conf = (...lines: string[]): string => acl(context, ...lines)
  const single = conf('listener 1883', `acl_file ${one}`)
  assert.equal((await run('acl', 'check', '-c', single, 'publish', 'a')).code, 0)
  const several = conf(
    'per_listener_settings true',
    'listener 1883',
    `acl_file ${one}`,
    'listener 1884',
    `acl_file ${two}`,
  )
  const check = (...argv: string[]) => run('acl', 'check', '-c', several, ...argv, 'publish', 'a')
  assert.match((await check()).err, /different ACL files: say which with --listener/)
  assert.equal((await check('--listener', '1883')).code, 0)
  assert.equal((await check('--listener', '*:1884')).code, 1)
  assert.match((await check('--listener', '7')).err, /there is no listener "7"; there are \*:1883, \*:1884/)
})

test('a question that cannot be answered is one line on stderr and exit code 2', async (context) => {
  const path = acl(context, 'topic a')
  const bad = acl(context, 'topic a', 'nonsense')
  for (const [argv, what] of [
    [['check', 'publish', 'a'], /give either -c or --acl-file/],
    [['check', '--acl-file', path, 'publish', 'a/#'], /"a\/#" is not a Topic Name/],
    [['check', '--acl-file', path, 'read', 'a'], /say publish or subscribe/],
    [['check', '--acl-file', path, 'publish'], /a topic missing/],
    [['check', '--acl-file', path, 'publish', 'a', 'b'], /one argument too many/],
    [['check', '--acl-file', path, '--usr', 'x', 'publish', 'a'], /unknown option "--usr", did you mean "--user"/],
    [['--acl-file', path], /check is missing/],
    [['check', '--acl-file', `${path}.none`, 'publish', 'a'], /cannot be read/],
    [['check', '--acl-file', bad, 'publish', 'a'], /:2: "nonsense" is unknown/],
  ] as const) {
    const { code, out, err } = await run('acl', ...argv)
    assert.equal(code, 2, argv.join(' '))
    assert.equal(out, '')
    assert.match(err, what)
    assert.equal(err.split('\n').length, 2)
  }
  assert.equal((await run('acl', '--help')).code, 0)
})

test('--json is one object', async (context) => {
  const path = acl(context, 'topic a')
  const { code, out } = await run('acl', 'check', '--json', '--acl-file', path, 'publish', 'a')
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(out), { allowed: true, reason: `${path}:1: topic a`, lines: [] })
})
