/**
 * Builds an example in C or assembly with its own Makefile into a folder of its own, for one test file.
 *
 * Called by the tests in this folder. Invariant: nothing is written into the checkout, and the folder is gone after
 * `remove`.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { peerPath } from '../peers/find.ts'

const examples = new URL('../../../../examples/', import.meta.url)

/** Path of a file or folder in `examples`. */
export function examplePath(path: string): string {
  return fileURLToPath(new URL(path, examples))
}

/** Folder with the programs of one example. */
export class BuiltExample {
  readonly #folder: string

  /** Runs `make OUT=folder targets…` in `examples/name`; rejects with the compiler's words when it fails. */
  static async make(name: string, ...targets: readonly string[]): Promise<BuiltExample> {
    const built = new BuiltExample(mkdtempSync(join(tmpdir(), `recado-example-${name.replaceAll('/', '-')}-`)))
    try {
      const args = ['--silent', '-j2', '-C', examplePath(name), `OUT=${built.#folder}`, ...targets]
      await promisify(execFile)(peerPath('make'), args)
    } catch (error) {
      built.remove()
      throw error
    }
    return built
  }

  private constructor(folder: string) {
    this.#folder = folder
  }

  program(name: string): string {
    return join(this.#folder, name)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
