/**
 * The list of a suite's tests, as the suite's own `test.py` files have it.
 *
 * Pure but for reading; `run.ts` runs them. Invariant: a test that the suite leaves out (in a comment) is not in the list.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteName } from './workspace.ts'

export interface SuiteCase {
  /** File without `.py`. */
  readonly name: string
  /** Folder below `test/`. */
  readonly folder: string
  /** Ports that it wants as its last arguments. */
  readonly ports: number
  /** Arguments before the ports. */
  readonly args: readonly string[]
  /** Reason why nothing but Mosquitto's own build can run it; absent when it is portable. */
  readonly unportable?: string
}

/** @param source folder of Mosquitto's source */
export function casesOf(source: string, suite: SuiteName): SuiteCase[] {
  const test = join(source, 'test')
  const folders = suite === 'apps' ? readdirSync(join(test, 'apps')).map((name) => `apps/${name}`) : [suite]
  return folders
    .filter((folder) => existsSync(join(test, folder, 'test.py')))
    .flatMap((folder) => casesIn(join(test, folder), folder))
}

/** `(2, './name.py')`, or with an argument, or with a list of them. */
const row = /^\s*\((\d+), *'(?:\.\/)?([\w.-]+)\.py'(?:, *(?:'([^']*)'|\[([^\]]*)\]))?\)/
/** All files of a form, with one port each: `.glob('passwd-*.py')`. */
const glob = /\.glob\('([\w-]+)\*\.py'\)/

function casesIn(path: string, folder: string): SuiteCase[] {
  const list = readFileSync(join(path, 'test.py'), 'utf8')
  const prefix = glob.exec(list)?.[1]
  if (prefix !== undefined) {
    const files = readdirSync(path).filter((file) => file.startsWith(prefix) && file.endsWith('.py'))
    return files.sort().map((file) => caseOf(path, folder, file.slice(0, -'.py'.length), 1, []))
  }
  return list.split('\n').flatMap((line) => {
    const found = row.exec(line)
    if (found === null) return []
    const [, ports, name = '', single, several] = found
    // The list of 2.0.11 names tests that its archive does not have.
    if (!existsSync(join(path, `${name}.py`))) return []
    const args =
      single !== undefined ? [single] : (several ?? '').split(',').map((each) => each.trim().replaceAll("'", ''))
    return [
      caseOf(
        path,
        folder,
        name,
        Number(ports),
        args.filter((each) => each !== ''),
      ),
    ]
  })
}

function caseOf(path: string, folder: string, name: string, ports: number, args: readonly string[]): SuiteCase {
  const unportable = isParsedOnly(name) ? null : reasonFor(readFileSync(join(path, `${name}.py`), 'utf8'))
  return { name, folder, ports, args, ...(unportable === null ? {} : { unportable }) }
}

/** Whether a plugin in C that the test names is never loaded, because the file that names it is wrong. */
const isParsedOnly = (name: string): boolean => name === '16-config-parse-errors-without-tls'

/** Reason why nothing but Mosquitto's own build can run a test; null when it is portable. */
function reasonFor(text: string): string | null {
  if (/["' (./]c\/(?:auth_plugin|plugin|bad_v|kick)[\w{}]*/.test(text)) return 'needs a plugin in C'
  if (/['"/](?:c\/)?08-tls-psk-\w+\.test\b|client_test\(/.test(text)) return 'needs a program in C'
  if (text.includes('persist_module()')) return "looks into the database of Mosquitto's SQLite plugin"
  return null
}
