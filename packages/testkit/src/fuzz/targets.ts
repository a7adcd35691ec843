/** All fuzz targets, by name. */
import { decoderTarget } from './decoder-target.ts'
import { sessionTarget } from './session-target.ts'
import type { FuzzTarget } from './target.ts'

export const targets: readonly FuzzTarget[] = [decoderTarget, sessionTarget]

export function targetNamed(name: string): FuzzTarget | undefined {
  return targets.find((target) => target.name === name)
}
