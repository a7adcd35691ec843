/**
 * What a crash or bridge run finds, and how far it is, as lines. Findings of one kind are told up to a limit.
 *
 * Used by `run.ts` and `main.ts` here and in `bridge/`.
 */
import { ProgressLine } from '../program.ts'

/** Number of findings of one kind that are told in full. */
const TOLD_MAX = 20

/** A run after one of its rounds. */
export interface RunProgress {
  readonly round: number
  readonly rounds: number
  readonly acknowledged: number
  readonly violations: number
}

export class Findings {
  sessionsLost = 0
  faults = 0
  readonly #counts = new Map<string, number>()
  readonly #round: () => number
  readonly #tell: (text: string) => void

  /** @param round returns the number of the round that the run is in */
  constructor(round: () => number, tell: (text: string) => void = () => {}) {
    this.#round = round
    this.#tell = tell
  }

  add(kind: string, text: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (count <= TOLD_MAX) this.#tell(`round ${this.#round()}: ${text}`)
    else if (count === TOLD_MAX + 1) this.#tell('and more of that kind')
  }

  sessionLost(clientId: string): void {
    this.sessionsLost++
    this.add('session', `${clientId}: the broker has lost its session`)
  }

  fault(text: string): void {
    this.faults++
    this.add('fault', text)
  }
}

/** A run on stderr: its progress, of which every tenth round and the last one stay elsewhere than on a terminal, and its findings. */
export class RunDisplay {
  readonly #line: ProgressLine = new ProgressLine()

  readonly onProgress = ({ round, rounds, acknowledged, violations }: RunProgress): void => {
    const line = `round ${round} of ${rounds}: ${acknowledged} acknowledged, ${violations} violations`
    this.#line.show(line, round % 10 === 0 || round === rounds)
  }

  readonly onFinding = (text: string): void => this.#line.tell(text)

  end(): void {
    this.#line.end()
  }
}
