/** A broker in the process of its test, whose configuration is written and read again (SIGHUP). */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { main } from '../main.ts'
import { TestIo, temporaryFolder } from './program.ts'

/** A broker in this process whose configuration a test writes, and writes again. */
export class Reloaded {
  readonly folder: string
  readonly io: TestIo = new TestIo()
  readonly #file: string
  #code: Promise<number> | null = null

  constructor(context: TestContext) {
    this.folder = temporaryFolder(context)
    this.#file = join(this.folder, 'recado.conf')
    context.after(() => this.stop())
  }

  write(text: string): void {
    writeFileSync(this.#file, `${text}persistence_location ${this.folder}/data\n`)
  }

  async start(text: string): Promise<void> {
    this.write(text)
    this.#code = main(['-c', this.#file], this.io)
    await this.io.until(() => /running\n/.test(this.io.err))
  }

  /** SIGHUP with another configuration; resolves with what is logged about it, from the first line to the one that says how it ended. */
  async reload(text: string): Promise<string> {
    this.write(text)
    const before = this.io.err.length
    this.io.signals.emit('SIGHUP')
    const said = (): string => this.io.err.slice(before)
    await this.io.until(() => /SIGHUP: .*(?:recado\.conf read again|stays as it was, whole)/.test(said()))
    return said()
  }

  async stop(): Promise<void> {
    if (this.#code === null) return
    this.io.signals.emit('SIGTERM')
    assert.equal(await this.#code, 0)
    this.#code = null
  }
}
