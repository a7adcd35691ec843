/**
 * Coverage: the blocks of the code under test that have run, by V8's own precise coverage, by `node:inspector`, within
 * this process.
 *
 * `fuzz.ts` asks after each batch of inputs. Taking coverage costs milliseconds, so it is taken per batch; only when a
 * batch reached something new its inputs are run again, by halves, to find out which did.
 *
 * V8 reports a block of its own only where its count differs from that of the block around it. So a block has run when
 * the smallest range that contains it has, and the borders of blocks are learnt from those that have not.
 */
import { type Profiler, Session } from 'node:inspector'

/** Block as `file start end`. */
type Block = string

export class Coverage {
  readonly #session: Session = new Session()
  readonly #covers: readonly string[]
  readonly #covered: Set<Block> = new Set()
  /** Blocks that were only met with a count of 0. */
  readonly #missing: Set<Block> = new Set()
  #fresh: Block[] = []

  /** @param covers ends of the paths of the scripts that count */
  constructor(covers: readonly string[]) {
    this.#covers = covers
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Number of blocks that have run so far. */
  get size(): number {
    return this.#covered.size
  }

  /** Returns the blocks that have run since the last call, and never before. */
  take(): readonly Block[] {
    const ranges = this.#look()
    this.#fresh = []
    for (const block of this.#missing) {
      if (hasRun(ranges, block)) this.#note(block)
    }
    for (const [file, functions] of ranges) {
      for (const { ranges: blocks } of functions) {
        for (const { startOffset, endOffset, count } of blocks) {
          const block = `${file} ${startOffset} ${endOffset}`
          if (this.#covered.has(block)) continue
          if (count > 0) this.#note(block)
          else this.#missing.add(block)
        }
      }
    }
    return this.#fresh
  }

  #note(block: Block): void {
    this.#missing.delete(block)
    this.#covered.add(block)
    this.#fresh.push(block)
  }

  /** Returns those of these blocks that run while `action` does. */
  during(action: () => void, blocks: Iterable<Block>): Set<Block> {
    this.#look()
    action()
    const ranges = this.#look()
    return new Set([...blocks].filter((block) => hasRun(ranges, block)))
  }

  /** Returns the functions that have run since the last call. */
  #look(): Map<string, Profiler.FunctionCoverage[]> {
    const ranges = new Map<string, Profiler.FunctionCoverage[]>()
    // The callback comes within the call: the session is in this thread.
    this.#session.post('Profiler.takePreciseCoverage', (error, result) => {
      if (error !== null) throw new Error(`coverage: ${error.message}`)
      for (const script of result.result) {
        const file = this.#covers.find((end) => script.url.endsWith(end))
        if (file !== undefined) ranges.set(file, script.functions)
      }
    })
    return ranges
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }
}

function hasRun(ranges: ReadonlyMap<string, Profiler.FunctionCoverage[]>, block: Block): boolean {
  const [file, from, to] = block.split(' ') as [string, string, string]
  const start = Number(from)
  const end = Number(to)
  let smallest = Number.POSITIVE_INFINITY
  let count = 0
  for (const { ranges: blocks } of ranges.get(file) ?? []) {
    const around = blocks[0]!
    if (around.startOffset > start || around.endOffset < end) continue
    for (const range of blocks) {
      const size = range.endOffset - range.startOffset
      if (range.startOffset <= start && range.endOffset >= end && size <= smallest) {
        smallest = size
        count = range.count
      }
    }
  }
  return count > 0
}
