/**
 * The real programs that peer tests run against, and whether this machine has them.
 *
 * One table, `peers`, says what each is, how it is found and which Debian package brings it. `tools/test.mjs` installs
 * from it; a test asks `peer('mosquitto_pub')` and passes `skip` to node:test.
 *
 * The invariant: a peer test never passes for want of its peer. It is skipped with a reason, or, with CI=true, fails.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export type PeerName = 'mosquitto' | 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr' | 'paho-python' | 'paho-c'

export interface PeerSpec {
  /** For people. */
  readonly what: string
  /** What Debian calls the packages that bring it. */
  readonly debian: readonly string[]
  /** Path of the program to run (for a library: of its interpreter or compiler), or null. */
  readonly find: () => string | null
}

export interface Peer {
  readonly name: PeerName
  /** The program to run; '' when there is none. For `paho-python` a Python that can import it, for `paho-c` a compiler. */
  readonly path: string
  /** For the `skip` option of node:test: false, or why not. */
  readonly skip: false | string
}

/** First executable file of that name on the PATH, or where Debian puts daemons (not on everyone's PATH). */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders) {
    if (folder === '') continue
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      // Not here: look in the next folder.
    }
  }
  return null
}

const runs = (program: string, args: string[], input = ''): boolean =>
  spawnSync(program, args, { input, stdio: ['pipe', 'ignore', 'ignore'], timeout: 60_000 }).status === 0

function findPython(): string | null {
  // Debian's modules belong to Debian's Python, which another one may hide on the PATH.
  for (const python of [findProgram('python3'), '/usr/bin/python3']) {
    if (python !== null && runs(python, ['-c', 'import paho.mqtt.client'])) return python
  }
  return null
}

function findPahoC(): string | null {
  const compiler = findProgram('cc') ?? findProgram('gcc')
  if (compiler === null) return null
  // Links as well as compiles: the header alone does not make a client.
  const source =
    '#include <stdlib.h>\n#include <MQTTClient.h>\nint main(void) { return MQTTClient_getVersionInfo() == 0; }\n'
  return runs(compiler, ['-x', 'c', '-', '-lpaho-mqtt3c', '-o', '/dev/null'], source) ? compiler : null
}

export const peers: Readonly<Record<PeerName, PeerSpec>> = {
  mosquitto: { what: "Mosquitto's broker", debian: ['mosquitto'], find: () => findProgram('mosquitto') },
  mosquitto_pub: { what: 'mosquitto_pub', debian: ['mosquitto-clients'], find: () => findProgram('mosquitto_pub') },
  mosquitto_sub: { what: 'mosquitto_sub', debian: ['mosquitto-clients'], find: () => findProgram('mosquitto_sub') },
  mosquitto_rr: { what: 'mosquitto_rr', debian: ['mosquitto-clients'], find: () => findProgram('mosquitto_rr') },
  'paho-python': { what: 'Paho for Python', debian: ['python3-paho-mqtt'], find: findPython },
  'paho-c': { what: 'Paho for C and a C compiler', debian: ['libpaho-mqtt-dev', 'gcc', 'libc6-dev'], find: findPahoC },
}

const found = new Map<PeerName, string | null>()

/** Path of a peer's program, or null. Looks once for each peer and process. */
export function findPeer(name: PeerName): string | null {
  let path = found.get(name)
  if (path === undefined) {
    path = peers[name].find()
    found.set(name, path)
  }
  return path
}

/**
 * A peer for a test: `const sub = peer('mosquitto_sub')`, then `test('...', { skip: sub.skip }, ...)` and `sub.path`.
 * @throws Error when the peer is missing and CI=true, so that a missing peer is a failure there.
 */
export function peer(name: PeerName): Peer {
  const path = findPeer(name)
  if (path !== null) return { name, path, skip: false }
  const reason = `${peers[name].what} is not installed (Debian: ${peers[name].debian.join(' ')})`
  if (process.env['CI'] === 'true') throw new Error(`${reason}, and CI=true asks for all peers`)
  return { name, path: '', skip: reason }
}
