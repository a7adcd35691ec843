/**
 * Finds the real peers (other people's MQTT software) that the peer tests run against, or the reason why a test is
 * skipped.
 *
 * Called by the peer tests and fixtures at load time, and by `npm test` to report missing peers. Invariant: with
 * CI=true nothing is skipped silently, a missing peer throws; elsewhere it becomes a `skip` reason that names the
 * Debian package. Looking is cheap (files and one Python import), is done once per process, and installs nothing.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export type PeerName =
  | 'mosquitto'
  | 'mosquitto_pub'
  | 'mosquitto_sub'
  | 'mosquitto_rr'
  | 'mosquitto_ctrl'
  | 'mosquitto_dynamic_security'
  | 'mosquitto_passwd'
  | 'paho-python'
  | 'paho-c'
  | 'aiomqtt'
  | 'chromium'
  | 'cc'
  | 'c++'
  | 'make'
  | 'valgrind'
  | 'arm64-cc'
  | 'qemu-aarch64'
  | 'faketime'
  | 'bash'
  | 'fish'
  | 'zsh'
  | 'lintian'
  | 'mandoc'
  | 'systemd-analyze'
  | 'openssl'
  | 'microsocks'
  | 'suite-python'
  | 'shellcheck'
  | 'jq'
  | 'curl'
  | 'unzip'
  | 'promtool'

interface PeerSource {
  readonly debianPackage: string
  find(): string | null
}

/** Debian package of each peer, and how the peer is found. */
const peers: Readonly<Record<PeerName, PeerSource>> = {
  mosquitto: { debianPackage: 'mosquitto', find: () => findExecutable('mosquitto') },
  mosquitto_pub: { debianPackage: 'mosquitto-clients', find: () => findExecutable('mosquitto_pub') },
  mosquitto_sub: { debianPackage: 'mosquitto-clients', find: () => findExecutable('mosquitto_sub') },
  mosquitto_rr: { debianPackage: 'mosquitto-clients', find: () => findExecutable('mosquitto_rr') },
  mosquitto_ctrl: { debianPackage: 'mosquitto', find: () => findExecutable('mosquitto_ctrl') },
  /** The path is the plugin. */
  mosquitto_dynamic_security: { debianPackage: 'mosquitto', find: () => findLibrary('mosquitto_dynamic_security.so') },
  mosquitto_passwd: { debianPackage: 'mosquitto', find: () => findExecutable('mosquitto_passwd') },
  /** The path is a Python that imports Paho: Debian's own first, because that of a version manager does not have it. */
  'paho-python': { debianPackage: 'python3-paho-mqtt', find: findPahoPython },
  /** aiomqtt under its older name. The path is a Python that imports it. */
  aiomqtt: { debianPackage: 'python3-asyncio-mqtt', find: () => findPython('asyncio_mqtt') },
  /** The path is a C compiler that finds MQTTClient.h. */
  'paho-c': { debianPackage: 'libpaho-mqtt-dev gcc libc6-dev', find: findPahoC },
  cc: { debianPackage: 'gcc libc6-dev', find: findCompiler },
  'c++': { debianPackage: 'g++', find: () => findExecutable('c++') },
  make: { debianPackage: 'make', find: () => findExecutable('make') },
  'arm64-cc': {
    debianPackage: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross',
    find: () => (existsSync('/usr/aarch64-linux-gnu/include/stdio.h') ? findExecutable('aarch64-linux-gnu-gcc') : null),
  },
  'qemu-aarch64': { debianPackage: 'qemu-user', find: () => findExecutable('qemu-aarch64') },
  valgrind: { debianPackage: 'valgrind', find: () => findExecutable('valgrind') },
  /** The path is the library that is preloaded, the one for programs with threads. */
  faketime: { debianPackage: 'faketime', find: findFaketime },
  bash: { debianPackage: 'bash', find: () => findExecutable('bash') },
  fish: { debianPackage: 'fish', find: () => findExecutable('fish') },
  zsh: { debianPackage: 'zsh', find: () => findExecutable('zsh') },
  /** Checks of the Debian package (packaging/deb). */
  lintian: { debianPackage: 'lintian', find: () => findExecutable('lintian') },
  mandoc: { debianPackage: 'mandoc', find: () => findExecutable('mandoc') },
  'systemd-analyze': { debianPackage: 'systemd', find: () => findExecutable('systemd-analyze') },
  openssl: { debianPackage: 'openssl', find: () => findExecutable('openssl') },
  /** A SOCKS5 proxy. */
  microsocks: { debianPackage: 'microsocks', find: () => findExecutable('microsocks') },
  /** The path is a Python with what Mosquitto's own suites import. */
  'suite-python': { debianPackage: 'python3 python3-psutil', find: () => findPython('psutil') },
  /** Checks of the scripts that set up machines (examples/aws). */
  shellcheck: { debianPackage: 'shellcheck', find: () => findExecutable('shellcheck') },
  jq: { debianPackage: 'jq', find: () => findExecutable('jq') },
  curl: { debianPackage: 'curl', find: () => findExecutable('curl') },
  /** Takes Helm out of the package of npm that has it. */
  unzip: { debianPackage: 'unzip', find: () => findExecutable('unzip') },
  /** Checks and evaluates alert rules (packaging/prometheus). */
  promtool: { debianPackage: 'prometheus', find: () => findExecutable('promtool') },
  chromium: { debianPackage: 'chromium', find: () => findExecutable('chromium') },
}

/** Every peer that `findPeer` knows, for a report of those that are there and those that are missing. */
export const peerNames: readonly PeerName[] = Object.keys(peers) as PeerName[]

export type FoundPeer = { readonly path: string } | { readonly skip: string }

const found = new Map<PeerName, FoundPeer>()

/**
 * The peer's executable, or the reason for `test({ skip })`. Throws when CI=true and the peer is missing: continuous
 * integration must not pass by skipping.
 */
export function findPeer(name: PeerName): FoundPeer {
  let result = found.get(name)
  if (result === undefined) {
    const path = peers[name].find()
    result = path === null ? { skip: `${name} is not installed (Debian: ${peers[name].debianPackage})` } : { path }
    found.set(name, result)
  }
  if ('skip' in result && process.env['CI'] === 'true') throw new Error(`CI=true, and ${result.skip}`)
  return result
}

/** `false` when all of them are there, else the first reason: the value of the `skip` option of `node:test`. */
export function skipWithout(...names: PeerName[]): string | false {
  for (const name of names) {
    const peer = findPeer(name)
    if ('skip' in peer) return peer.skip
  }
  return false
}

/** Path of a peer that the caller knows to be there (its tests are skipped otherwise). */
export function peerPath(name: PeerName): string {
  const peer = findPeer(name)
  if ('skip' in peer) throw new Error(peer.skip)
  return peer.path
}

export function findExecutable(name: string): string | null {
  // Debian puts the broker in /usr/sbin, which is on root's PATH only.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/bin']
  for (const folder of folders) {
    if (folder === '') continue
    const path = join(folder, name)
    if (isExecutable(path)) return path
  }
  return null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function findPahoPython(): string | null {
  return findPython('paho.mqtt.client')
}

function findPython(module: string): string | null {
  for (const path of ['/usr/bin/python3', findExecutable('python3')]) {
    if (path === null || !isExecutable(path)) continue
    if (spawnSync(path, ['-c', `import ${module}`], { timeout: 20_000 }).status === 0) return path
  }
  return null
}

function findPahoC(): string | null {
  const headers = ['/usr/include/MQTTClient.h', '/usr/local/include/MQTTClient.h']
  if (!headers.some((header) => existsSync(header))) return null
  return findExecutable('cc') ?? findExecutable('gcc')
}

function findCompiler(): string | null {
  return existsSync('/usr/include/dlfcn.h') ? (findExecutable('cc') ?? findExecutable('gcc')) : null
}

function findFaketime(): string | null {
  return findLibrary('faketime', 'libfaketimeMT.so.1')
}

/** In the folders of libraries, or in one of a kind of machine in them. */
export function findLibrary(...names: readonly string[]): string | null {
  for (const folder of ['/usr/lib', '/usr/local/lib']) {
    if (!existsSync(folder)) continue
    for (const within of ['', ...readdirSync(folder)]) {
      const path = join(folder, within, ...names)
      if (existsSync(path)) return path
    }
  }
  return null
}

/** Debian packages that contain a peer; `npm test` installs them where it may. */
export function debianPackages(name: PeerName): readonly string[] {
  return peers[name].debianPackage.split(' ')
}
