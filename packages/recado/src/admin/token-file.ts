/**
 * The place of the file of tokens: for the broker and for `recado token`, which must agree on it.
 */
import { join, resolve } from 'node:path'
import type { Config } from '../config/config.ts'

/** Path of the file of tokens; null when nothing is kept and none is named. */
export function tokenFileOf({ httpApi, durability, dataFolder }: Config): string | null {
  if (httpApi.tokenFile !== null) return httpApi.tokenFile
  return durability === 'memory' ? null : join(resolve(dataFolder), 'api-tokens.json')
}
