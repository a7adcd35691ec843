/** All fuzz targets, by name. */
import { coreTarget } from './core-target.ts'
import { decoderTarget } from './decoder-target.ts'
import { proxyTarget } from './proxy-target.ts'
import type { FuzzTarget } from './target.ts'
import { textTargets } from './text-targets.ts'
import { webSocketTargets } from './websocket-target.ts'

export const targets: readonly FuzzTarget[] = [
  decoderTarget,
  coreTarget,
  ...textTargets,
  ...webSocketTargets,
  proxyTarget,
]
