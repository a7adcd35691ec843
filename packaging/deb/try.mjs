/*
 * `npm run deb:try -- [--arch ARCHITECTURE] [--root FOLDER | --debootstrap] [--systemd]`: installs the package in a
 * Debian, starts, upgrades, removes and purges it (`try.sh` has the steps).
 *
 * The Debian is this one, on a layer above it that is thrown away, unless --root names one (debootstrap's) or
 * --debootstrap makes one; another architecture runs under qemu-user-static. With --systemd it is booted in
 * systemd-nspawn. Needs root and Linux: everything runs in namespaces of its own, without network.
 *
 * Invariant: nothing outside of the layer changes; what was started ends with this process.
 */
import { spawn, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBuilt, ensureInstalled, run, runTool, ToolError } from '../../tools/lib/workspace.mjs'
import { architectures, ownArchitecture } from '../lib/architectures.mjs'
import { runInLayer } from '../lib/layer.mjs'
import { buildDeb } from './build.mjs'

const usage = `Usage: npm run deb:try -- [--arch ARCHITECTURE] [--root FOLDER | --debootstrap] [--systemd] [--deb FILE]

  --arch ARCHITECTURE  ${Object.keys(architectures).join(' or ')} (default: that of this machine)
  --root FOLDER        a Debian of debootstrap's, which is left as it is
  --debootstrap        make one, of Debian 12, from the archive that apt uses here
  --systemd            boot it (systemd-container; the Debian needs systemd)
  --deb FILE           a package that is there already
  --help               print this text`

/** Copy of a package with a version that comes after it. */
export function successor(deb, folder) {
  const unpacked = join(folder, 'successor')
  const quiet = { stdio: ['ignore', 'ignore', 2] }
  run('dpkg-deb', ['-R', deb, unpacked], { what: 'dpkg-deb -R', ...quiet })
  const control = join(unpacked, 'DEBIAN', 'control')
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: (.*)$/m, 'Version: $1+next'))
  const configuration = join(unpacked, 'etc', 'recado', 'recado.conf')
  writeFileSync(configuration, `${readFileSync(configuration, 'utf8')}# changed in the new version\n`)
  const path = join(folder, 'recado-next.deb')
  run('dpkg-deb', ['--root-owner-group', '-Znone', '-b', unpacked, path], {
    what: 'dpkg-deb -b',
    ...quiet,
  })
  rmSync(unpacked, { recursive: true })
  return path
}

/** Archive of Debian that apt uses here. */
function archive() {
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI)'], { encoding: 'utf8' })
  const found = (stdout ?? '').split('\n').find((line) => /\/debian\/?$/.test(line))
  if (found === undefined) throw new ToolError('apt has no archive of Debian here: give --root')
  return found
}

/** Checks that a program of another architecture runs here. */
function needQemu({ qemu }) {
  if (qemu === null || existsSync(join('/proc/sys/fs/binfmt_misc', qemu))) return
  throw new ToolError(
    `${qemu} is not registered with the kernel: install qemu-user-static and start systemd-binfmt (or mount binfmt_misc and write /usr/lib/binfmt.d/${qemu}.conf to its register)`,
  )
}

/** Runs the steps on a layer above `root`. Returns what `runInLayer` does. */
export const tryIn = (root, first, second, scratch, output = 'inherit') =>
  runInLayer(root, [join(import.meta.dirname, 'try.sh'), first, second], scratch, output)

/** Boots `root` and runs the steps there. Resolves with the exit code, as `tryIn`. */
async function tryBooted(root, first, second, scratch) {
  const target = join(scratch, 'booted')
  run('cp', ['-a', '--one-file-system', root, target])
  for (const path of [join(import.meta.dirname, 'try.sh'), first, second]) {
    copyFileSync(path, join(target, 'root', basename(path)))
  }
  const unit = `[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nEnvironment=RECADO_SYSTEMD=1\nStandardOutput=file:/root/result\nStandardError=file:/root/result\nExecStart=/bin/sh -c 'sh /root/try.sh /root/${basename(first)} /root/${basename(second)}; echo "exit code $?"; systemctl poweroff --no-block'\n`
  writeFileSync(join(target, 'etc/systemd/system/try.service'), unit)
  mkdirSync(join(target, 'etc/systemd/system/graphical.target.wants'), { recursive: true })
  symlinkSync('../try.service', join(target, 'etc/systemd/system/graphical.target.wants/try.service'))
  const args = ['-q', '-D', target, '--private-network', '--register=no', '--keep-unit', '--boot']
  const child = spawn('systemd-nspawn', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise((done, failed) => {
    child.on('exit', done)
    child.on('error', (error) => failed(new ToolError(`systemd-nspawn: ${error.message}`)))
  })
  const result = join(target, 'root', 'result')
  const text = existsSync(result) ? readFileSync(result, 'utf8') : 'It did not boot.\n'
  process.stdout.write(text)
  return { status: /^exit code 0$/m.test(text) ? 0 : 1 }
}

async function main() {
  const options = {
    ...{ arch: { type: 'string' }, root: { type: 'string' }, debootstrap: { type: 'boolean' } },
    ...{ systemd: { type: 'boolean' }, deb: { type: 'string' }, help: { type: 'boolean' } },
  }
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(usage)
    return
  }
  const architecture = values.arch ?? ownArchitecture
  const known = architectures[architecture]
  if (known === undefined) throw new ToolError(`--arch ${architecture}: there is ${Object.keys(architectures)}`, 2)
  if (process.platform !== 'linux' || process.getuid() !== 0) throw new ToolError('This needs Linux and root')
  if (architecture !== ownArchitecture) needQemu(known)
  if (architecture !== ownArchitecture && !values.root && !values.debootstrap) {
    throw new ToolError(`--arch ${architecture} needs --root or --debootstrap: this Debian is of ${ownArchitecture}`, 2)
  }
  ensureInstalled()
  await ensureBuilt()
  const scratch = mkdtempSync(join(tmpdir(), 'recado-try-'))
  try {
    const first = values.deb ? resolve(values.deb) : await buildDeb(architecture, scratch, true)
    let root = values.root ? resolve(values.root) : '/'
    if (values.debootstrap) {
      root = join(scratch, 'debian')
      const include = values.systemd ? ['--include=systemd,systemd-sysv,dbus,logrotate,procps'] : ['--include=procps']
      run('debootstrap', ['--variant=minbase', `--arch=${architecture}`, ...include, 'bookworm', root, archive()])
    }
    const steps = values.systemd ? tryBooted : tryIn
    const { status } = await steps(root, first, successor(first, scratch), scratch)
    process.exitCode = status
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

if (import.meta.filename === process.argv[1]) await runTool(main)
