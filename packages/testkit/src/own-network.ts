/**
 * A network of its own for a process that makes network devices: a test file or a program with `Site` or `Namespace`.
 *
 * Import it before anything else, for its effect: as root on Linux it starts the process once more in a network
 * namespace with nothing but loopback, and ends as that one ends. Every program of a network sees devices come and go,
 * and Chromium then breaks off the requests under way (`net::ERR_NETWORK_CHANGED`), among them those of a test that runs
 * beside this one. Where there can be no namespaces it does nothing, and the tests say why they are skipped.
 *
 * Invariant: the second process is asked to end when the first one has ended, however that came.
 */
import { spawnSync } from 'node:child_process'

const MARK = 'RECADO_OWN_NETWORK'
/** Runs the rest of its arguments as the same process, which gets SIGTERM when its parent is gone. */
const WITH_PARENT = ['setpriv', '--pdeathsig', 'TERM'] as const

if (process.platform === 'linux' && process.getuid?.() === 0 && process.env[MARK] === undefined) {
  const inside = (...command: readonly string[]): string[] => ['--net', ...WITH_PARENT, ...command]
  if (spawnSync('unshare', inside('ip', 'link', 'set', 'lo', 'up'), { stdio: 'ignore' }).status === 0) {
    const own = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
    const { error, status, signal } = spawnSync(
      'unshare',
      inside('sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...own),
      { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } },
    )
    if (error !== undefined) throw error
    // A signal has no exit code; the shell's convention would need its number.
    if (signal !== null) process.stderr.write(`ended by ${signal}\n`)
    process.exit(status ?? 1)
  }
}
