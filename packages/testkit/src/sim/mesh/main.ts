/**
 * `npm run sim:mesh`: several Cores that are one broker, under faults, one whole run for each seed.
 *
 * Ends with 1 at the first seed that fails, and says the line that replays it.
 */
import { runSeedProgram } from '../seed-program.ts'
import { makePlan } from './plan.ts'
import { runMeshPlan } from './run.ts'

let checked = 0

process.exitCode = await runSeedProgram({
  script: 'sim:mesh',
  makePlan,
  runPlan: runMeshPlan,
  describe: ({ seed, isPersistent, bus, cores, clients }) => [
    `seed ${seed}: persistent ${isPersistent}, bus ${JSON.stringify(bus)}`,
    ...cores.map((core) => `core ${JSON.stringify(core)}`),
    ...clients.map((client) => `client ${JSON.stringify(client)}`),
  ],
  noted: (result) => {
    checked += result.checked
  },
  ended: () => console.log(`${checked} deliveries were owed and have come`),
})
