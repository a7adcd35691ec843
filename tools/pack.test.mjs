/*
 * The packages as strangers get them: what is in the tarballs, and that they work in an empty project with every kind of module resolution.
 * The tarballs are unpacked and their dependencies linked, so that no network is needed.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { published, root } from './lib/workspace.mjs'
import { buildForPacking, packAll, publishedManifest } from './pack.mjs'

const folder = mkdtempSync(join(tmpdir(), 'recado-pack-'))
after(() => rmSync(folder, { recursive: true, force: true }))
await buildForPacking()
const tarballs = packAll(join(folder, 'out'), 'https://example.com/me/recado')

/** An empty project with the tarballs, and links to what they and TypeScript need; without LMDB, which is everybody's own choice. */
const project = join(folder, 'project')
const modules = join(project, 'node_modules')
mkdirSync(join(modules, '@recado'), { recursive: true })
for (const name of readdirSync(join(root, 'node_modules'))) {
  if (/^(?:@recado|recado|@types|@lmdb|lmdb$|\.)/.test(name)) continue
  symlinkSync(join(root, 'node_modules', name), join(modules, name))
}
mkdirSync(join(modules, '@types'))
symlinkSync(join(root, 'node_modules', '@types', 'node'), join(modules, '@types', 'node'))
const placeOf = (name) => (name === 'recado' ? join(modules, name) : join(modules, '@recado', name))
for (const name of published) {
  mkdirSync(placeOf(name))
  execFileSync('tar', ['-xzf', tarballs[name], '-C', placeOf(name), '--strip-components=1'])
}
writeFileSync(join(project, 'package.json'), '{ "name": "stranger", "private": true }')

const manifestOf = (name) => JSON.parse(readFileSync(join(placeOf(name), 'package.json'), 'utf8'))
const filesOf = (name) => readdirSync(placeOf(name), { recursive: true }).map((path) => path.replaceAll('\\', '/'))

test('admin: the dashboard is in the tarball, with the licences of what is in it', () => {
  const files = filesOf('admin').filter((file) => file.startsWith('dist/dashboard/'))
  for (const name of ['index.html', 'licenses.txt']) assert.ok(files.includes(`dist/dashboard/${name}`), name)
  const page = readFileSync(join(placeOf('admin'), 'dist/dashboard/index.html'), 'utf8')
  for (const [, name] of page.matchAll(/"\/assets\/([^"]+)"/g))
    assert.ok(files.includes(`dist/dashboard/${name}`), name)
})

for (const name of published) {
  test(`${name}: the tarball has licence, README, and nothing that is for us alone`, () => {
    const files = filesOf(name)
    for (const file of ['LICENSE', 'README.md', 'package.json']) assert.ok(files.includes(file), `${file} is missing`)
    const unwanted = files.filter((file) =>
      /^dist\/.*\.map$|\.test\.|(?:^|\/)(?:testing|src)(?:\/|$)|tsbuildinfo|wire-cases/.test(file),
    )
    assert.deepEqual(unwanted, [])
    assert.equal(readFileSync(join(placeOf(name), 'LICENSE'), 'utf8'), readFileSync(join(root, 'LICENSE'), 'utf8'))
    const scripts = files.filter((file) => /\.(?:js|cjs|d\.ts)$/.test(file))
    const dangling = scripts.filter(
      (file) =>
        readFileSync(join(placeOf(name), file), 'utf8').includes('sourceMappingURL') && !files.includes(`${file}.map`),
    )
    assert.deepEqual(dangling, [])
  })

  test(`${name}: the manifest says where it is from, and its entries are there`, async () => {
    const manifest = manifestOf(name)
    assert.match(manifest.repository.url, /^git\+https:\/\/example\.com\/me\/recado\.git$/)
    assert.equal(manifest.repository.directory, `packages/${name}`)
    assert.equal(manifest.homepage, 'https://example.com/me/recado')
    assert.equal(manifest.bugs.url, 'https://example.com/me/recado/issues')
    assert.ok(manifest.keywords.length > 3)
    assert.deepEqual(manifest.publishConfig, { access: 'public' })
    assert.equal(manifest.exports['./package.json'], './package.json')
    for (const gone of [manifest.scripts, manifest.devDependencies, manifest.exports['./testing']]) {
      assert.equal(gone, undefined)
    }
  })

  test(`${name}: links of the README lead to the web, or to what is in the package`, () => {
    const text = readFileSync(join(placeOf(name), 'README.md'), 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(?:https?:|#)/.test(target)) continue
      assert.ok(existsSync(join(placeOf(name), target)) && !target.includes('..'), `${target} is not in the package`)
    }
  })

  test(`${name}: publint has nothing to say`, async () => {
    const { messages } = await publint({ pkgDir: placeOf(name), strict: true, pack: false })
    // The field `browser` is for bundlers that do not read `exports` unless they are told to (Parcel).
    assert.deepEqual(
      messages.filter(({ code }) => code !== 'USE_EXPORTS_BROWSER'),
      [],
    )
  })

  test(`${name}: are the types wrong? They are not`, async () => {
    const { problems } = await checkPackage(createPackageFromTarballData(readFileSync(tarballs[name])))
    // These have ES modules only; `require()` takes them in Node 20.19 and later.
    const isModuleOnly = ['broker', 'admin', 'recado'].includes(name)
    const allowed = isModuleOnly ? ['CJSResolvesToESM', 'NoResolution'] : []
    assert.deepEqual(
      (problems ?? []).filter(({ kind }) => !allowed.includes(kind)),
      [],
    )
  })
}

// ---- TypeScript, without types of Node, without skipLibCheck

const client = `
import { connect, type Message, MqttError } from '@recado/client'
import { memory } from '@recado/client/store'
import { lmdb } from '@recado/client/lmdb'
import { indexedDb } from '@recado/client/indexeddb'
import { scram } from '@recado/client/scram'
import { encode, Pingreq } from '@recado/protocol'
export async function main(): Promise<number> {
  const client = await connect('mqtt://localhost', { store: memory(), authentication: scram({ username: 'a', password: 'b' }) })
  client.onInvalidMessage = (error: MqttError, message: Message) => void [error.code, message.topic]
  const subscription = client.subscribe('sensors/:room/#rest', { decode: 'text' })
  for await (const { params, value } of subscription) return params.room.length + value.length
  client.send('a', new DataView(new ArrayBuffer(1)))
  await client.close()
  void [lmdb, indexedDb]
  return encode(new Pingreq(), 5).length
}
`
const broker = `
import { createBroker } from '@recado/broker'
export * from 'recado'
export const broker = createBroker({ authenticate: ({ connect }) => connect.username === 'ada' })
`
const strict = { target: 'es2022', strict: true, noEmit: true, skipLibCheck: false, types: [] }

/** Compiles files of one project: names and texts. A compiler reads the library's declarations once for all of them. */
function compile(what, files, compilerOptions, compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')) {
  const here = join(project, what.replaceAll(/\W+/g, '-'))
  mkdirSync(here, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(here, file), text)
  writeFileSync(join(here, 'package.json'), JSON.stringify({ type: 'commonjs' }))
  writeFileSync(
    join(here, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...strict, ...compilerOptions }, files: Object.keys(files) }),
  )
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', here], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
}

const node = { lib: ['es2022'], types: ['node'], typeRoots: [join(root, 'node_modules', '@types')] }
const attw = createRequire(createRequire(import.meta.url).resolve('@arethetypeswrong/core'))
const typescript5 = join(dirname(attw.resolve('typescript/package.json')), 'bin', 'tsc')

const both = { 'client.mts': client, 'client.cts': client }
for (const [what, files, options, compiler] of [
  ['node16, ES module and CommonJS', { ...both, 'broker.mts': broker }, { module: 'node16' }],
  ['nodenext, ES module and CommonJS', { ...both, 'broker.mts': broker }, { module: 'nodenext' }],
  ['bundler', { 'client.ts': client, 'broker.mts': broker }, { module: 'esnext', moduleResolution: 'bundler' }],
  [
    'bundler, browser',
    { 'client.ts': client },
    { module: 'esnext', moduleResolution: 'bundler', customConditions: ['browser'] },
  ],
  [
    'bundler, React Native',
    { 'client.ts': client },
    { module: 'esnext', moduleResolution: 'bundler', customConditions: ['react-native'] },
  ],
  [
    'nodenext, with the types of Node and without those of browsers',
    { 'client.mts': client, 'broker.mts': broker },
    { module: 'nodenext', ...node },
  ],
  ['TypeScript 5, node', { 'client.ts': client }, { module: 'commonjs', moduleResolution: 'node' }, typescript5],
  ['TypeScript 5, nodenext, ES module and CommonJS', both, { module: 'nodenext' }, typescript5],
]) {
  const parts = 'broker.mts' in files ? 'client and the broker compile' : 'client compiles'
  test(`the ${parts}: ${what}`, () => compile(what, files, options, compiler))
}

// ---- Node

function runs(text, ...flags) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, '-e', text], {
    cwd: project,
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

const tryIt = `
const broker = createBroker({ authenticate: () => true })
const { port } = await broker.listen({ port: 0, host: '127.0.0.1' })
const client = await connect('mqtt://127.0.0.1:' + port, { store: memory() })
const heard = client.subscribe('a/:b', { qos: 1, decode: 'json' })
await heard.ready
await client.publish('a/c', '{"x":1}', { qos: 2 })
const { value } = (await heard.next()).value
const [error] = await Promise.all([client.publish('a\\u0007', '').catch((e) => e)])
await client.close()
await broker.close()
console.log(JSON.stringify([value.x, error.name, error instanceof MqttError]))
`

test('import and require() both work, with broker and client', () => {
  const names = `{ connect, MqttError }`
  const imported = `import ${names} from '@recado/client'; import { memory } from '@recado/client/store'; import { createBroker } from '@recado/broker';`
  assert.deepEqual(runs(imported + tryIt, '--input-type=module'), [1, 'MqttError', true])
  const required = `const ${names} = require('@recado/client'); const { memory } = require('@recado/client/store');
    require('@recado/client/package.json'); require('@recado/client/lmdb'); require('@recado/client/scram');
    import('@recado/broker').then(async ({ createBroker }) => { ${tryIt} })`
  // jest loads no ES modules: nothing of ours may need that.
  assert.deepEqual(runs(required, '--no-experimental-require-module'), [1, 'MqttError', true])
})

test('a broker in memory needs no LMDB, and one that is to keep its data says how to install it', () => {
  const text = `
    import { createBroker, lmdb, lmdbReader, memory } from '@recado/broker'
    const broker = createBroker({ store: memory() })
    await broker.publish({ topic: 'a', payload: 'b', retain: true })
    await broker.close()
    const error = await lmdb({ path: 'data' }).catch((e) => e)
    const other = await lmdbReader('data').catch((e) => e)
    console.log(JSON.stringify([error.name, error.code, error.message, other.code]))`
  const [name, code, message, other] = runs(text, '--input-type=module')
  assert.deepEqual([name, code, other], ['MqttError', 'ERR_MQTT_STORE_PACKAGE', 'ERR_MQTT_STORE_PACKAGE'])
  assert.match(message, /the package lmdb is not installed: npm install lmdb@3\./)
  assert.equal(existsSync(join(project, 'data')), false)
})

/** Names and bytes of all packages that npm installs with one of ours, from what is installed here. */
function installed(name, found = new Map()) {
  if (found.has(name)) return found
  const place = /^(?:@recado\/|recado$)/.test(name)
    ? placeOf(name.replace('@recado/', ''))
    : join(root, 'node_modules', name)
  if (!existsSync(place)) return found
  const files = readdirSync(place, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  found.set(
    name,
    files.reduce((sum, { parentPath, name: file }) => sum + statSync(join(parentPath, file)).size, 0),
  )
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
  for (const other of Object.keys({ ...dependencies, ...optionalDependencies })) installed(other, found)
  return found
}

test('who installs the broker gets no LMDB and less than 8 MB; who installs the program gets LMDB', () => {
  const broker = installed('@recado/broker')
  assert.equal(broker.has('lmdb'), false)
  const bytes = [...broker.values()].reduce((sum, each) => sum + each, 0)
  assert.ok(bytes < 8 * 1024 * 1024, [...broker].map(([name, size]) => `${name} ${size}`).join(', '))
  assert.ok(installed('recado').has('lmdb'))
  const { peerDependencies, peerDependenciesMeta } = manifestOf('broker')
  assert.deepEqual(peerDependencies, { lmdb: manifestOf('recado').dependencies.lmdb })
  assert.deepEqual(peerDependenciesMeta, { lmdb: { optional: true } })
  assert.match(peerDependencies.lmdb, /^\^3\./, 'the command in stores.ts names another version')
})

test('the bundles in CommonJS load, and have no static blocks where React Native is meant', () => {
  for (const name of ['browser-cjs', 'react-native']) {
    const text = `const { OptionError, Client } = require('./node_modules/@recado/client/dist/${name}/client.js');
      console.log(JSON.stringify([new OptionError('x').name, typeof Client]))`
    assert.deepEqual(runs(text), ['OptionError', 'function'])
  }
  const bundle = readFileSync(join(placeOf('client'), 'dist', 'react-native', 'client.js'), 'utf8')
  assert.doesNotMatch(bundle, /\bstatic\s*\{/)
})

test('the program runs as it is installed', () => {
  const { version } = manifestOf('recado')
  const { status, stdout } = spawnSync(process.execPath, [join(placeOf('recado'), 'bin', 'recado.js'), '--version'], {
    encoding: 'utf8',
  })
  assert.equal(status, 0)
  assert.match(stdout, new RegExp(version.replaceAll('.', '\\.')))
})

test('npx runs the program where npm has linked it, from its bundle', () => {
  assert.ok(filesOf('recado').includes('bundle/main.js'))
  // npm makes the file executable, and this link.
  mkdirSync(join(modules, '.bin'))
  symlinkSync(join('..', 'recado', 'bin', 'recado.js'), join(modules, '.bin', 'recado'))
  // What is compiled is for those who import the package: the program does without.
  rmSync(join(placeOf('recado'), 'dist', 'main.js'))
  const { status, stdout, stderr } = spawnSync('npx', ['--no-install', 'recado', '--version'], {
    cwd: project,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  assert.equal(status, 0, stderr)
  assert.equal(stdout, `recado ${manifestOf('recado').version}\n`)
})

test('each package in the workspace has the licence of the whole, and what is published has no dead entry', () => {
  for (const name of published) {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
    const { exports, repository } = publishedManifest(manifest, undefined)
    assert.deepEqual(
      Object.keys(exports).filter((entry) => /testing|wire-cases/.test(entry)),
      [],
    )
    assert.equal(repository.directory, `packages/${name}`)
  }
})
