/**
 * Runs tests of Mosquitto's suites, several at a time, each in a folder and, where the system allows it, a network and process
 * namespace of its own.
 *
 * `main.ts` and the peer test call it. As root the tests run as the user nobody, because they are written for a developer's account: a
 * Mosquitto that root starts becomes another user, who may not write their folders. Invariant: nothing that a test started outlives it,
 * and no test lasts longer than its limit.
 */
import { type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { delimiter, dirname } from 'node:path'
import type { SuiteCase } from './cases.ts'
import type { Workspace } from './workspace.ts'

export interface CaseResult {
  readonly name: string
  readonly isPassed: boolean
  readonly seconds: number
  /** Output of the test, at most OUTPUT_MAX characters of its end; empty where it passed. */
  readonly output: string
}

export interface RunOptions {
  readonly workspace: Workspace
  readonly cases: readonly SuiteCase[]
  readonly jobs: number
  /** Time limit for a test that is not known to be long. */
  readonly limitSeconds: number
  onResult(result: CaseResult): void
  /** Whether a result is a surprise: then the test runs once more, when all others are done, as in Mosquitto's own runner. */
  isSurprise(name: string, isPassed: boolean): boolean
}

const OUTPUT_MAX = 20_000
const FIRST_PORT = 1888
/** Number of nobody on Debian and its like. */
const NOBODY = 65_534

/** Number of the user that is to run the tests, or null for the one that runs this. */
export const testUser: number | null = process.getuid?.() === 0 ? NOBODY : null

/** Tests that start a program for each of many cases, in seconds. */
const longSeconds: Readonly<Record<string, number>> = {
  '01-bad-initial-packets': 300,
  '02-subscribe-argv-errors-without-tls': 600,
  '02-subscribe-format': 600,
  '03-publish-argv-errors-without-tls': 600,
  '04-rr-argv-errors-without-tls': 600,
  '01-connect-zero-length-id': 600,
  '03-pattern-matching': 600,
  '09-acl-access-variants': 600,
  '09-pwfile-parse-invalid': 600,
  '16-config-parse-errors-tls': 600,
  '16-config-parse-errors-without-tls': 900,
  '21-proxy-v1-bad': 600,
  '21-proxy-v2-bad-header': 300,
}

const UNSHARE = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc']

/** Command in front of a test, that gives it namespaces of its own, with `hosts` as /etc/hosts; null where there are none. */
function isolation(hosts: string): string[] | null {
  const isRoot = process.getuid?.() === 0
  const command = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), ...UNSHARE]
  const up = ['sh', '-c', 'ip link set lo up && mount --bind "$0" /etc/hosts && exec "$@"', hosts]
  const full = [
    ...command,
    ...up,
    ...(isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []),
  ]
  const [first = '', ...rest] = full
  return spawnSync(first, [...rest, 'true'], { timeout: 20_000 }).status === 0 ? full : null
}

/** Runs the tests and resolves with the results in their order. */
export async function runCases({
  workspace,
  cases,
  jobs,
  limitSeconds,
  onResult,
  isSurprise,
}: RunOptions): Promise<CaseResult[]> {
  const isolated = isolation(workspace.hosts)
  const results = new Array<CaseResult>(cases.length)
  let next = 0
  const work = async (job: number): Promise<void> => {
    for (let index = next++; index < cases.length; index = next++) {
      const each = cases[index]!
      const firstPort = isolated === null ? FIRST_PORT + 20 * (job + 1) : FIRST_PORT
      const limit = longSeconds[each.name] ?? limitSeconds
      const result = await runCase(workspace, each, index, isolated ?? [], firstPort, limit)
      results[index] = result
      onResult(result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, (_, job) => work(job)))
  for (const [index, { name, isPassed }] of results.entries()) {
    if (isPassed || !isSurprise(name, isPassed)) continue
    const limit = longSeconds[name] ?? limitSeconds
    const again = await runCase(workspace, cases[index]!, cases.length + index, isolated ?? [], FIRST_PORT, limit)
    results[index] = again
    onResult(again)
  }
  return results
}

async function runCase(
  workspace: Workspace,
  { name, folder, ports, args }: SuiteCase,
  index: number,
  isolated: readonly string[],
  firstPort: number,
  limitSeconds: number,
): Promise<CaseResult> {
  const cwd = workspace.folderFor(folder, name, String(index))
  const portWords = Array.from({ length: ports }, (_, offset) => String(firstPort + offset))
  const [command = '', ...rest] = [...isolated, 'python3', `./${name}.py`, ...args, ...portWords]
  const user = isolated.length === 0 && testUser !== null ? { uid: testUser, gid: testUser } : {}
  const begin = performance.now()
  const options: SpawnOptions = { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: environment(), ...user }
  const child = spawn(command, rest, options)
  let output = ''
  const add = (chunk: Buffer) => {
    output = (output + chunk.toString('latin1')).slice(-OUTPUT_MAX)
  }
  child.stdout!.on('data', add)
  child.stderr!.on('data', add)
  const timer = setTimeout(() => {
    output += `\nended after ${limitSeconds} s`
    endGroup(child.pid!)
  }, limitSeconds * 1000)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  clearTimeout(timer)
  // Without a process namespace a broker may be left over.
  endGroup(child.pid!)
  const seconds = (performance.now() - begin) / 1000
  return { name, isPassed: code === 0, seconds, output: code === 0 ? '' : output }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Variables for a test: Debian's Python first, with its modules, and nothing that changes what a program does. */
function environment(): Record<string, string> {
  const path = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', dirname(process.execPath)].join(delimiter)
  return { PATH: path, HOME: '/nonexistent', LANG: 'C.UTF-8', PYTHONDONTWRITEBYTECODE: '1' }
}
