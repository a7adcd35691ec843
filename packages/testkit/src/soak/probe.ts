/**
 * A probe in the broker's process (`node --import probe.js recado.js …`) that writes its memory to standard output, a
 * line of JSON after `PROBE_MARK` at every interval. `soak-broker.ts` reads it.
 *
 * The program itself knows nothing of it. Every `RECADO_SOAK_LIVE_EVERY`th line also counts the live objects of some
 * classes; V8 collects all garbage for that, so the heap of that line is the memory really in use.
 */
import { queryObjects } from 'node:v8'
import { isMainThread } from 'node:worker_threads'

export interface ProbeLine {
  heapUsed: number
  external: number
  handles: number
  /** Live objects by class, only in a line that counts them. */
  live?: Record<string, number>
}

export const PROBE_MARK = 'soak-probe '

/** Classes that are counted, by file and name. */
const counted: readonly (readonly [file: string, name: string])[] = [
  ['session/session', 'Session'],
  ['connection/connection', 'Connection'],
  ['routing/subscriber', 'SubscriptionEntry'],
  ['base/message', 'Message'],
]

type Class = abstract new (...parameters: never[]) => unknown

async function start(): Promise<void> {
  const everyMs = Number(process.env['RECADO_SOAK_PROBE_MS'])
  const liveEvery = Number(process.env['RECADO_SOAK_LIVE_EVERY'])
  if (!(everyMs > 0) || !isMainThread) return
  // The classes below are those of the compiled files; the bundle has its own.
  process.env['RECADO_BUNDLE'] = 'off'
  const classes: [string, Class][] = []
  for (const [file, name] of counted) {
    const module = (await import(new URL(`../../../broker/dist/core/${file}.js`, import.meta.url).href)) as Record<
      string,
      Class
    >
    const found = module[name]
    if (found === undefined) throw new Error(`broker/core/${file}.js has no class ${name}`)
    classes.push([name, found])
  }
  let lines = 0
  setInterval(() => {
    let live: Record<string, number> | undefined
    if (liveEvery > 0 && ++lines % liveEvery === 0) {
      live = {}
      for (const [name, found] of classes)
        live[name] = queryObjects(found as unknown as () => void, { format: 'count' }) as unknown as number
    }
    const { heapUsed, external } = process.memoryUsage()
    const line: ProbeLine = { heapUsed, external, handles: process.getActiveResourcesInfo().length }
    if (live !== undefined) line.live = live
    process.stdout.write(`${PROBE_MARK}${JSON.stringify(line)}\n`)
  }, everyMs).unref()
}

await start()
