/*
 * Everything that is in the Debian package: the application with its runtime, the files of `files/`, manual pages,
 * completions, copyright, changelog, and the control files.
 *
 * `build.mjs` calls it when the program is compiled. Invariant: every file has the mode that it has when installed; its
 * owner is root (`dpkg-deb --root-owner-group`).
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { mosquittoPrograms } from '../../packages/recado/dist/commands.js'
import { root, ToolError } from '../../tools/lib/workspace.mjs'
import { assembleApplication } from '../lib/application.mjs'
import { architectures } from '../lib/architectures.mjs'
import { manualPages } from '../lib/manual-pages.mjs'
import { unpackFromRegistry } from '../lib/registry.mjs'
import { copyrightFile } from './copyright.mjs'

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
/** Version as Debian orders it: a pre-release comes before its release. */
export const debVersion = version.replace('-', '~')

const here = import.meta.dirname
const home = '/usr/lib/recado'
const program = `${home}/node_modules/recado/bin/recado.js`
const maintainer = 'Recado <recado@example.com>'
const runtimeLock = () => JSON.parse(readFileSync(join(root, 'packaging', 'runtime', 'package-lock.json'), 'utf8'))

/** Places of the files in `files/`, with their modes. */
const places = {
  'recado.conf': ['etc/recado/recado.conf', 0o644],
  'conf.d-README': ['etc/recado/conf.d/README', 0o644],
  'recado.logrotate': ['etc/logrotate.d/recado', 0o644],
  'recado.service': ['usr/lib/systemd/system/recado.service', 0o644],
  'recado.socket': ['usr/lib/systemd/system/recado.socket', 0o644],
  'lintian-overrides': ['usr/share/lintian/overrides/recado', 0o644],
  'certbot-hook': ['usr/lib/recado/certbot-hook', 0o755],
  'README.Debian': ['usr/share/doc/recado/README.Debian', 0o644],
  control: ['DEBIAN/control', 0o644],
  conffiles: ['DEBIAN/conffiles', 0o644],
  triggers: ['DEBIAN/triggers', 0o644],
  postinst: ['DEBIAN/postinst', 0o755],
  prerm: ['DEBIAN/prerm', 0o755],
  postrm: ['DEBIAN/postrm', 0o755],
}

function put(folder, path, text, mode = 0o644) {
  const target = join(folder, path)
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
  chmodSync(target, mode)
}

/** Without a name and a time inside, so that the same text gives the same bytes. */
const compressed = (text) => gzipSync(text, { level: 9 })

function addRuntime(folder, architecture, date) {
  const { runtime } = architectures[architecture]
  const entry = runtimeLock().packages[`node_modules/${runtime}`]
  const scratch = mkdtempSync(join(tmpdir(), 'recado-runtime-'))
  try {
    unpackFromRegistry(runtime, entry, scratch, ['bin/node', 'LICENSE'])
    const target = join(folder, home, 'node')
    mkdirSync(dirname(target), { recursive: true })
    cpSync(join(scratch, 'bin', 'node'), target)
    chmodSync(target, 0o755)
    return { name: 'node', version: entry.version, licenseText: readFileSync(join(scratch, 'LICENSE'), 'utf8'), date }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function completion(shell) {
  const script = join(root, 'packages', 'recado', 'bin', 'recado.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, 'completion', shell], { encoding: 'utf8' })
  if (status !== 0) throw new ToolError(`recado completion ${shell}: ${stderr.trim()}`)
  return stdout
}

/** Changelog of the package; its entries are those of CHANGELOG.md, which is beside it. */
function debianChangelog(date) {
  const when = `${date.toUTCString().replace('GMT', '+0000')}`
  return `recado (${debVersion}) unstable; urgency=medium\n\n  * Version ${version}: see CHANGELOG.md.gz in this folder.\n\n -- ${maintainer}  ${when}\n`
}

/** Fills the folder of which `dpkg-deb --build` makes the package. */
export async function fillPackage(folder, architecture, date) {
  const parts = await assembleApplication(join(folder, home), architecture, `${home}/node`)
  const runtime = addRuntime(folder, architecture, date)
  mkdirSync(join(folder, 'usr/bin'), { recursive: true })
  symlinkSync(relative('/usr/bin', program), join(folder, 'usr/bin/recado'))
  // Called by such a name the program is that tool (`recado link`); postinst makes the names alternatives.
  mkdirSync(join(folder, home, 'names'))
  for (const { mosquitto, name } of mosquittoPrograms) {
    if (name !== '') symlinkSync(relative(`${home}/names`, program), join(folder, home, 'names', mosquitto))
  }
  for (const [path, text] of await manualPages(version, date.toISOString().slice(0, 10))) {
    put(folder, `usr/share/man/man${path.at(-1)}/${path}.gz`, compressed(text))
  }
  put(folder, 'usr/share/bash-completion/completions/recado', completion('bash'))
  put(folder, 'usr/share/zsh/vendor-completions/_recado', completion('zsh'))
  put(folder, 'usr/share/fish/vendor_completions.d/recado.fish', completion('fish'))
  put(folder, 'usr/share/doc/recado/CHANGELOG.md.gz', compressed(readFileSync(join(root, 'CHANGELOG.md'))))
  put(folder, 'usr/share/doc/recado/changelog.gz', compressed(debianChangelog(date)))
  put(folder, 'usr/share/doc/recado/copyright', copyrightFile(runtime, parts))
  const words = { version: debVersion, architecture, maintainer, program, size: '' }
  words.notify = architectures[architecture].datagrams === null ? 'all' : 'main'
  words.lmdb = architectures[architecture].lmdb
  for (const [name, [path, mode]] of Object.entries(places)) {
    if (name === 'control') continue
    put(folder, path, fill(readFileSync(join(here, 'files', name), 'utf8'), words), mode)
  }
  setModes(folder)
  const installed = filesIn(folder).filter((path) => !path.startsWith('DEBIAN/'))
  words.size = String(Math.ceil(installed.reduce((sum, path) => sum + lstatSync(join(folder, path)).size, 0) / 1024))
  const [path, mode] = places.control
  put(folder, path, fill(readFileSync(join(here, 'files', 'control'), 'utf8'), words), mode)
  const sums = installed.filter((path) => lstatSync(join(folder, path)).isFile() && !path.startsWith('etc/'))
  const sum = (path) =>
    createHash('md5')
      .update(readFileSync(join(folder, path)))
      .digest('hex')
  put(folder, 'DEBIAN/md5sums', sums.map((path) => `${sum(path)}  ${path}\n`).join(''))
}

const fill = (text, words) => text.replace(/@([a-z]+)@/g, (whole, word) => words[word] ?? whole)

function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

const executables =
  /^(?:usr\/lib\/recado\/(?:node|certbot-hook|node_modules\/recado\/bin\/recado\.js)|DEBIAN\/(?:post|pre)(?:inst|rm))$/

/** Folders are 0755 and files 0644 or 0755, whatever the umask of the builder and the modes in npm's tarballs. */
function setModes(folder) {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) chmodSync(path, 0o755)
    else if (entry.isFile()) chmodSync(path, executables.test(relative(folder, path)) ? 0o755 : 0o644)
  }
  chmodSync(folder, 0o755)
}
