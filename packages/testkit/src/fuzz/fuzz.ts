/**
 * The fuzzer's loop: take an input of the corpus, change it a few times, run it, keep it when it reached something new.
 *
 * Called by `main.ts` and, for a short run, by tests. Deterministic for (target, runs, seed) as long as the code under
 * test is the same: the same line finds the same again. A finding is made smaller before it is reported.
 */
import { Coverage } from './coverage.ts'
import { mutateBytes } from './mutate.ts'
import { Finding, FuzzRandom, type FuzzTarget } from './target.ts'

/** Number of inputs between two looks at the coverage. */
const BATCH = 4_000
/** Number of findings of one run; a broken invariant is mostly found again and again. */
const FINDINGS_MAX = 10
const SHRINK_TRIES = 3_000

export interface FuzzOptions {
  readonly target: FuzzTarget
  readonly runs: number
  readonly seed: number
  /** Whether coverage guides it. Costs about a third of the speed. */
  readonly guided?: boolean
  readonly onProgress?: (done: number, corpus: number, blocks: number) => void
}

export interface FoundInput {
  readonly what: string
  readonly input: Uint8Array
}

export interface FuzzResult {
  readonly runs: number
  readonly seconds: number
  readonly corpus: number
  /** Number of blocks of the code under test that ran; 0 without guidance. */
  readonly blocks: number
  readonly findings: readonly FoundInput[]
  /** Time in milliseconds of the slowest input. */
  readonly slowestMs: number
}

/** Returns the error of `run` for this input, in one line; null when there is none. */
export function verdict(target: FuzzTarget, input: Uint8Array): string | null {
  try {
    target.run(input)
    return null
  } catch (error) {
    if (error instanceof Finding) return error.message
    return error instanceof Error ? `${error.name}: ${error.stack ?? error.message}` : String(error)
  }
}

export function fuzz({ target, runs, seed, guided = true, onProgress }: FuzzOptions): FuzzResult {
  const random = new FuzzRandom(seed)
  const corpus = target.seeds()
  const mutate = target.mutate ?? mutateBytes
  const coverage = guided ? new Coverage(target.covers) : null
  const findings: FoundInput[] = []
  const known = new Set<string>()
  const startedAt = performance.now()
  let slowestMs = 0
  // Most inputs end in an error, and its stack costs more than all the rest. A finding is run again with one.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0

  const note = (what: string, input: Uint8Array): void => {
    const kind = kindOf(what)
    if (known.has(kind) || findings.length >= FINDINGS_MAX) return
    known.add(kind)
    findings.push({ what, input: shrink(target, input, kind, random) })
  }
  const attempt = (input: Uint8Array): void => {
    const from = performance.now()
    const what = verdict(target, input)
    const ms = performance.now() - from
    if (ms > slowestMs) slowestMs = ms
    if (what !== null) {
      Error.stackTraceLimit = stackTraceLimit
      note(verdict(target, input) ?? what, input)
      Error.stackTraceLimit = 0
    } else if (ms > target.inputMsMax) note(`takes ${Math.round(ms)} ms`, input)
  }
  const next = (): Uint8Array => {
    let input = random.pick(corpus)
    for (let changes = 1 + random.below(random.oneIn(4) ? 12 : 3); changes > 0; changes--) {
      const changed = mutate(input, random.pick(corpus), random)
      if (changed.length <= target.inputBytesMax) input = changed
    }
    return input
  }

  for (const input of corpus.slice()) attempt(input)
  coverage?.take()
  const batch: Uint8Array[] = []
  for (let done = 0; done < runs && findings.length < FINDINGS_MAX; ) {
    batch.length = 0
    const size = Math.min(BATCH, runs - done)
    for (let i = 0; i < size; i++) {
      const input = next()
      batch.push(input)
      attempt(input)
    }
    done += size
    const fresh = coverage?.take() ?? []
    if (fresh.length > 0) keepNew(target, batch, fresh, coverage!, corpus)
    onProgress?.(done, corpus.length, coverage?.size ?? 0)
  }
  coverage?.stop()
  Error.stackTraceLimit = stackTraceLimit
  return {
    runs,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    corpus: corpus.length,
    blocks: coverage?.size ?? 0,
    findings,
    slowestMs: Math.round(slowestMs),
  }
}

/** Keeps the inputs of a batch that reached something new, found by halves. */
function keepNew(
  target: FuzzTarget,
  inputs: readonly Uint8Array[],
  fresh: Iterable<string>,
  coverage: Coverage,
  corpus: Uint8Array[],
): Set<string> {
  const reached = coverage.during(() => {
    for (const input of inputs) verdict(target, input)
  }, fresh)
  if (reached.size === 0) return reached
  if (inputs.length === 1) {
    corpus.push(inputs[0]!)
    return reached
  }
  const half = inputs.length >> 1
  const left = keepNew(target, inputs.slice(0, half), reached, coverage, corpus)
  const rest = [...reached].filter((block) => !left.has(block))
  if (rest.length > 0) keepNew(target, inputs.slice(half), rest, coverage, corpus)
  return reached
}

/** Returns the kind of a finding: the text without its numbers and quoted texts. */
function kindOf(what: string): string {
  return what
    .replace(/"[^"]*"/g, '"…"')
    .replace(/\d+/g, 'N')
    .slice(0, 300)
}

/** Shortens an input to one with a finding of the same kind: removes pieces, then sets bytes to 0. */
function shrink(target: FuzzTarget, found: Uint8Array, kind: string, random: FuzzRandom): Uint8Array {
  let input = found
  const isSame = (candidate: Uint8Array): boolean => {
    const what = verdict(target, candidate)
    return what !== null && kindOf(what) === kind
  }
  if (!isSame(input)) return input
  for (let tries = 0; tries < SHRINK_TRIES && input.length > 1; tries++) {
    const longest = Math.max(1, input.length >> random.below(8))
    const at = random.below(input.length)
    const piece = 1 + random.below(longest)
    const candidate = Uint8Array.from([...input.subarray(0, at), ...input.subarray(at + piece)])
    if (isSame(candidate)) input = candidate
  }
  for (let at = 0; at < Math.min(input.length, 2_000); at++) {
    if (input[at] === 0) continue
    const candidate = input.slice()
    candidate[at] = 0
    if (isSame(candidate)) input = candidate
  }
  return input
}
