/** All mutants, in the order in which `npm run sim:mutants` applies them. */
import { changeMutants } from './changes.ts'
import { storeMutants } from './client-store.ts'
import { coreMutants } from './core.ts'
import { delayedMutants } from './delayed.ts'
import { limitMutants } from './limits.ts'
import type { Mutant } from './mutant.ts'
import { programMutants } from './program.ts'
import { topicMutants } from './topics.ts'
import { willMutants } from './wills.ts'

export const mutants: readonly Mutant[] = [
  ...coreMutants,
  ...storeMutants,
  ...changeMutants,
  ...willMutants,
  ...delayedMutants,
  ...limitMutants,
  ...programMutants,
  ...topicMutants,
]
