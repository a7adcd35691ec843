import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { optionTable } from '../config/schema.ts'
import { run, temporaryFolder } from '../testing/program.ts'

interface Setting {
  name: string
  values: string[]
  isDefault: boolean
  isHidden?: boolean
  places: { file: string; line: number }[]
  note?: string
}
interface Section {
  kind: string
  name: string
  place: { line: number } | null
  settings: Setting[]
}

function write(context: TestContext, text: string): string {
  const file = join(temporaryFolder(context), 'a.conf')
  writeFileSync(file, text, { mode: 0o600 })
  return file
}
async function explained(file: string): Promise<Section[]> {
  const { code, out } = await run('config', 'explain', '--json', file)
  assert.equal(code, 0)
  return (JSON.parse(out) as { sections: Section[] }).sections
}
const setting = ({ settings }: Section, name: string): Setting => {
  const found = settings.find((each) => each.name === name)
  assert.ok(found, name)
  return found
}

test('explain says of every setting what holds, and which line of which file says so', async (context) => {
  const folder = temporaryFolder(context)
  mkdirSync(join(folder, 'd'))
  const main = join(folder, 'a.conf')
  writeFileSync(main, `max_keepalive 50\npersistence_location ${folder}/data\ninclude_dir ${folder}/d\n`)
  writeFileSync(join(folder, 'd', 'b.conf'), '\npersistent_client_expiration 14d\nlistener 1883\nmax_qos 1\n')
  const [broker, listener] = (await explained(main)) as [Section, Section]
  const keepAlive = setting(broker, 'max_keepalive')
  assert.deepEqual(keepAlive, {
    name: 'max_keepalive',
    values: ['50'],
    isDefault: false,
    places: [{ file: main, line: 1 }],
  })
  assert.deepEqual(setting(broker, 'persistent_client_expiration').values, ['2w'])
  assert.equal(setting(broker, 'persistent_client_expiration').places[0]?.file, join(folder, 'd', 'b.conf'))
  assert.equal(setting(broker, 'max_packet_size').isDefault, true)
  assert.deepEqual([listener.kind, listener.name, listener.place?.line], ['listener', '*:1883', 3])
  assert.deepEqual(setting(listener, 'max_qos').values, ['1'])
  assert.deepEqual(setting(listener, 'allow_anonymous').values, ['false'])
})

test('explain has computed defaults as the broker has them', async (context) => {
  const [broker, listener] = (await explained(write(context, 'memory_limit 100000000\n'))) as [Section, Section]
  const retained = setting(broker, 'max_retained_bytes')
  assert.deepEqual([retained.values, retained.note], [['25000000'], 'default, by memory_limit'])
  assert.deepEqual(setting(broker, 'session_owner').values, ['off'])
  assert.deepEqual(setting(listener, 'allow_anonymous').values, ['true'])
  assert.equal(setting(listener, 'allow_anonymous').note, 'default without a listener')
})

test('explain has the settings of each listener, those of all and its own', async (context) => {
  const text =
    'per_listener_settings true\nlistener 1883\npassword_file p\nlistener 1884\nlistener_allow_anonymous true\nlistener_auto_id_prefix x-'
  const [, first, second] = (await explained(write(context, text))) as [Section, Section, Section]
  assert.deepEqual(setting(first, 'password_file').values, ['p'])
  assert.deepEqual(setting(second, 'password_file').values, [])
  assert.deepEqual(
    setting(second, 'allow_anonymous').places.map(({ line }) => line),
    [5],
  )
  assert.deepEqual(setting(second, 'auto_id_prefix').values, ['x-'])
  const shared = 'listener 1883\nlistener 1884\nacl_file a'
  for (const section of (await explained(write(context, shared))).slice(1)) {
    assert.deepEqual(
      setting(section, 'acl_file').places.map(({ line }) => line),
      [3],
    )
  }
})

test('explain hides secrets', async (context) => {
  const text = [
    'webhook_login_url https://me:s3cret@example.com/x',
    'connection b',
    'address hub',
    'topic # both 1',
    'remote_password s3cret',
    'local_password s3cret',
  ].join('\n')
  const file = write(context, text)
  for (const format of [[], ['--json'], ['--given']]) {
    const { code, out } = await run('config', 'explain', file, ...format)
    assert.equal(code, 0)
    assert.doesNotMatch(out, /s3cret/)
    assert.match(out, /\(hidden\)/)
  }
  const bridge = (await explained(file)).at(-1)!
  assert.equal(setting(bridge, 'remote_password').isHidden, true)
})

test('explain --given leaves defaults out', async (context) => {
  const file = write(context, 'max_keepalive 5\nlistener 1883\n')
  const { out } = await run('config', 'explain', '--given', file)
  assert.equal(out, `${file}\n\nBroker\n  max_keepalive  5  ${file}:1\n\nListener *:1883 (${file}:2)\n`)
})

test('explain has every option that stands in the file', async (context) => {
  const lines = optionTable
    .filter(({ scope, type, refused }) => scope === 'global' && type === 'integer' && refused === undefined)
    .map(({ name, default: value, min = 1 }) => `${name} ${value === '' || Number(value) < min ? min : value}`)
  const file = write(context, `${lines.join('\n')}\nlistener 1883 127.0.0.1\n`)
  const [broker] = (await explained(file)) as [Section]
  for (const line of lines) assert.equal(setting(broker, line.split(' ')[0]!).isDefault, false, line)
})

test('lint prints each finding with its place and its name, and fails for warnings', async (context) => {
  const file = write(context, 'listener 1883\nallow_anonymous true\n')
  const found = await run('config', 'lint', file)
  assert.equal(found.code, 1)
  assert.equal(
    found.out,
    `${file}:1: warning: *:1883 can be reached from other machines and has no TLS. [no-tls]
${file}:2: warning: *:1883 can be reached from other machines and lets everybody in. [anonymous-public]
2 found in ${file}.\n`,
  )
  const ignored = await run('config', 'lint', file, '--ignore', 'no-tls', '--ignore=anonymous-public')
  assert.deepEqual(ignored, { code: 0, out: `Nothing was found in ${file}.\n`, err: '' })
})

test('lint fails for notes with --strict only', async (context) => {
  const file = write(context, 'persistence false\n')
  assert.equal((await run('config', 'lint', file)).code, 0)
  assert.equal((await run('config', 'lint', '--strict', file)).code, 1)
})

test('lint --json has level and page of each finding', async (context) => {
  const file = write(context, 'memory_limit 0\n')
  const { code, out } = await run('config', 'lint', '--json', file)
  assert.equal(code, 1)
  assert.deepEqual(JSON.parse(out), {
    files: [file],
    findings: [
      {
        ...{ name: 'memory-unbounded', file, line: 1, text: 'memory_limit is 0: the memory has no limit.' },
        ...{ level: 'warning', page: 'docs/lints.md#memory-unbounded' },
      },
    ],
  })
})

test('a configuration that cannot be read is exit code 3, a command line 2', async (context) => {
  const file = write(context, 'foo 1\n')
  assert.deepEqual(await run('config', 'lint', file), { code: 3, out: '', err: `${file}:1: unknown option "foo"\n` })
  assert.equal((await run('config', 'explain', '/nowhere/a.conf')).code, 3)
  const wrong = async (...argv: string[]): Promise<string> => {
    const { code, err } = await run('config', ...argv)
    assert.equal(code, 2)
    return err
  }
  assert.match(await wrong('explian'), /unknown command "explian", did you mean "explain"\?/)
  assert.match(await wrong('lint', '--strikt'), /did you mean "--strict"\?/)
  assert.match(await wrong('lint', '--ignore', 'no-tsl'), /--ignore no-tsl: there is .*, did you mean "no-tls"\?/)
  assert.match(await wrong('explain', '--strict'), /--strict is not for explain/)
  assert.match(await wrong('explain', 'a', 'b'), /"b" is one argument too many/)
  assert.match((await run('config', '--help')).out, /^recado config: /)
})
