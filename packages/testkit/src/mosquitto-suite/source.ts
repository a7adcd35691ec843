/**
 * The source of Mosquitto, with its test suites, as Debian's source packages have it.
 *
 * `workspace.ts` runs the suites from it; nothing of it is in this repository. It is downloaded by apt from where apt's own
 * `mosquitto` comes from, checked by its SHA-256 and unpacked into `.cache/`. Invariant: what is used is what was checked.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type SuiteVersion = '2.0' | '2.1'

interface Release {
  readonly release: string
  readonly sha256: string
}

const releases: Readonly<Record<SuiteVersion, Release>> = {
  '2.0': { release: '2.0.11', sha256: '7b36a7198bce85cf31b132f5c6ee36dcf5dadf86fb768501eb1e11ce95d4f78a' },
  '2.1': { release: '2.1.2', sha256: 'a8e37cc4c1d4141e56c5a8729c5fa36b1f0b1ca95378a12131d68f0509de122a' },
}

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const cache = join(root, '.cache', 'mosquitto-suite')
/** Age at which the certificates of the suites are made anew: their revocation lists are good for 30 days. */
const CERTIFICATES_AGE_MS = 14 * 24 * 3_600_000

/** Error: the source cannot be had; `message` says why and what to do. */
export class SourceError extends Error {}

/** Folder of the unpacked source, which has `test/`. @throws SourceError */
export function sourceOf(version: SuiteVersion): string {
  const { release, sha256 } = releases[version]
  const folder = join(cache, release)
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    const archive = join(cache, `mosquitto_${release}.orig.tar.gz`)
    if (!existsSync(archive)) download(release, sha256, archive)
    const actual = createHash('sha256').update(readFileSync(archive)).digest('hex')
    if (actual !== sha256) throw new SourceError(`${archive} has SHA-256 ${actual}, not ${sha256}: delete it`)
    unpack(archive, folder)
  }
  renewCertificates(join(folder, 'test', 'ssl'))
  return folder
}

function download(release: string, sha256: string, archive: string): void {
  const what = `The source of Mosquitto ${release} cannot be had`
  const pool = poolFolder()
  if (pool === null) {
    throw new SourceError(
      `${what}: \`apt-get --print-uris download mosquitto\` names no place. Run \`apt-get update\` on a Debian or Ubuntu, ` +
        `or put mosquitto_${release}.orig.tar.gz into ${cache}`,
    )
  }
  const uri = `${pool}/mosquitto_${release}.orig.tar.gz`
  const result = apt('/usr/lib/apt/apt-helper', 'download-file', uri, archive, `SHA256:${sha256}`)
  if (result.status === 0) return
  throw new SourceError(
    `${what} from ${uri}: ${lastLine(result.stderr)}. Put mosquitto_${release}.orig.tar.gz of Debian's source package into ${cache}`,
  )
}

/** Folder of the archive from which apt takes the package mosquitto, or null. */
function poolFolder(): string | null {
  for (const isUpdated of [false, true]) {
    if (isUpdated && (process.getuid?.() !== 0 || process.env['RECADO_TEST_INSTALL'] === '0')) return null
    if (isUpdated) apt('apt-get', '-q', 'update')
    const uri = /'([^']+)\/[^/']+\.deb'/.exec(apt('apt-get', '--print-uris', 'download', 'mosquitto').stdout ?? '')
    if (uri !== null) return uri[1]!
  }
  return null
}

const apt = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 })

const lastLine = (text: string | null): string => (text ?? '').trim().split('\n').at(-1) ?? ''

/** Unpacks the archive's one folder as `folder`, whole or not at all. */
function unpack(archive: string, folder: string): void {
  const temporary = mkdtempSync(join(cache, 'unpack-'))
  try {
    run('tar', ['-xzf', archive, '-C', temporary, '--no-same-owner'])
    const [name = ''] = readdirSync(temporary)
    renameSync(join(temporary, name), folder)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Runs the suites' own script: the certificates in the source of 2.0 ended in 2025. */
function renewCertificates(folder: string): void {
  const made = join(folder, '.made')
  if (existsSync(made) && Date.now() - statSync(made).mtimeMs < CERTIFICATES_AGE_MS) return
  run('sh', ['gen.sh'], folder)
  run('sh', ['-c', 'chmod a+r ./*.key && touch .made'], folder)
}

function run(command: string, args: readonly string[], cwd: string = dirname(cache)): void {
  const { status, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  if (status !== 0) throw new SourceError(`${command} ${args.join(' ')}: ${error?.message ?? lastLine(stderr)}`)
}
