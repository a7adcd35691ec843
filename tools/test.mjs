/*
 * `npm test`: sets up the needs of the tests, then runs lint, tidy and all tests. `--unit` leaves out the tests on real
 * peers (`*.peer.test.ts`) and those of the packages for systems and clouds (`packaging/`, `examples/`), and their set-up;
 * `npm run check` is that. Further arguments keep only the test files whose path contains one of them: `npm test -- protocol/src/topic`.
 *
 * The real peers are Debian packages. As root, or with sudo that asks for no password, missing ones are installed
 * (RECADO_TEST_INSTALL=0 forbids it); otherwise their tests are skipped, each with its reason. With CI=true a missing
 * peer is a failure.
 *
 * Every test file of every package runs in one run of Node's runner, so that its summary is the last thing printed.
 * RECADO_TEST_TIMES=FILE writes there how many seconds each outermost test took.
 */
import './lib/check-node.mjs'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureBuilt, ensureInstalled, filesBelow, root, run, runTool, ToolError } from './lib/workspace.mjs'

const unitOnly = process.argv.includes('--unit')
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const ci = process.env.CI === 'true'

/** Prefix for apt-get that gives the right to install, or null. */
function installer() {
  if (process.env.RECADO_TEST_INSTALL === '0' || process.platform !== 'linux') return null
  if (spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) return null
  if (process.getuid() === 0) return []
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null
}

function install(packages, prefix) {
  console.error(`Installing Debian packages for the tests: ${packages.join(' ')}`)
  const apt = (...args) => {
    // RUNLEVEL=1: Debian starts no service that it installs in that runlevel; port 1883 stays free.
    const settings = ['env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1']
    const [command, ...rest] = [...prefix, ...settings, 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=120', ...args]
    run(command, rest, { what: `apt-get ${args[0]}`, timeout: 600_000 })
  }
  apt('update')
  apt('install', '-y', '--no-install-recommends', ...packages)
}

/**
 * Finds missing peers in a process of its own, so that a peer that has just been installed is seen: [{ skip, packages
 * }].
 */
function missingPeers() {
  const script = `import { debianPackages, findPeer, peerNames } from '@recado/testkit'
    const missing = peerNames.map((name) => ({ skip: findPeer(name).skip, packages: debianPackages(name) }))
    console.log(JSON.stringify(missing.filter(({ skip }) => skip !== undefined)))`
  // CI is not passed on: there a missing peer throws, and here it is to be installed first.
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: { ...process.env, CI: '' },
    stdio: ['ignore', 'pipe', 2],
    encoding: 'utf8',
  })
  if (status !== 0) throw new ToolError('Looking for the peers of the tests failed')
  return JSON.parse(stdout)
}

/** Installs missing peers where that is allowed, and prints which peer tests will be skipped. */
function setUpPeers() {
  let missing = missingPeers()
  const prefix = missing.length > 0 ? installer() : null
  if (prefix !== null) {
    try {
      install([...new Set(missing.flatMap(({ packages }) => packages))], prefix)
    } catch (error) {
      if (ci) throw error
      console.error(error.message)
    }
    missing = missingPeers()
  }
  for (const { skip } of missing) console.error(`Tests will be skipped: ${skip}.`)
  if (missing.length > 0 && ci) throw new ToolError('CI=true asks for all peers.')
}

/** Parts of paths of the files that take longest, in this order: begun last, they would run beside nothing. */
const LONGEST = [
  ...['packaging/deb', 'sim/sim.test', 'tools/pack.test', 'tools/tidy/tidy.test', 'mosquitto-suite.peer'],
  ...['browser/site.peer', 'examples/aws', 'walk.peer', 'setups.peer', 'clients.peer', 'paho', 'bridge/bridge'],
  ...['crash/', 'fuzz.test', 'wire-cost.peer', 'mosquitto-commands.peer', 'chromium.peer', 'attack/', '.peer.test'],
]

/** Returns the files in the order in which they are begun: the longest first, the short ones, which fill gaps, last. */
function inOrder(files) {
  const rank = (file) => {
    const index = LONGEST.findIndex((part) => file.includes(part))
    return index < 0 ? LONGEST.length : index
  }
  return files
    .map((file) => [rank(file), file])
    .sort(([a], [b]) => a - b)
    .map(([, file]) => file)
}

/** Compiled test files. Listed from the sources, so that files of a deleted source in dist/ do not run. */
function testFiles() {
  const compiled = filesBelow('packages')
    .filter((path) => /^packages\/[^/]+\/(?:dashboard\/)?src\/.*\.test\.ts$/.test(path))
    .filter((path) => !unitOnly || !path.endsWith('.peer.test.ts'))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .map((path) => path.replace('/src/', '/dist/').replace(/\.ts$/, '.js'))
  const folders = ['tools', 'bench', ...(unitOnly ? [] : ['packaging', 'examples'])]
  const tools = folders.flatMap((folder) => filesBelow(folder)).filter((path) => path.endsWith('.test.mjs'))
  return [
    ...compiled,
    ...tools.filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter))),
  ]
}

await runTool(async () => {
  ensureInstalled()
  await ensureBuilt()
  if (!unitOnly) setUpPeers()
  if (filters.length === 0) {
    run(process.execPath, [join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'], {
      what: 'Lint',
    })
  }
  const files = testFiles()
  if (files.length === 0) throw new ToolError(`No test file matches ${filters.join(' ')}.`)
  // Node 20 calls its mocked timers experimental; the output of tests that pass is only about tests.
  const quiet = '--disable-warning=ExperimentalWarning'
  const timeout = unitOnly ? 600_000 : 900_000
  // Tests with other programs wait half of their time: two processors are busy with three of them.
  const concurrency = unitOnly ? 2 : 3
  const runner = [join(root, 'tools', 'lib', 'run-tests.mjs'), String(concurrency), String(timeout)]
  // What several files build alike, a Debian package, is built once a run (packaging/lib/once.mjs).
  const shared = mkdtempSync(join(tmpdir(), 'recado-test-run-'))
  try {
    const result = spawnSync(process.execPath, [quiet, `--test-timeout=${timeout}`, ...runner, ...inOrder(files)], {
      cwd: root,
      env: { ...process.env, RECADO_TEST_SHARED: shared },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    process.exitCode = result.status ?? 1
  } finally {
    rmSync(shared, { recursive: true, force: true })
  }
})
