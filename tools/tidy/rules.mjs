/*
 * The house rules of the design as functions from files to violations. `tidy.test.mjs` runs them over the repository,
 * and over samples that break each one.
 *
 * A file is { path, text }, its path relative to the root with `/`. A violation is one line, `path:line: what`.
 */
import { posix } from 'node:path'
import { blank, headerOf, importsOf, lineAt } from './source.mjs'

const LINES_MAX = 700
/** Least number of characters of a header comment. */
const HEADER_MIN = 20

/** Files that may be longer than LINES_MAX, each with its reason. */
const longFiles = new Map([['packages/protocol/src/wire-cases.ts', 'one table: bytes and packets, used by tests only']])

/** Packages that each package may import; Node and npm packages are allowed unless a rule below forbids them. */
const packageDependencies = {
  protocol: [],
  client: ['@recado/protocol'],
  broker: ['@recado/protocol'],
  admin: ['@recado/protocol', '@recado/broker'],
  recado: [
    '@recado/protocol',
    '@recado/broker',
    '@recado/admin',
    '@recado/admin/tokens',
    '@recado/client',
    '@recado/client/low-level',
  ],
  testkit: ['@recado/protocol', '@recado/broker', '@recado/client'],
}

/** Names banned in the core, where the same input must give the same run. */
const bannedInCore = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'process',
  'console',
  'Date',
  'performance',
  'Promise',
  'async',
  'await',
  'EventEmitter',
]
/** Names banned in the protocol, which also runs in a browser and does no I/O. */
const bannedInProtocol = [...bannedInCore, 'Buffer', 'fetch', 'window', 'document']

/** Whether a file is a test, or a table or helper that only tests use. */
export const isTest = (path) =>
  /\.test\.(ts|mts|mjs)$/.test(path) ||
  /\/(wire-cases|[\w-]*\.test-support)\.ts$/.test(path) ||
  path.startsWith('packages/testkit/') ||
  /\/testing\//.test(path)

const inPackage = /^packages\/([^/]+)\/src\/(.+)\.ts$/
const say = (file, line, what) => `${file.path}:${line}: ${what}`

/** Source files of packages, tests aside, each with its package and path within src. */
function* sources(files) {
  for (const file of files) {
    const match = inPackage.exec(file.path)
    if (match !== null && !isTest(file.path)) yield { ...file, package: match[1], inner: `${match[2]}.ts` }
  }
}

/** Target of a relative import, within src; null for a package. */
const target = (file, specifier) =>
  specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file.inner), specifier)) : null

/** Words of the code that are names of their own: not `x.word`, not a key `word:`. */
function wordsUsed(text, words) {
  const code = blank(text)
  const pattern = new RegExp(`(?<![\\w$.#])(?:${words.join('|')})\\b(?!\\s*\\??:)`, 'g')
  return [...code.matchAll(pattern)].map((match) => ({ word: match[0], line: lineAt(text, match.index) }))
}

/** Rule: `protocol` imports no package and no `node:*`. */
export function protocolImports(files) {
  const violations = []
  for (const file of sources(files)) {
    if (file.package !== 'protocol') continue
    for (const { specifier, line } of importsOf(file.text)) {
      const to = target(file, specifier)
      if (to === null || to.startsWith('..')) violations.push(say(file, line, `protocol may not import ${specifier}`))
    }
    for (const { word, line } of wordsUsed(file.text, bannedInProtocol)) {
      violations.push(say(file, line, `protocol may not use ${word}`))
    }
  }
  return violations
}

/**
 * Rule: `broker/core` imports only `protocol`, `broker/ports.ts` and itself, and has no time, chance or promise of its
 * own. The same for `broker/mesh`, which stands beside the core and may import it.
 */
export function coreIsDeterministic(files) {
  const violations = []
  for (const file of sources(files)) {
    const folder = /^(?:core|mesh)(?=\/)/.exec(file.inner)?.[0]
    if (file.package !== 'broker' || folder === undefined) continue
    for (const { specifier, line } of importsOf(file.text)) {
      const to = target(file, specifier)
      const isOwn = to !== null && (to.startsWith('core/') || to.startsWith(`${folder}/`))
      const allowed = to === null ? specifier === '@recado/protocol' : to === 'ports.ts' || isOwn
      if (!allowed) violations.push(say(file, line, `broker/${folder} may not import ${specifier}`))
    }
    for (const { word, line } of wordsUsed(file.text, bannedInCore)) {
      violations.push(say(file, line, `broker/${folder} may not use ${word}`))
    }
    for (const match of blank(file.text).matchAll(/\bMath\s*\.\s*random\b/g)) {
      violations.push(say(file, lineAt(file.text, match.index), `broker/${folder} may not use Math.random`))
    }
  }
  return violations
}

/** The floors of `broker/core`, from the ground up; files that stand on none of them are above all. */
const floors = ['base', 'journal', 'routing', 'session', 'connection']
const floorOf = (inner) => {
  const folder = /^core\/([^/]+)\//.exec(inner)?.[1]
  return folder === undefined ? floors.length : floors.indexOf(folder)
}
/** Files that may import each other: a connection, and what it does with each packet. */
const mayBeCircular = (inner) => /^core\/connection\/(?:connection|handle-[a-z]+)\.ts$/.test(inner)
const CIRCLE_MAX = 5

/** In `broker/core` no import leads to a floor above, types included, and every file stands on a floor. */
export function coreHasFloors(files) {
  const violations = []
  for (const file of sources(files)) {
    if (file.package !== 'broker' || !file.inner.startsWith('core/')) continue
    const floor = floorOf(file.inner)
    if (floor === -1 || (floor === floors.length && file.inner !== 'core/core.ts')) {
      violations.push(say(file, 1, `is on no floor of broker/core: ${floors.join(', ')}`))
      continue
    }
    for (const { specifier, line } of importsOf(file.text)) {
      const to = target(file, specifier)
      if (to === null || !to.startsWith('core/') || floorOf(to) <= floor) continue
      violations.push(say(file, line, `may not import ${specifier}, which is on a floor above`))
    }
  }
  return violations
}

/**
 * No files import each other in a circle, not even a long one: of values nowhere, in `broker/core` of types neither. What is loaded when
 * it is needed (`import()`) does not count. The one exception is the connection with its `handle-…` files.
 */
export function noCircles(files) {
  const all = [...sources(files)]
  const byPath = new Map(all.map((file) => [`${file.package}/${file.inner}`, file]))
  const edges = new Map()
  for (const [path, file] of byPath) {
    const isCore = file.package === 'broker' && file.inner.startsWith('core/')
    const targets = importsOf(file.text)
      .filter(({ isType, isLazy }) => (isCore || !isType) && !isLazy)
      .map(({ specifier }) => target(file, specifier))
      .filter((to) => to !== null)
      .map((to) => `${file.package}/${to}`)
    edges.set(
      path,
      targets.filter((to) => byPath.has(to)),
    )
  }
  return circlesOf(edges)
    .filter((circle) => circle.length > CIRCLE_MAX || !circle.every((path) => mayBeCircular(byPath.get(path).inner)))
    .map((circle) =>
      say(byPath.get(circle[0]), 1, `imports itself in a circle of ${circle.length}: ${circle.join(', ')}`),
    )
}

/** Strongly connected components of more than one node, or of one that has an edge to itself (Tarjan). */
function circlesOf(edges) {
  const numbers = new Map()
  const lows = new Map()
  const stack = []
  const found = []
  const visit = (node) => {
    numbers.set(node, numbers.size)
    lows.set(node, numbers.get(node))
    stack.push(node)
    for (const to of edges.get(node)) {
      if (!numbers.has(to)) visit(to)
      if (stack.includes(to)) lows.set(node, Math.min(lows.get(node), lows.get(to)))
    }
    if (lows.get(node) !== numbers.get(node)) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1 || edges.get(node).includes(node)) found.push(circle.sort())
  }
  for (const node of edges.keys()) if (!numbers.has(node)) visit(node)
  return found
}

/**
 * Rule: `broker/adapters/*` import `ports.ts`, the protocol, Node and npm packages, and not each other. An adapter is a
 * folder, or the files that begin with the same word: `socket-listener.ts` and `socket-transport.ts` are one.
 */
export function adaptersStandAlone(files) {
  const violations = []
  for (const file of sources(files)) {
    const match = file.package === 'broker' && /^adapters\/([^/.-]+)/.exec(file.inner)
    if (!match) continue
    for (const { specifier, line } of importsOf(file.text)) {
      const to = target(file, specifier)
      const own = to !== null && /^adapters\/([^/.-]+)/.exec(to)?.[1] === match[1]
      const allowed = to === null || to === 'ports.ts' || own
      if (!allowed) violations.push(say(file, line, `an adapter may not import ${specifier}, only ports.ts`))
    }
  }
  return violations
}

/** Rule: only `broker/broker.ts` joins core and adapters (`mod.ts` may re-export from both). */
export function onlyBrokerJoins(files) {
  const violations = []
  for (const file of sources(files)) {
    if (file.package !== 'broker' || file.inner === 'broker.ts') continue
    const targets = importsOf(file.text).map(({ specifier, line }) => ({ to: target(file, specifier) ?? '', line }))
    const core =
      targets.find(({ to }) => to.startsWith('core/')) ?? (file.inner.startsWith('core/') ? { line: 1 } : undefined)
    const adapter = targets.find(({ to }) => to.startsWith('adapters/'))
    const onlyExports = file.inner === 'mod.ts' && !/^\s*import\b/m.test(blank(file.text))
    if (core && adapter && !onlyExports) {
      violations.push(say(file, adapter.line, 'only broker/broker.ts may join core and adapters'))
    }
  }
  return violations
}

/** Rule: packages import the packages below them, by their public names; only tests import testkit or wire cases. */
export function packagesAreLayered(files) {
  const violations = []
  for (const file of sources(files)) {
    const allowed = packageDependencies[file.package] ?? []
    for (const { specifier, line } of importsOf(file.text)) {
      if (target(file, specifier)?.startsWith('..')) {
        violations.push(say(file, line, `${specifier} leaves the package: import it by its name`))
      }
      if (specifier === '@recado/protocol/wire-cases' || /(^|\/)wire-cases\.ts$/.test(specifier)) {
        violations.push(say(file, line, 'only tests may import wire-cases'))
      } else if (specifier.startsWith('@recado/testkit')) {
        violations.push(say(file, line, 'only tests may import @recado/testkit'))
      } else if ((specifier.startsWith('@recado/') || specifier === 'recado') && !allowed.includes(specifier)) {
        violations.push(say(file, line, `${file.package} may not import ${specifier}`))
      }
    }
  }
  return violations
}

/** Rule: about 500 lines is a sign to look for a second noun; over 700 needs a reason in the list above. */
export function filesAreShort(files) {
  const violations = []
  for (const file of files) {
    if (!/\.(tsx?|mjs|js)$/.test(file.path) || isTest(file.path) || longFiles.has(file.path)) continue
    const lines = file.text.split('\n').length - 1
    if (lines > LINES_MAX) violations.push(say(file, lines, `has ${lines} lines, more than ${LINES_MAX}`))
  }
  return violations
}

/** Rule: every source file begins with a comment: what it owns, who calls it, the invariant that it keeps. */
export function filesHaveHeaders(files) {
  const violations = []
  for (const file of files) {
    const isSource =
      (inPackage.test(file.path) && !/\.test\.ts$/.test(file.path)) ||
      /^packages\/admin\/dashboard\/src\/.*(?<!\.test)\.tsx?$/.test(file.path) ||
      /^tools\/.*(?<!\.test)\.mjs$/.test(file.path)
    if (isSource && headerOf(file.text).length < HEADER_MIN) violations.push(say(file, 1, 'has no header comment'))
  }
  return violations
}

// Put together here so that this file does not break its own rule.
const hosts = [
  ['registry', 'npmjs', 'org'],
  ['registry', 'yarnpkg', 'com'],
  ['registry', 'npmmirror', 'com'],
  ['deb', 'debian', 'org'],
  ['security', 'debian', 'org'],
  ['proxy', 'golang', 'org'],
  ['files', 'pythonhosted', 'org'],
].map((labels) => labels.join('.'))

/** Rule: no registry is named in the repository; the machine's own setting decides which one is used. */
export function noRegistryHosts(files) {
  const violations = []
  for (const file of files) {
    for (const host of hosts) {
      const at = file.text.indexOf(host)
      if (at !== -1) violations.push(say(file, lineAt(file.text, at), 'names the host of a package registry'))
    }
    const resolved = file.path.endsWith('package-lock.json') ? /"resolved": "https?:/.exec(file.text) : null
    if (resolved) violations.push(say(file, lineAt(file.text, resolved.index), 'the lock file names a registry'))
  }
  return violations
}
