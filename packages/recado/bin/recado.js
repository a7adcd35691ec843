#!/usr/bin/env node
import { existsSync } from 'node:fs'

// Without a handler Node opens its debugger, for every user of the machine. The broker has a better one later; see signals.ts.
process.on('SIGUSR1', () => {})

const program = new URL('../dist/main.js', import.meta.url)
if (existsSync(program)) {
  const { main } = await import(program.href)
  process.exitCode = await main(process.argv.slice(2), undefined, process.argv[1])
} else {
  console.error('recado is not built yet: run "npm ci && npm run build" in its checkout, or "npm start".')
  process.exitCode = 1
}
