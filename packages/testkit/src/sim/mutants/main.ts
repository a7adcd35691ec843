/**
 * `npm run sim:mutants`: breaks a copy of the compiled packages in one place at a time and runs the simulation on it until that
 * fails. Prints a table; ends with 1 if the simulation does not notice a mutant, or if one does not fit the code any more.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ProgramOptions, runProgram, type Values, wholeNumber } from '../../program.ts'
import { mutants } from './all.ts'
import { bridgeMutants } from './bridge.ts'
import { meshMutants } from './mesh.ts'
import { type Mutant, placeOf, readCompiled } from './mutant.ts'

const usage = `Usage: npm run sim:mutants -- [--seeds N] [--only TEXT] [--from I] [--count C] [--bridge | --mesh]

  --seeds N    seeds to try on each mutant (default 3000)
  --only TEXT  mutants whose name contains this text
  --from I     number of the first mutant (default 1)
  --count C    number of mutants (default 1000)
  --bridge     mutants of bridges, on the simulation with bridges
  --mesh       mutants of the mesh, on the simulation with several Cores`

const PACKAGES = ['protocol', 'client', 'broker', 'testkit', 'recado'] as const
const repository = join(dirname(fileURLToPath(import.meta.url)), '../../../../..')

interface Verdict {
  readonly mutant: Mutant
  /** null: nobody noticed. */
  readonly checker: string | null
  readonly seeds: number
}

/** A copy of the packages that finds itself instead of the original, and everything else where it is. */
function copyPackages(): string {
  const root = mkdtempSync(join(tmpdir(), 'recado-mutants-'))
  const modules = join(root, 'node_modules')
  mkdirSync(join(modules, '@recado'), { recursive: true })
  for (const name of readdirSync(join(repository, 'node_modules'))) {
    if (name !== '@recado' && !name.startsWith('.'))
      symlinkSync(join(repository, 'node_modules', name), join(modules, name))
  }
  for (const name of PACKAGES) {
    const target = join(root, 'packages', name)
    mkdirSync(target, { recursive: true })
    cpSync(join(repository, 'packages', name, 'package.json'), join(target, 'package.json'))
    cpSync(join(repository, 'packages', name, 'dist'), join(target, 'dist'), { recursive: true })
    symlinkSync(target, join(modules, '@recado', name))
  }
  return root
}

function judge(root: string, program: string, mutant: Mutant, seeds: number): Verdict {
  const place = placeOf(mutant, readCompiled(join(repository, 'packages', mutant.package)))
  const { start, end } = place
  const path = join(root, 'packages', mutant.package, 'dist', place.path)
  const original = readFileSync(path, 'utf8')
  writeFileSync(path, original.slice(0, start) + mutant.replace + original.slice(end))
  try {
    const main = join(root, 'packages/testkit/dist/sim', program)
    const { stdout, stderr, status } = spawnSync(process.execPath, [main, '--seeds', String(seeds)], {
      encoding: 'utf8',
    })
    if (status === 0) return { mutant, checker: null, seeds }
    const found = /^seed (\d+): .* simulated seconds, ([a-z0-9 ]+): /m.exec(stdout)
    // That is no broken broker, but no broker at all.
    if (/^SyntaxError/m.test(stderr)) throw new Error(`the mutant "${mutant.name}" is no JavaScript: ${stderr}`)
    // A broken broker may also hang up the simulation itself.
    if (found === null) return { mutant, checker: `the run ends: ${lastLine(stderr)}`, seeds: 0 }
    return { mutant, checker: found[2]!, seeds: Number(found[1]) }
  } finally {
    writeFileSync(path, original)
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

const options = {
  seeds: { type: 'string', default: '3000' },
  only: { type: 'string', default: '' },
  from: { type: 'string', default: '1' },
  count: { type: 'string', default: '1000' },
  bridge: { type: 'boolean', default: false },
  mesh: { type: 'boolean', default: false },
} as const satisfies ProgramOptions

function main(values: Values<typeof options>): number {
  const first = wholeNumber('from', values.from, 1) - 1
  const seeds = wholeNumber('seeds', values.seeds, 1)
  const program = values.bridge ? 'bridge/main.js' : values.mesh ? 'mesh/main.js' : 'main.js'
  const chosen = (values.bridge ? bridgeMutants : values.mesh ? meshMutants : mutants)
    .slice(first, first + wholeNumber('count', values.count))
    .filter(({ name }) => name.includes(values.only))
  const root = copyPackages()
  let missed = 0
  try {
    console.log('| mutant | noticed by | after seeds |\n|---|---|---:|')
    for (const mutant of chosen) {
      const { checker, seeds: tried } = judge(root, program, mutant, seeds)
      if (checker === null) missed++
      console.log(`| ${mutant.name} | ${checker ?? '**nobody**'} | ${tried} |`)
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  console.log(`${chosen.length} mutants, ${missed} not noticed`)
  return missed === 0 ? 0 : 1
}

process.exitCode = await runProgram(usage, options, main)
