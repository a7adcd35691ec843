/**
 * Rows of the tables of options of `recado pub`, `sub` and `rr`: what a row is, and the makers of the common kinds.
 *
 * `connection-options.ts` and `message-options.ts` have the rows; `mosquitto-options.ts` parses with them, `pub-command.ts` and its like make
 * help and completion of them.
 */
import type { OptionRow } from '../command-table.ts'
import type { Manner } from './manner.ts'
import type { TlsArguments, Tool, ToolOptions } from './tool-options.ts'

/** What is wrong with the value, as text for stderr; nothing: it was good. */
export type Apply = (options: ToolOptions, value: string, manner: Manner) => string | void

export interface ToolOption extends OptionRow {
  /** Absent: all have it. */
  readonly tools?: readonly Tool[]
  /** Help that differs for one tool. */
  readonly helpOf?: Partial<Record<Tool, string>>
  /** The word of Mosquitto for the value, as in "no … specified". */
  readonly what?: string
  /** What is said where the value is missing, if it is not the usual sentence. */
  readonly missing?: string
  /** The value is bytes (`argument-bytes.ts`); others must be UTF-8. */
  readonly isBytes?: true
  readonly apply: Apply
}

export interface ToolOptionGroup {
  readonly title: string
  readonly options: readonly ToolOption[]
}

export const reading: readonly Tool[] = ['sub', 'rr']
export const writing: readonly Tool[] = ['pub', 'rr']

/** As atoi() of C: the whole number at the beginning, else 0. */
export function atoi(text: string): number {
  return Number.parseInt(text, 10) || 0
}

export function atof(text: string): number {
  return Number.parseFloat(text) || 0
}

export function qosOf(value: string): 0 | 1 | 2 | null {
  const qos = atoi(value)
  return qos === 0 || qos === 1 || qos === 2 ? qos : null
}

/** A row that sets one field. */
export const flag = <Key extends keyof ToolOptions>(
  names: readonly string[],
  help: string,
  key: Key,
  value: ToolOptions[Key],
): ToolOption => ({
  ...{ names, help },
  apply: (options) => {
    options[key] = value
  },
})

type KeysOf<Type> = { [Key in keyof ToolOptions]-?: Type extends ToolOptions[Key] ? Key : never }[keyof ToolOptions]

/** A row whose value is a field. */
export const text = (
  names: readonly string[],
  value: string,
  help: string,
  what: string,
  key: KeysOf<string>,
): ToolOption => ({
  ...{ names, value, help, what },
  apply: (options, given) => {
    options[key] = given
  },
})

export const tlsText = (
  names: readonly string[],
  value: string,
  help: string,
  what: string,
  key: Exclude<keyof TlsArguments, 'insecure' | 'useOsCerts' | 'off' | 'keyForm' | 'passphrase'>,
): ToolOption => ({
  ...{ names, value, help, what },
  ...(value === 'FILE' ? { completes: 'file' as const } : value === 'FOLDER' ? { completes: 'folder' as const } : {}),
  apply: (options, given) => {
    options.tls[key] = given
  },
})

export const tlsFlag = (
  names: readonly string[],
  help: string,
  key: 'insecure' | 'useOsCerts' | 'off',
): ToolOption => ({
  ...{ names, help },
  apply: (options) => {
    options.tls[key] = true
  },
})

/** An option of Mosquitto's that does not exist here. */
export const cannot = (option: string, why: string, value?: string, what?: string): ToolOption => ({
  ...{ names: [option], help: `not supported: ${why}`, isHidden: true },
  ...(value === undefined || what === undefined ? {} : { value, what }),
  apply: () => `Error: ${option} is not supported: ${why}.\n`,
})
