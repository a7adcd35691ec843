/**
 * Rows of the tables of options of `recado pub`, `sub` and `rr`: the form of a row, and the makers of the common kinds.
 *
 * `connection-options.ts` and `message-options.ts` have the rows; `mosquitto-options.ts` parses with them,
 * `client-commands.ts` makes help and completion from them.
 */
import type { OptionRow } from '../command-table.ts'
import type { Manner } from './manner.ts'
import type { TlsArguments, Tool, ToolOptions } from './tool-options.ts'

/** Function that applies a value. Returns the error as text for stderr, or nothing. */
export type Apply = (options: ToolOptions, value: string, manner: Manner) => string | void

export interface ToolOption extends OptionRow {
  /** Tools that have the option. Default: all. */
  readonly tools?: readonly Tool[]
  /** Help that differs for one tool. */
  readonly helpOf?: Partial<Record<Tool, string>>
  /** Mosquitto's word for the value, as in "no … specified". */
  readonly what?: string
  /** Text for a missing value, if it is not the usual sentence. */
  readonly missing?: string
  /** Whether the value is bytes (`argument-bytes.ts`); other values must be UTF-8. */
  readonly isBytes?: true
  readonly apply: Apply
}

export interface ToolOptionGroup {
  readonly title: string
  readonly options: readonly ToolOption[]
}

export const reading: readonly Tool[] = ['sub', 'rr']
export const writing: readonly Tool[] = ['pub', 'rr']

/** Converts like atoi() of C: the whole number at the beginning, else 0. */
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

/** Row that sets one field. */
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

/** Row whose value is a field. */
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

/** Row for an option of Mosquitto's that does not exist here. */
export const cannot = (option: string, why: string, value?: string, what?: string): ToolOption => ({
  ...{ names: [option], help: `not supported: ${why}`, isHidden: true },
  ...(value === undefined || what === undefined ? {} : { value, what }),
  apply: () => `Error: ${option} is not supported: ${why}.\n`,
})
