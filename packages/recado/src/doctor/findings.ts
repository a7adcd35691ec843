/**
 * Findings of `recado doctor`: one line for each check, with a state and what to do, and the text and JSON of them all.
 *
 * The checks add to `Findings`; `doctor.ts` prints them. The invariant: each check has said something when it is over.
 */
import { safeLine } from '../cli/terminal.ts'

/** `fault`: it is broken, or breaks the specification. `warning`: it works, and will bite. `note`: good to know. */
export type State = 'ok' | 'note' | 'warning' | 'fault'

export interface Finding {
  readonly group: string
  readonly state: State
  readonly text: string
  /** Advice on what to do. */
  readonly remedy?: string
  /** Number of the statement of the specification. */
  readonly statement?: string
}

export class Findings {
  readonly all: Finding[] = []
  readonly #onFinding: (finding: Finding) => void

  constructor(onFinding: (finding: Finding) => void) {
    this.#onFinding = onFinding
  }

  add(group: string, state: State, text: string, more: { remedy?: string; statement?: string } = {}): void {
    const finding = { group, state, text, ...more }
    this.all.push(finding)
    this.#onFinding(finding)
  }

  count(state: State): number {
    return this.all.filter((finding) => finding.state === state).length
  }
}

const marks: Record<State, string> = { ok: 'ok', note: 'note', warning: 'WARNING', fault: 'FAULT' }
const colours: Record<State, number> = { ok: 32, note: 36, warning: 33, fault: 31 }

/** Returns lines of a finding. What a server has said is shown without what a terminal would obey. */
export function findingText({ state, text, remedy, statement }: Finding, isColoured: boolean): string {
  const mark = marks[state].padEnd(7)
  const shown = isColoured ? `\x1b[${colours[state]}m${mark}\x1b[0m` : mark
  const behind = statement === undefined ? '' : ` [${statement}]`
  const more = remedy === undefined ? '' : `\n          ${safeLine(remedy)}`
  return `  ${shown} ${safeLine(text)}${behind}${more}\n`
}
