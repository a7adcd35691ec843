/*
 * `npm run artifacts -- [--out FOLDER] [--repository URL] [--arch amd64|arm64|all|none] [--quick]`: makes everything that
 * a release offers: the tarballs of npm, the Debian packages, a bill of materials (CycloneDX) for each of both kinds,
 * `metadata.json` and `SHA256SUMS`. It publishes nothing.
 *
 * `tools/release.mjs` calls it. `metadata.json` names the commit, the tools and every file, as a statement of provenance
 * needs it. Invariant: SHA256SUMS names every other file of the folder.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { architectures } from '../packaging/lib/architectures.mjs'
import { checkRepository, ensureBuilt, ensureInstalled, root, runTool, ToolError } from './lib/workspace.mjs'
import { buildForPacking, packAll } from './pack.mjs'

const usage = `Usage: npm run artifacts -- [--out FOLDER] [--repository URL] [--arch ARCHITECTURE] [--quick]

  --out FOLDER         where (default: packed/VERSION)
  --repository URL     https address of the public repository, which the packages name
  --arch ARCHITECTURE  ${Object.keys(architectures).join(', ')}, all or none: Debian packages (default: all)
  --quick              compress the Debian packages less
  --help               print this text`

function printed(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64e6 })
  if (error) throw new ToolError(`${command}: ${error.message}`)
  if (status !== 0) throw new ToolError(`${command} ${args.join(' ')}: ${stderr.trim()}`)
  return stdout
}

/**
 * Bill of materials of the program as npm installs it, in CycloneDX. From the lock file: `npm sbom --omit dev` leaves out
 * what is also a development dependency of the workspace, such as `ws`.
 */
export function billOfMaterials() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const components = new Map()
  const dependencies = []
  const resolve = (from, name) => {
    for (
      let folder = from;
      ;
      folder = folder.replace(/(?:^|\/)(?:node_modules\/(?:@[^/]+\/)?[^/]+|packages\/[^/]+)$/, '')
    ) {
      const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
      if (lock[path] !== undefined) return lock[path].link ? lock[path].resolved : path
      if (folder === '') return null
    }
  }
  const add = (path) => {
    const entry = lock[path]
    const name = entry.name ?? path.split('node_modules/').at(-1)
    const ref = `${name}@${entry.version}`
    if (components.has(ref)) return ref
    components.set(ref, component(name, entry))
    const wanted = Object.keys({ ...entry.dependencies, ...entry.optionalDependencies, ...entry.peerDependencies })
    const paths = wanted.map((each) => resolve(path, each)).filter((found) => found !== null)
    dependencies.push({ ref, dependsOn: [...new Set(paths.map(add))].sort() })
    return ref
  }
  const main = add('packages/recado')
  const program = components.get(main)
  components.delete(main)
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { ...program, type: 'application' } },
    components: [...components.values()].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies: dependencies.sort((a, b) => (a.ref < b.ref ? -1 : 1)),
  }
}

function component(name, { version, integrity, license }) {
  const ref = `${name}@${version}`
  return {
    type: 'library',
    name,
    version,
    'bom-ref': ref,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    ...(integrity !== undefined && {
      hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex') }],
    }),
    ...(license !== undefined && { licenses: [{ expression: license }] }),
  }
}

/** The same of the Debian package, which has the runtime too. */
export function withRuntime(bill, architecture) {
  const { runtime } = architectures[architecture]
  const lock = JSON.parse(readFileSync(join(root, 'packaging', 'runtime', 'package-lock.json'), 'utf8')).packages
  const part = { ...component(runtime, lock[`node_modules/${runtime}`]), type: 'platform' }
  return { ...bill, components: [...bill.components, part] }
}

const json = (value) => `${JSON.stringify(value, null, 2)}\n`
const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Makes all files in `out`. Returns their names. */
export async function makeArtifacts({ out, repository, debs, isQuick }) {
  mkdirSync(out, { recursive: true })
  await buildForPacking()
  packAll(out, repository)
  const bill = billOfMaterials()
  writeFileSync(join(out, 'recado.cdx.json'), json(bill))
  if (debs.length > 0) {
    const { buildDeb } = await import('../packaging/deb/build.mjs')
    for (const architecture of debs) {
      await buildDeb(architecture, out, isQuick)
      writeFileSync(join(out, `recado-deb-${architecture}.cdx.json`), json(withRuntime(bill, architecture)))
    }
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const made = readdirSync(out).filter((name) => !['SHA256SUMS', 'metadata.json'].includes(name))
  const files = made.sort().map((name) => {
    const path = join(out, name)
    return { name, bytes: statSync(path).size, sha256: sha256(path) }
  })
  const metadata = {
    version,
    repository: repository ?? null,
    commit: printed('git', ['rev-parse', 'HEAD']).trim(),
    isClean: printed('git', ['status', '--porcelain']).trim() === '',
    node: process.version,
    npm: printed('npm', ['--version']).trim(),
    lockFile: { name: 'package-lock.json', sha256: sha256(join(root, 'package-lock.json')) },
    files,
  }
  writeFileSync(join(out, 'metadata.json'), json(metadata))
  const sums = [...files.map(({ name }) => name), 'metadata.json'].map(
    (name) => `${sha256(join(out, name))}  ${name}\n`,
  )
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
  return [...files.map(({ name }) => name), 'metadata.json', 'SHA256SUMS']
}

async function main() {
  const options = {
    out: { type: 'string' },
    repository: { type: 'string' },
    arch: { type: 'string' },
    quick: { type: 'boolean' },
    help: { type: 'boolean' },
  }
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(usage)
    return
  }
  const { arch = 'all', repository } = values
  if (repository !== undefined) checkRepository(repository)
  const known = Object.keys(architectures)
  if (![...known, 'all', 'none'].includes(arch))
    throw new ToolError(`--arch ${arch}: there is ${known}, all and none`, 2)
  ensureInstalled()
  await ensureBuilt()
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const out = resolve(values.out ?? join('packed', version))
  const debs = arch === 'all' ? known : arch === 'none' ? [] : [arch]
  for (const name of await makeArtifacts({ out, repository, debs, isQuick: values.quick ?? false })) console.log(name)
}

if (import.meta.filename === process.argv[1]) await runTool(main)
