/** A command as a shell needs it: what the scripts of `recado completion` are made of. */
import type { Completion, OptionRow } from '../command-table.ts'

/** Command as a shell needs it. */
export interface CompletedCommand {
  /** Name as it is typed behind `recado`; the broker's is empty. */
  readonly name: string
  /** Second word, as in `acl check`; null when there is none. */
  readonly second: string | null
  /** Mosquitto's program that it stands for; null when there is none. */
  readonly mosquitto: string | null
  readonly does: string
  readonly options: readonly OptionRow[]
  /** Operands, in their order. */
  readonly operands: readonly { readonly name: string; readonly completes?: Completion }[]
}

/** First line of help, for a list. */
export const shortHelp = ({ help }: OptionRow): string => help.split('\n')[0]!
