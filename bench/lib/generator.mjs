/** Compiles the load generators in bench/load/ when their source is newer than the program. Called by run.mjs, growth.mjs and logins.mjs. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { BenchError, has } from './processes.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

/** Path of the program, which is compiled when needed. */
export function compiledGenerator(name = 'mqload') {
  const source = path(`../load/${name}.c`)
  const program = path(`../out/${name}`)
  if (process.platform !== 'linux') throw new BenchError('the load generator needs Linux (epoll)')
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program
  if (!has('cc')) throw new BenchError('cc is needed to compile the load generator: "apt-get install gcc libc6-dev"')
  mkdirSync(path('../out'), { recursive: true })
  // Under another name first: two benchmarks may start at once.
  const fresh = `${program}.${process.pid}`
  const result = spawnSync('cc', ['-O2', '-o', fresh, source], { encoding: 'utf8' })
  if (result.status !== 0) throw new BenchError(`cc could not compile ${source}:\n${result.stderr}`)
  renameSync(fresh, program)
  return program
}
