/**
 * Time of matching, and memory of a filter or a topic, with many of them.
 *
 *     npm run build && node bench/micro/match.mjs [how many, 1000000] [one case by name]
 *
 * Each case runs in a process of its own, so that one's heap does not slow the next. Compares with qlobber, which aedes
 * routes by, when it is installed (with fewer filters: it takes some kilobytes for each).
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FilterTree, TopicTree } from '../../packages/protocol/dist/topic-tree.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')

const cases = {
  'filters-mixed': filtersMixed,
  'filters-one-level': filtersOneLevel,
  'filters-deep': filtersDeep,
  'filters-hostile': filtersHostile,
  qlobber,
  topics,
}
const count = Number(process.argv[2] ?? 1_000_000)
const name = process.argv[3]
if (name === undefined) {
  for (const each of Object.keys(cases)) {
    const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), String(count), each], {
      stdio: 'inherit',
    })
    if (status !== 0) process.exitCode = 1
  }
} else {
  const run = cases[name]
  if (run === undefined) throw new Error(`no case ${name}: ${Object.keys(cases).join(', ')}`)
  run()
}

/** Random numbers that are the same in each run. */
function randomFrom(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Copies a string to the form that the decoder makes: flat, not interned, not shared. */
function flat(text) {
  return Buffer.from(text).toString('latin1')
}

function heap() {
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Nanoseconds per call, best of several rounds; bytes of garbage per call; hits per call. */
function measure(inputs, call) {
  const out = []
  let hits = 0
  for (const input of inputs) {
    out.length = 0
    call(input, out)
    hits += out.length
  }
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const begin = process.hrtime.bigint()
    for (let i = 0; i < inputs.length; i++) {
      out.length = 0
      call(inputs[i], out)
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / inputs.length)
  }
  gc()
  const few = Math.min(inputs.length, 10_000)
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < few; i++) {
    out.length = 0
    call(inputs[i], out)
  }
  const garbage = (process.memoryUsage().heapUsed - before) / few
  return { nanoseconds: best, garbage: Math.max(0, garbage), hits: hits / inputs.length }
}

function report(what, { nanoseconds, garbage, hits }) {
  console.log(
    `  ${what}: ${nanoseconds.toFixed(0)} ns a match, ${hits.toFixed(2)} hits, ${garbage.toFixed(0)} bytes of garbage`,
  )
}

/** Measures with inputs whose strings have no hash yet: the cost of a topic that the router sees for the first time. */
function measureFresh(inputs, call) {
  const out = []
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3; round++) {
    const fresh = inputs.map(flat)
    const begin = process.hrtime.bigint()
    for (let i = 0; i < fresh.length; i++) {
      out.length = 0
      call(fresh[i], out)
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / inputs.length)
  }
  return best
}

function fillFilters(title, makeFilter) {
  const filters = []
  for (let i = 0; i < count; i++) filters.push(flat(makeFilter(i)))
  const before = heap()
  const begin = process.hrtime.bigint()
  const tree = new FilterTree()
  for (let i = 0; i < count; i++) tree.set(filters[i], i)
  const setNanoseconds = Number(process.hrtime.bigint() - begin) / count
  const bytes = (heap() - before) / tree.size
  console.log(
    `${title}: ${tree.size} filters, ${tree.nodeCount} nodes, ${bytes.toFixed(0)} bytes a filter beside its text, ` +
      `${setNanoseconds.toFixed(0)} ns a set`,
  )
  return { tree, filters }
}

function emptyFilters(tree, filters) {
  const begin = process.hrtime.bigint()
  for (const filter of filters) tree.delete(filter)
  const nanoseconds = Number(process.hrtime.bigint() - begin) / filters.length
  console.log(`  ${nanoseconds.toFixed(0)} ns a delete; ${tree.size} filters and ${tree.nodeCount} nodes left`)
}

/** 40 % exact filters, 30 % that end in +, 20 % in #, 10 % that begin with +. */
function mixedFilter(i) {
  const site = i % 1000
  switch (i % 10) {
    case 0:
    case 1:
    case 2:
    case 3:
      return `site/${site}/device/${i}/state`
    case 4:
    case 5:
    case 6:
      return `site/${site}/device/${i}/+`
    case 7:
    case 8:
      return `site/${site}/device/${i}/#`
    default:
      return `+/${site}/device/${i}/state`
  }
}

function filtersMixed() {
  const { tree, filters } = fillFilters('FilterTree, mixed', mixedFilter)
  const random = randomFrom(1)
  const topics = Array.from({ length: 200_000 }, () => {
    const i = random(count)
    return flat(`site/${i % 1000}/device/${i}/state`)
  })
  const match = (topic, out) => tree.match(topic, out)
  report('topics that match', measure(topics, match))
  console.log(`  the same seen for the first time: ${measureFresh(topics, match).toFixed(0)} ns a match`)
  const others = topics.map((topic) => flat(topic.replace('device', 'sensor')))
  report('topics that do not', measure(others, match))
  emptyFilters(tree, filters)
}

function filtersOneLevel() {
  const { tree, filters } = fillFilters('FilterTree, client/{id}/#', (i) => `client/${i.toString(36)}-${i}/#`)
  const random = randomFrom(2)
  const topics = Array.from({ length: 200_000 }, () => {
    const i = random(count)
    return flat(`client/${i.toString(36)}-${i}/inbox/message`)
  })
  report(
    'topics that match',
    measure(topics, (topic, out) => tree.match(topic, out)),
  )
  emptyFilters(tree, filters)
}

/** Filters of up to 200 levels with two + at random places; those with the same beginning differ late. */
function filtersDeep() {
  const before = count
  const random = randomFrom(3)
  const levels = Array.from({ length: 200 }, (_, i) => `l${i}`)
  const { tree, filters } = fillFilters('FilterTree, 200 levels', (i) => {
    const mine = [...levels]
    mine[0] = String(i % Math.ceil(before / 100))
    mine[1 + random(198)] = '+'
    mine[1 + random(198)] = '+'
    return mine.join('/').slice(0, 200 + random(500))
  })
  const topics = Array.from({ length: 2_000 }, () =>
    flat([String(random(Math.ceil(before / 100))), ...levels.slice(1)].join('/')),
  )
  report(
    'topics of 200 levels',
    measure(topics, (topic, out) => tree.match(topic, out)),
  )
  emptyFilters(tree, filters)
}

/** Every mixture of + and the topic's own levels: the worst case. None matches, because of the last level. */
function filtersHostile() {
  const depth = Math.floor(Math.log2(count))
  const { tree, filters } = fillFilters('FilterTree, hostile', (i) => {
    const levels = Array.from({ length: depth }, (_, bit) => ((i >> bit) & 1 ? '+' : 'a'))
    return `${levels.join('/')}/+/x`
  })
  const topic = flat(`${Array.from({ length: depth }, () => 'a').join('/')}/b/y`)
  const { nanoseconds } = measure([topic, topic], (each, out) => tree.match(each, out))
  console.log(
    `  a match that looks at every node: ${(nanoseconds / 1e6).toFixed(1)} ms, ${(nanoseconds / tree.size).toFixed(0)} ns a filter`,
  )
  emptyFilters(tree, filters)
}

function qlobber() {
  let Qlobber
  try {
    const require = createRequire(import.meta.url)
    Qlobber = createRequire(require.resolve('aedes'))('qlobber').Qlobber
  } catch (error) {
    console.log(`qlobber: left out, ${error.code ?? error.message}`)
    return
  }
  const fewer = Math.min(count, 100_000)
  const filters = Array.from({ length: fewer }, (_, i) => flat(mixedFilter(i)))
  const random = randomFrom(1)
  const topics = Array.from({ length: 50_000 }, () => {
    const i = random(fewer)
    return flat(`site/${i % 1000}/device/${i}/state`)
  })
  const before = heap()
  // Set up as in aedes
  const matcher = new Qlobber({ wildcard_one: '+', wildcard_some: '#', separator: '/', match_empty_levels: true })
  for (let i = 0; i < fewer; i++) matcher.add(filters[i], i)
  console.log(`qlobber, mixed: ${fewer} filters, ${((heap() - before) / fewer).toFixed(0)} bytes a filter`)
  report(
    'topics that match',
    measure(topics, (topic, out) => {
      for (const value of matcher.match(topic)) out.push(value)
    }),
  )
  const tree = new FilterTree()
  for (let i = 0; i < fewer; i++) tree.set(filters[i], i)
  report(
    'FilterTree with the same filters',
    measure(topics, (topic, out) => tree.match(topic, out)),
  )
}

function topics() {
  const names = []
  for (let i = 0; i < count; i++) names.push(flat(`site/${i % 1000}/device/${i >> 1}/${i & 1 ? 'state' : 'power'}`))
  const before = heap()
  let begin = process.hrtime.bigint()
  const tree = new TopicTree()
  for (let i = 0; i < count; i++) tree.set(names[i], i)
  const set = Number(process.hrtime.bigint() - begin) / count
  const bytes = (heap() - before) / count
  begin = process.hrtime.bigint()
  for (let i = 0; i < count; i++) tree.set(names[i], i)
  const again = Number(process.hrtime.bigint() - begin) / count
  console.log(
    `TopicTree: ${tree.size} topics, ${tree.nodeCount} nodes, ${bytes.toFixed(0)} bytes a topic beside its text, ` +
      `${set.toFixed(0)} ns a set, ${again.toFixed(0)} ns a set again`,
  )
  for (const filter of [
    '#',
    'site/+/device/+/state',
    'site/7/#',
    '+/+/device/#',
    'site/1/device/+/power',
    '+/+/+/+/none',
  ]) {
    let best = Number.POSITIVE_INFINITY
    let hits = 0
    for (let round = 0; round < 3; round++) {
      hits = 0
      begin = process.hrtime.bigint()
      tree.match(filter, () => {
        hits++
      })
      best = Math.min(best, Number(process.hrtime.bigint() - begin))
    }
    console.log(
      `  ${filter}: ${hits} hits, ${(best / 1e6).toFixed(2)} ms${hits > 0 ? `, ${(best / hits).toFixed(0)} ns a hit` : ''}`,
    )
  }
  begin = process.hrtime.bigint()
  for (const topic of names) tree.delete(topic)
  const nanoseconds = Number(process.hrtime.bigint() - begin) / count
  console.log(`  ${nanoseconds.toFixed(0)} ns a delete; ${tree.size} topics and ${tree.nodeCount} nodes left`)
}
