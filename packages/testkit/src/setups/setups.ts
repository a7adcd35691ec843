/** All whole configurations that are run on both brokers. */
import { homeSetups } from './home-setups.ts'
import { optionSetups } from './option-setups.ts'
import type { Setup } from './setup.ts'
import { systemSetups } from './system-setups.ts'

export const setups: readonly Setup[] = [...homeSetups, ...systemSetups, ...optionSetups]
