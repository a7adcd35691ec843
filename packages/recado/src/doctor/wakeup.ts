/** A wait that ends when something has come, or after a time: for connections on which packets are read one by one. */
export class Wakeup {
  #resolve: () => void = () => {}

  /** Ends the wait of the one who waits. */
  wake(): void {
    this.#resolve()
  }

  /** Resolves when `wake` is called, and after so many milliseconds at the latest. */
  async wait(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#resolve = resolve
      timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}
