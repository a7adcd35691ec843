#!/usr/bin/env node
/*
 * The entry of the program: runs the bundle, or what is compiled where there is no bundle of it (`tools/lib/bundle.mjs`).
 *
 * CommonJS, for Node's loader of ES modules alone would cost a third of a `recado pub`. Invariant: a checkout never runs a
 * bundle that is older than its compiled code.
 */
const { statSync } = require('node:fs')
const { join } = require('node:path')

// Without a handler Node opens its debugger, for every user of the machine. The broker has a better one later; see signals.ts.
process.on('SIGUSR1', () => {})

const at = (...path) => join(__dirname, '..', ...path)
const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs
const bundle = at('bundle', 'main.js')

/** An installed program has nothing that it could be older than. */
function isCurrent() {
  const made = timeOf(bundle)
  const built = (...path) => timeOf(at('..', ...path)) ?? 0
  if (made === undefined || built('admin', 'dist', 'dashboard', 'index.html') > made) return false
  return ['protocol', 'client', 'broker', 'admin', 'recado'].every(
    (name) => built(name, 'dist', '.tsbuildinfo') <= made,
  )
}

async function load() {
  // RECADO_BUNDLE=off: for tools that look into the process by the names of compiled files, as the soak run does.
  if (process.env.RECADO_BUNDLE !== 'off' && isCurrent()) return require(bundle)
  if (timeOf(at('dist', 'main.js')) !== undefined) return import('../dist/main.js')
  console.error('recado is not built yet: run "npm ci && npm run build" in its checkout, or "npm start".')
  process.exit(1)
}

load()
  .then(({ main }) => main(process.argv.slice(2), undefined, process.argv[1]))
  .then((code) => {
    process.exitCode = code
  })
