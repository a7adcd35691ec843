#!/usr/bin/env node
import { existsSync } from 'node:fs'

const program = new URL('../dist/main.js', import.meta.url)
if (existsSync(program)) {
  const { main } = await import(program.href)
  process.exitCode = await main(process.argv.slice(2))
} else {
  console.error('recado is not built yet: run "npm ci && npm run build" in its checkout, or "npm start".')
  process.exitCode = 1
}
