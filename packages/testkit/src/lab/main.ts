/**
 * `npm run lab -- [options]`: clients and servers of MQTT on bad networks, each cell on hosts of its own in network
 * namespaces, and what becomes of their messages.
 *
 * Shows its progress on stderr, on a terminal in one line; the last line of stdout is the summary as JSON. Exits with 1
 * when a cell failed or the time was too short for all of them, and with 2 where there can be no laboratory.
 */
import '../own-network.ts'
import { fileURLToPath } from 'node:url'
import {
  anySeed,
  type ProgramOptions,
  ProgressLine,
  runProgram,
  UsageError,
  type Values,
  wholeNumber,
} from '../program.ts'
import { skipWithoutLab } from './line.ts'
import { type Cell, keyOf, planOf } from './plan.ts'
import { writeReport } from './report.ts'
import { readResults, runLab } from './run.ts'

const RESULTS = fileURLToPath(new URL('../../../../bench/network-lab.jsonl', import.meta.url))
const usage = `Usage: npm run lab -- [--only TEXT] [--all] [--jobs N] [--minutes M] [--file F] [--fresh] [--write] [--list]

  --only TEXT  cells whose name has TEXT in it: condition/server/device/qN/tcp or tls; several with commas
  --all        every condition with every server, device and QoS, with and without TLS
  --jobs N     cells at a time (default 10; they mostly wait)
  --minutes M  begin no further cell after so many minutes (default 20)
  --file F     results as lines of JSON; what is in it is not run again (default bench/network-lab.jsonl)
  --fresh      run cells again that are in the file
  --seed S     repeats which packets are lost (default: any)
  --write      write the tables and charts of docs/network-lab.md and docs/es/network-lab.md
  --list       print the names of the cells`

const options = {
  only: { type: 'string' },
  all: { type: 'boolean', default: false },
  jobs: { type: 'string', default: '10' },
  minutes: { type: 'string', default: '20' },
  file: { type: 'string', default: RESULTS },
  fresh: { type: 'boolean', default: false },
  seed: { type: 'string', default: anySeed() },
  write: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const cells = chosen(values.only, values.all)
  if (values.list) {
    for (const cell of cells) console.log(keyOf(cell))
    return 0
  }
  const done = readResults(values.file)
  const isComplete = !values.fresh && cells.every((cell) => done.has(keyOf(cell)))
  const without = !isComplete && skipWithoutLab()
  if (without) throw new UsageError(without)
  const display = new ProgressLine()
  const startedMs = Date.now()
  const { results, before, failed, left } = await runLab({
    cells,
    file: values.file,
    isFresh: values.fresh,
    jobs: wholeNumber('jobs', values.jobs, 1),
    seed: wholeNumber('seed', values.seed),
    budgetMs: wholeNumber('minutes', values.minutes, 1) * 60_000,
    onProgress: (cellsDone, all, key) => display.show(`${cellsDone} of ${all} cells: ${key}`),
    onFailure: (key, why) => display.tell(`${key}: ${why}`),
  })
  display.end()
  if (values.write) writeReport(readResults(values.file))
  const seconds = Math.round((Date.now() - startedMs) / 1_000)
  console.log(JSON.stringify({ cells: cells.length, before, run: results.length, failed, left, seconds }))
  return failed + left === 0 ? 0 : 1
}

function chosen(only: string | undefined, isWhole: boolean): Cell[] {
  const cells = planOf(isWhole)
  if (only === undefined) return cells
  const parts = only.split(',')
  const found = cells.filter((cell) => parts.some((part) => keyOf(cell).includes(part)))
  if (found.length === 0) throw new UsageError(`--only ${only}: no cell has that in its name; --list has the names`)
  return found
}

process.exitCode = await runProgram(usage, options, main)
