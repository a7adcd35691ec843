/**
 * Parts of queries that several groups of operations have in common.
 */
import { z } from 'zod'

/** Schema of a text in which `*` stands for any characters. */
export const pattern = (what: string): z.ZodOptional<z.ZodString> =>
  z.string().max(65_535).optional().describe(`${what}; * stands for any characters.`)

/** Options without those that are undefined, which the broker does not take. */
export const given = <T extends object>(options: T): { [name in keyof T]?: Exclude<T[name], undefined> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
