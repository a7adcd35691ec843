/**
 * Folders in which a suite's tests run: the tests' own files, and programs where they look for those of a build.
 *
 * `run.ts` makes one workspace a run, and a folder in it for each test, so that tests that write files of the same name do not
 * meet. Invariant: nothing outside the workspace is written; `remove` removes it whole.
 */
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SuiteVersion } from './source.ts'

export type SuiteName = 'broker' | 'client' | 'apps'

/** Called by the name of Mosquitto's program, it is that one of 2.1. */
const ownProgram = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))

/** Place of each program in a build, and our command for it. */
const programs: readonly { readonly path: string; readonly name: string; readonly command: string }[] = [
  { path: 'src/mosquitto', name: 'mosquitto', command: '' },
  { path: 'client/mosquitto_pub', name: 'mosquitto_pub', command: 'pub' },
  { path: 'client/mosquitto_sub', name: 'mosquitto_sub', command: 'sub' },
  { path: 'client/mosquitto_rr', name: 'mosquitto_rr', command: 'rr' },
  { path: 'apps/mosquitto_passwd/mosquitto_passwd', name: 'mosquitto_passwd', command: 'passwd' },
  { path: 'apps/mosquitto_ctrl/mosquitto_ctrl', name: 'mosquitto_ctrl', command: 'ctrl' },
  { path: 'apps/mosquitto_signal/mosquitto_signal', name: 'mosquitto_signal', command: 'signal' },
  { path: 'apps/db_dump/mosquitto_db_dump', name: 'mosquitto_db_dump', command: 'db-dump' },
]

/** Folders of the plugins in a build, with the names of their files. */
const plugins: readonly (readonly [folder: string, file: string])[] = [
  ['acl-file', 'mosquitto_acl_file.so'],
  ['dynamic-security', 'mosquitto_dynamic_security.so'],
  ['password-file', 'mosquitto_password_file.so'],
  ['persist-sqlite', 'mosquitto_persist_sqlite.so'],
  ['sparkplug-aware', 'mosquitto_sparkplug_aware.so'],
]

/** Programs of a real Mosquitto, to see what its own suite says here of itself. */
export interface RealPrograms {
  /** Path of a program by its name; null where there is none. */
  find(name: string): string | null
  /** Path of a plugin by its file name; null where there is none. */
  findPlugin(file: string): string | null
}

/** Factor by which a test waits longer for a start than in the source, and six times that for an end: Node starts slower than C, beside other tests above all. */
const PATIENCE = 10

/** Changes to the helper of all tests, where it waits for a broker to start or to fail. */
const patience: readonly (readonly [from: RegExp, to: string])[] = [
  [/for i in range\(0, 20\)/g, `for i in range(0, ${20 * PATIENCE})`],
  [/broker\.wait\(timeout\*10\)/g, `broker.wait(timeout*${60 * PATIENCE})`],
  // The first port that answers is not always the last one that is opened.
  [/^( +)c\.close\(\)$/gm, '$1c.close(); time.sleep(0.3)'],
]

/** Changes to the tests of each suite: where they give a program of C a moment. */
const waits: Readonly<Record<string, readonly (readonly [from: RegExp, to: string])[]>> = {
  // To subscribe.
  client: [[/time\.sleep\(0\.1\)/g, 'time.sleep(4)']],
  broker: [
    // To open a unix socket.
    [/time\.sleep\(0\.1\)/g, 'time.sleep(5)'],
    // To read its files again.
    [/(\w+\.send_signal\(signal\.SIGHUP\))/g, '$1; time.sleep(1)'],
  ],
}

export class Workspace {
  readonly #root: string
  readonly #source: string
  readonly #user: number | null
  /** File with the names that the tests use, of which a machine need not know all. */
  readonly hosts: string

  /**
   * @param source folder of Mosquitto's source
   * @param real programs instead of ours
   * @param user number of the user that runs the tests, when it is another one
   */
  constructor(source: string, version: SuiteVersion, real: RealPrograms | null, user: number | null) {
    this.#source = source
    this.#user = user
    // A short path: tests put sockets into their folder.
    this.#root = mkdtempSync(join(tmpdir(), 'ms-'))
    chmodSync(this.#root, 0o755)
    this.hosts = join(this.#root, 'hosts')
    writeFileSync(this.hosts, '127.0.0.1 localhost\n::1 localhost ip6-localhost\n')
    for (const program of programs) {
      const path = join('build', program.path)
      if (real !== null) {
        const found = real.find(program.name)
        if (found !== null) this.#link(path, found)
      } else if (version === '2.1') this.#link(path, ownProgram)
      else
        this.#write(
          path,
          `#!/bin/sh\nexec ${process.execPath} ${ownProgram} ${program.command} --as-mosquitto ${version} "$@"\n`,
        )
    }
    for (const [folder, file] of plugins) {
      const path = join('build', 'plugins', folder, file)
      const library = real?.findPlugin(file) ?? null
      if (library === null) this.#write(path, 'Recado knows it by its name.\n')
      else this.#link(path, library)
    }
  }

  /**
   * Makes the folder for one test, without the other tests, and returns the folder to start it in. @param folder of the test below
   * `test/` @param caseName its name @param name of the folder to make
   */
  folderFor(folder: string, caseName: string, name: string): string {
    const own = join(this.#root, name)
    const test = join(own, 'test')
    mkdirSync(test, { recursive: true })
    for (const each of ['src', 'client', 'apps', 'plugins'])
      symlinkSync(join(this.#root, 'build', each), join(own, each))
    const from = join(this.#source, 'test')
    for (const file of readdirSync(from)) {
      if (!file.endsWith('.py')) continue
      let text = readFileSync(join(from, file), 'utf8')
      if (file === 'mosq_test.py') for (const [pattern, to] of patience) text = text.replaceAll(pattern, to)
      writeFileSync(join(test, file), text)
    }
    symlinkSync(join(from, 'ssl'), join(test, 'ssl'))
    const [top = ''] = folder.split('/')
    // A part that several tests start is called -helper or -core.
    const isOther = (file: string): boolean => /^\d\d-.*(?<!-helper|-core)\.py$/.test(file) && file !== `${caseName}.py`
    cpSync(join(from, top), join(test, top), { recursive: true, filter: (path) => !isOther(basename(path)) })
    for (const [pattern, to] of waits[top] ?? []) addPatience(join(test, top), pattern, to)
    if (this.#user !== null) chownAll(own, this.#user)
    return join(test, folder)
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true })
  }

  #link(path: string, to: string): void {
    const full = join(this.#root, path)
    mkdirSync(dirname(full), { recursive: true })
    symlinkSync(to, full)
  }

  #write(path: string, text: string): void {
    const full = join(this.#root, path)
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, text)
    chmodSync(full, 0o755)
  }
}

/** Changes the tests in a folder. */
function addPatience(folder: string, pattern: RegExp, to: string): void {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.py'))) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    const changed = text.replaceAll(pattern, to)
    if (changed !== text) writeFileSync(path, changed)
  }
}

function chownAll(folder: string, user: number): void {
  chownSync(folder, user, user)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) chownAll(path, user)
    else if (entry.isFile()) chownSync(path, user, user)
  }
}
