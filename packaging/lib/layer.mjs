/*
 * A layer above a Debian in which a script may spoil everything: an overlay in memory, in namespaces of its own for
 * mounts, processes and network (loopback only).
 *
 * The tests of the packages and of the machines that install them call it. Needs root and Linux. Invariant: nothing
 * outside of the layer changes; what was started in it ends with it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ToolError } from '../../tools/lib/workspace.mjs'

/** Script that mounts a layer over `$2` below `$1`, copies the files in `$4` and following to its /tmp and runs `$3`. */
const insideLayer = `set -e
layer=$1
root=$2
command=$3
shift 3
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" "$layer/merged"
mount -t proc proc "$layer/merged/proc"
mkdir -p "$layer/merged/dev"
mount --rbind /dev "$layer/merged/dev"
mount -t tmpfs tmpfs "$layer/merged/tmp"
mount -t tmpfs tmpfs "$layer/merged/run"
cp "$@" "$layer/merged/tmp/"
ip link set lo up
printf '#!/bin/sh\\nexit 101\\n' > "$layer/merged/usr/sbin/policy-rc.d"
chmod 755 "$layer/merged/usr/sbin/policy-rc.d"
exec chroot "$layer/merged" /bin/sh -c "$command"`

/** Whether this process may make layers. */
export const canLayer =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status === 0

/**
 * Copies `files` to /tmp of a layer above `root` and runs `sh /tmp/FIRST OTHERS`, the first of them with the paths of the
 * others. Returns the exit code, and with `output` 'pipe' what was printed.
 * @param scratch folder in which the layer is mounted
 */
export function runInLayer(root, files, scratch, output = 'inherit') {
  const layer = join(scratch, 'layer')
  mkdirSync(layer, { recursive: true })
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--uts', '--ipc']
  const command = ['exec /bin/sh', ...files.map((path) => `'/tmp/${basename(path)}'`)].join(' ')
  const args = [...namespaces, 'sh', '-c', insideLayer, 'sh', layer, root, command, ...files]
  const { status, error, stdout, stderr } = spawnSync('unshare', args, {
    stdio: ['ignore', output, output],
    encoding: 'utf8',
  })
  if (error) throw new ToolError(`unshare: ${error.message}`)
  return { status: status ?? 1, text: `${stdout ?? ''}${stderr ?? ''}` }
}
