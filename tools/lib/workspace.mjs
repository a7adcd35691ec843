/*
 * The checkout as the tools see it: its root, whether its packages are installed and built, and how to install and
 * build them; what the tools have in common. Plain Node, no dependency: it runs before anything is installed.
 *
 * Everything that a child process prints goes to stderr, so that stdout stays the program's own.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Folders in `packages` of what is published, each after those that it needs. */
export const published = ['protocol', 'client', 'broker', 'admin', 'recado']

/** Error for a failure that one line explains; the tools print `message` and exit with `exitCode`. */
export class ToolError extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Runs the `main` of a tool. Prints what is wrong, with a stack only for a fault of the tool; sets the exit code. */
export async function runTool(main) {
  try {
    await main()
  } catch (error) {
    const isUsage = String(error.code).startsWith('ERR_PARSE_ARGS')
    console.error(error instanceof ToolError || isUsage ? error.message : error)
    process.exitCode = isUsage ? 2 : error instanceof ToolError ? error.exitCode : 1
  }
}

/** Throws unless `url`, the value of --repository, is the https address of a repository. */
export function checkRepository(url) {
  if (!/^https:\/\//.test(url ?? ''))
    throw new ToolError('--repository must be an https URL, such as https://HOST/OWNER/recado', 2)
}

/** Runs a command to its end, its output on stderr. Throws ToolError when it fails. */
export function run(command, args, options = {}) {
  const { what = command, ...rest } = options
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...rest })
  if (result.error) throw new ToolError(`${what}: ${result.error.message}`)
  if (result.signal) throw new ToolError(`${what} was ended by ${result.signal}`, 130)
  if (result.status !== 0) throw new ToolError(`${what} failed`, result.status ?? 1)
}

/** Runs the npm that runs us, or the one on the PATH. */
function npm(args, what) {
  const script = process.env.npm_execpath
  if (script && /\.c?js$/.test(script)) run(process.execPath, [script, ...args], { what })
  else run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { what, shell: process.platform === 'win32' })
}

/**
 * Reason why the installed packages are not those of package-lock.json, or null when they are. Compares contents, not
 * times: a `git checkout` changes times, an `npm install` by hand leaves no mark of ours.
 * @param dev false: without packages for development
 */
export function installNeeded(folder = root, { dev = true } = {}) {
  const installedPath = join(folder, 'node_modules', '.package-lock.json')
  if (!existsSync(installedPath)) return 'nothing is installed yet'
  const wanted = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') || entry.optional || entry.peer) continue
    if (!dev && entry.dev) continue
    const name = path.slice('node_modules/'.length)
    if (!existsSync(join(folder, path))) return `${name} is missing`
    if (!entry.link && installed[path]?.version !== entry.version) return `${name} is not at version ${entry.version}`
  }
  return null
}

/** Runs `npm ci` when needed. */
export function ensureInstalled() {
  const reason = installNeeded()
  if (reason === null) return
  console.error(`Installing packages (${reason}) ...`)
  npm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci')
}

/** Runs `tsc -b`, bundles the dashboard and the program: incremental, so this is quick when nothing changed. */
export async function ensureBuilt() {
  if (!existsSync(join(root, 'packages', 'recado', 'dist', 'main.js'))) console.error('Building ...')
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], { what: 'The build' })
  const { ensureBundle } = await import('./bundle.mjs')
  await ensureBundle()
}

/** All files below a folder, as paths relative to the root with `/`; skips what is installed or generated. */
export function filesBelow(folder, base = root) {
  const skipped = new Set(['node_modules', 'dist', 'bundle', '.git', '.cache', '.pages'])
  const found = []
  const walk = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (skipped.has(entry.name)) continue
      const path = join(directory, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) found.push(relative(base, path).split(sep).join('/'))
    }
  }
  if (existsSync(join(base, folder))) walk(join(base, folder))
  return found.sort()
}
