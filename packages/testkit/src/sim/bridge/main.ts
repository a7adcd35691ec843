/**
 * `npm run sim:bridge`: brokers that are joined by bridges, under faults, one whole run for each seed.
 *
 * Ends with 1 at the first seed that fails, and says the line that replays it.
 */
import { runSeedProgram } from '../seed-program.ts'
import { makePlan } from './plan.ts'
import { runBridgePlan } from './run.ts'

process.exitCode = await runSeedProgram({
  script: 'sim:bridge',
  makePlan,
  runPlan: runBridgePlan,
  describe: ({ seed, shape, brokers, bridges, clients }) => [
    `seed ${seed}: ${shape}`,
    ...brokers.map((broker) => `broker ${JSON.stringify(broker)}`),
    ...bridges.map((bridge) => `bridge ${JSON.stringify(bridge)}`),
    ...clients.map((client) => `client ${JSON.stringify(client)}`),
  ],
})
