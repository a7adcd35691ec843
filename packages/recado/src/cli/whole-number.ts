/** Whole numbers on the command line, for all commands that take one within bounds. */
import { type ParsedCommand, ToolError, valueIn } from '../command-table.ts'

/** Value of the option `name`, or `fallback` when it is not given. @throws ToolError when it is out of bounds */
export function wholeNumber(
  parsed: ParsedCommand,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const text = valueIn(parsed, name)
  if (text === undefined) return fallback
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ToolError(`${name} ${text}: give a whole number from ${least} to ${most}`)
}
