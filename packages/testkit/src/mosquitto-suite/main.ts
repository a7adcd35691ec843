/**
 * `npm run mosquitto-suite -- --suite broker --version 2.0`: Mosquitto's own tests, run on Recado.
 *
 * Prints each test that does not do as `expected.ts` says, and a summary; exit code 1 when there is one.
 */
import { join } from 'node:path'
import { findExecutable, findLibrary, skipWithout } from '../peers/find.ts'
import { type ProgramOptions, runProgram, UsageError, type Values, wholeNumber } from '../program.ts'
import { casesOf } from './cases.ts'
import { expectedFailures, isSurprise } from './expected.ts'
import { runCases, testUser } from './run.ts'
import { SourceError, type SuiteVersion, sourceOf } from './source.ts'
import { type RealPrograms, type SuiteName, Workspace } from './workspace.ts'

const suites: readonly SuiteName[] = ['broker', 'client', 'apps']
const versions: readonly SuiteVersion[] = ['2.0', '2.1']

const usage = `Usage: npm run mosquitto-suite -- [options]

  --suite NAME    ${suites.join(', ')} (default: broker)
  --version V     of the suite and of --as-mosquitto: ${versions.join(' or ')} (default: 2.1)
  --only LIST     tests whose names begin so, with commas (default: all that are portable)
  --jobs N        tests at a time (default: 4)
  --limit S       seconds for a test (default: 90; long ones have more)
  --on PROGRAMS   mosquitto: on the real one instead, Debian's for 2.0; for 2.1 the folder of RECADO_MOSQUITTO_21
  --verbose       prints the output of each failed test`

const options = {
  suite: { type: 'string', default: 'broker' },
  version: { type: 'string', default: '2.1' },
  only: { type: 'string', default: '' },
  jobs: { type: 'string', default: '4' },
  limit: { type: 'string', default: '90' },
  on: { type: 'string', default: 'recado' },
  verbose: { type: 'boolean', default: false },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const suite = suites.find((name) => name === values.suite)
  const version = versions.find((each) => each === values.version)
  if (suite === undefined) throw new UsageError(`--suite wants one of ${suites.join(', ')}, not ${values.suite}`)
  if (version === undefined) throw new UsageError(`--version wants ${versions.join(' or ')}, not ${values.version}`)
  if (!['recado', 'mosquitto'].includes(values.on)) throw new UsageError('--on wants recado or mosquitto')
  const jobs = wholeNumber('jobs', values.jobs, 1)
  const limitSeconds = wholeNumber('limit', values.limit, 1)
  const all = sourceCases(version, suite)
  const names = values.only === '' ? null : values.only.split(',')
  const chosen = all.cases.filter(({ name, unportable }) =>
    names === null ? unportable === undefined : names.some((each) => name.startsWith(each)),
  )
  if (chosen.length === 0) throw new UsageError(`No test of ${suite} ${version} matches ${values.only}`)
  const expected = values.on === 'recado' ? expectedFailures(suite, version) : {}
  const real = values.on === 'mosquitto' ? realPrograms(version) : null
  const workspace = new Workspace(all.source, version, real, testUser)
  try {
    const isOurs = values.on === 'recado'
    const isOdd = (name: string, isPassed: boolean): boolean =>
      isOurs ? isSurprise(suite, version, name, isPassed) : !isPassed
    const results = await runCases({
      isSurprise: isOdd,
      workspace,
      cases: chosen,
      jobs,
      limitSeconds,
      onResult: ({ name, isPassed, seconds, output }) => {
        console.log(
          `${isPassed ? 'passes' : 'FAILS '} ${seconds.toFixed(1).padStart(6)} s  ${name}${note(isPassed, expected[name])}`,
        )
        if (!isPassed && values.verbose) console.log(output.replaceAll(/^/gm, '    '))
      },
    })
    const passed = results.filter(({ isPassed }) => isPassed).length
    const surprises = results.filter(({ name, isPassed }) => isOdd(name, isPassed))
    const left = new Map<string, number>()
    for (const { unportable } of all.cases) {
      if (unportable !== undefined) left.set(unportable, (left.get(unportable) ?? 0) + 1)
    }
    console.log(
      `${suite} ${version} on ${values.on}: ${passed} of ${results.length} pass, ` +
        `${results.length - passed - surprises.filter(({ isPassed }) => !isPassed).length} fail for a known reason, ` +
        `${surprises.length} not as expected.` +
        [...left]
          .map(
            ([why, count]) =>
              ` Not portable: ${count}, which ${why.replace(/^needs/, 'need').replace(/^looks/, 'look')}.`,
          )
          .join(''),
    )
    return surprises.length === 0 ? 0 : 1
  } finally {
    workspace.remove()
  }
}

function note(isPassed: boolean, reason: string | undefined): string {
  if (reason === undefined) return ''
  return isPassed ? `  (expected to fail: ${reason})` : `  (${reason})`
}

function sourceCases(version: SuiteVersion, suite: SuiteName) {
  try {
    const source = sourceOf(version)
    const cases = casesOf(source, suite)
    if (cases.length === 0) throw new UsageError(`Mosquitto ${version} has no suite ${suite} in Python`)
    return { source, cases }
  } catch (error) {
    throw error instanceof SourceError ? new UsageError(error.message) : error
  }
}

/** Programs of a real Mosquitto: Debian's, or those beside the broker that RECADO_MOSQUITTO_21 names. */
function realPrograms(version: SuiteVersion): RealPrograms {
  if (version === '2.0') {
    const missing = skipWithout('mosquitto', 'mosquitto_pub')
    if (missing) throw new UsageError(missing)
    return { find: findExecutable, findPlugin: (file) => findLibrary(file) }
  }
  const program = process.env['RECADO_MOSQUITTO_21']
  if (program === undefined) throw new UsageError('RECADO_MOSQUITTO_21 must name a Mosquitto 2.1 (docs/testing.md)')
  const folder = join(program, '..')
  return { find: (name) => join(folder, name), findPlugin: (file) => join(folder, file) }
}

process.exitCode = await runProgram(usage, options, main)
