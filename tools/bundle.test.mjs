/*
 * The bundle of the program: that all of it loads, what a start does not load, and which program `bin/recado.js` runs.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { bundleFolder, ensureBundle, startNeeds } from './lib/bundle.mjs'
import { root } from './lib/workspace.mjs'

await ensureBundle()
const scratch = mkdtempSync(join(tmpdir(), 'recado-bundle-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

function node(text) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', text], { cwd: bundleFolder, encoding: 'utf8' })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return JSON.parse(stdout)
}

test('every file of the bundle loads, and has a map to sources that are there', () => {
  const files = readdirSync(bundleFolder).filter((name) => name.endsWith('.js'))
  // A thread of its own begins with the worker.
  const loaded = node(`const files = ${JSON.stringify(files.filter((name) => name !== 'worker.js'))}
    process.stdout.write(JSON.stringify(files.map((name) => typeof require('./' + name))))`)
  assert.deepEqual(new Set(loaded), new Set(['object']))
  for (const name of files) {
    const text = readFileSync(join(bundleFolder, name), 'utf8')
    assert.match(text, new RegExp(`\\n//# sourceMappingURL=${name}\\.map\\n$`))
    const map = JSON.parse(readFileSync(join(bundleFolder, `${name}.map`), 'utf8'))
    const sources = (map.sections ?? [{ map }]).flatMap((section) => section.map.sources)
    // Sources of others may be left out of their packages, and a file of esbuild's own helpers has no source.
    for (const source of sources.filter((path) => path.includes('/') && !path.includes('node_modules')))
      assert.ok(existsSync(join(bundleFolder, source)), `${name} has ${source}`)
  }
  assert.match(readFileSync(join(bundleFolder, 'THIRD-PARTY.txt'), 'utf8'), /^hono \d[\s\S]*^jose \d/m)
})

test('a start loads none of Node’s larger modules, and nothing of a feature that is off', async () => {
  const [broker, publisher] = [await startNeeds('recado/dist/serve.js'), await startNeeds('recado/dist/cli/pub.js')]
  const later = ['node:http', 'node:http2', 'node:https', 'node:tls', 'node:worker_threads', 'node:zlib']
  assert.deepEqual(
    broker.filter((path) => later.includes(path)),
    [],
  )
  assert.deepEqual(
    publisher.filter((path) => [...later, 'node:crypto', 'node:child_process'].includes(path)),
    [],
  )
  assert.deepEqual(
    publisher.filter((path) => /packages\/(?:broker|admin)\//.test(path)),
    [],
  )
  assert.deepEqual(
    broker.filter((path) => /node_modules|packages\/admin\//.test(path)),
    [],
  )
  // What the API notes from the start; its framework and schemas come with the first request.
  const admin = await startNeeds('admin/dist/mod.js')
  assert.ok(admin.some((path) => path.endsWith('why/decisions.js')))
  assert.deepEqual(
    admin.filter((path) => path.includes('node_modules')),
    [],
  )
})

test('a start reads few files: the packs of what it needs', () => {
  const loadedBy = (words) => {
    const { stdout } = spawnSync(
      process.execPath,
      [
        '-e',
        `process.on('exit', () => console.log('loaded', ...Object.keys(require.cache).map((path) => path.slice(${bundleFolder.length + 1}))))
        require('./main.js').main(${JSON.stringify(words)})`,
      ],
      { cwd: bundleFolder, encoding: 'utf8' },
    )
    return /^loaded (.*)$/m.exec(stdout)[1].split(' ')
  }
  assert.deepEqual(loadedBy(['pub', '--help']), ['main.js', 'tools.js'])
  assert.deepEqual(loadedBy(['sub', '--help']), ['main.js', 'tools.js'])
  assert.deepEqual(loadedBy(['--version']), ['main.js', 'broker.js'])
})

test('an error thrown in a pack has the place of its source in its stack', () => {
  const text = `const maps = ${JSON.stringify(['main.js', 'tools.js', 'broker.js'])}.map((name) => {
      const { SourceMap } = require('node:module')
      const lines = require('node:fs').readFileSync(name, 'utf8').split('\\n')
      const map = new SourceMap(JSON.parse(require('node:fs').readFileSync(name + '.map', 'utf8')))
      const at = (word) => {
        const line = lines.findIndex((each) => each.includes(word))
        if (line < 0) return null
        return map.findEntry(line, lines[line].indexOf(word)).originalSource
      }
      return ['function commandFirst', 'async function runPub', 'async function serve('].map(at)
    })
    process.stdout.write(JSON.stringify(maps))`
  assert.deepEqual(node(text), [
    ['../dist/main.js', null, null],
    [null, '../dist/cli/pub.js', null],
    [null, null, '../dist/serve.js'],
  ])
})

test('a checkout runs its bundle when it is not older than the compiled code, else the compiled code', () => {
  const program = join(scratch, 'packages', 'recado')
  cpSync(join(root, 'packages', 'recado', 'bin'), join(program, 'bin'), { recursive: true })
  const put = (path, text, seconds) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    utimesSync(path, seconds, seconds)
  }
  const run = () => spawnSync(process.execPath, [join(program, 'bin', 'recado.js'), 'x'], { encoding: 'utf8' })
  const main = (name) => `main = async ([argument]) => { console.log('${name}', argument); return 3 }`
  const missing = run()
  assert.match(missing.stderr, /^recado is not built yet: run "npm ci && npm run build"/)
  assert.equal(missing.status, 1)

  put(join(program, 'dist', 'package.json'), '{ "type": "module" }', 1000)
  put(join(program, 'dist', 'main.js'), `export const ${main('compiled')}`, 1000)
  assert.equal(run().stdout, 'compiled x\n')
  put(join(program, 'bundle', 'package.json'), '{ "type": "commonjs" }', 2000)
  put(join(program, 'bundle', 'main.js'), `exports.${main('bundle')}`, 2000)
  const bundled = run()
  assert.deepEqual([bundled.stdout, bundled.status], ['bundle x\n', 3])
  put(join(scratch, 'packages', 'broker', 'dist', '.tsbuildinfo'), '', 2000)
  assert.equal(run().stdout, 'bundle x\n')
  put(join(scratch, 'packages', 'broker', 'dist', '.tsbuildinfo'), '', 2001)
  assert.equal(run().stdout, 'compiled x\n')
})

test('the bundle in the checkout is what bin/recado.js runs', () => {
  const script = join(root, 'packages', 'recado', 'bin', 'recado.js')
  const { stdout } = spawnSync(
    process.execPath,
    [
      '-e',
      `process.argv[2] = '--version'
    process.on('exit', () => console.log(Object.keys(require.cache).some((path) => path.startsWith(${JSON.stringify(bundleFolder)}))))
    require(${JSON.stringify(script)})`,
      script,
    ],
    { encoding: 'utf8' },
  )
  assert.match(stdout, /^recado .*\ntrue\n$/)
})
