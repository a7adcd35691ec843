/**
 * Checker `internal`: nothing in the broker throws, whether it is contained or not, and no row of its store is damaged.
 *
 * What a process throws that has crashed meanwhile is no fault: it does not exist any more.
 */
export class ExceptionChecker {
  readonly #fail: (text: string) => void

  /** @param fail reports a violation of this checker */
  constructor(fail: (text: string) => void) {
    this.#fail = fail
  }

  /** Runs a piece of the broker, and reports what it throws. */
  guard(isDead: () => boolean, callback: () => void): void {
    if (isDead()) return
    try {
      callback()
    } catch (error) {
      if (!isDead()) this.failed('the broker throws', error)
    }
  }

  /** The broker, or a hook, has failed; `where` says which part. */
  failed(where: string, error: unknown): void {
    this.#fail(`${where}: ${(error as Error).stack ?? String(error)}`)
  }

  /** A row of the store cannot be read. */
  damaged(table: number, row: number, error: unknown): void {
    this.#fail(`row ${row} of table ${table}: ${String(error)}`)
  }
}
