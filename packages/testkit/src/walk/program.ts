/** The random walk as a program: `npm run fuzz -- session`. Called by `fuzz/main.ts`, which has the options. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { skipWithout } from '../peers/find.ts'
import { UsageError } from '../program.ts'
import { type Found, replay, runWalk, type WalkOptions } from './run.ts'
import { parse, print } from './script.ts'
import type { Target } from './target.ts'

const SHRINK_SECONDS = 120
const TOLD_EVERY_MS = 10_000

/** Runs the walk. `replayPath` is '' or a script to be played in place of a walk. Returns the exit code. */
export async function walk(
  options: Omit<WalkOptions, 'shrinkSeconds'> & { readonly replayPath: string },
): Promise<number> {
  const { target } = options
  const missing = target === 'mosquitto' && skipWithout('mosquitto')
  if (missing) throw new UsageError(missing)
  if (!['recado', 'mosquitto', 'aedes'].includes(target) && !target.includes('{port}'))
    throw new UsageError(`--broker ${target}: there are recado, mosquitto and aedes, or a command with {port} in it`)
  if (options.replayPath !== '') return await again(options.target, options.replayPath)
  let toldAtMs = performance.now()
  const result = await runWalk({
    ...options,
    shrinkSeconds: SHRINK_SECONDS,
    onFound: tell,
    onProgress(done, kinds) {
      if (performance.now() < toldAtMs + TOLD_EVERY_MS) return
      toldAtMs = performance.now()
      process.stderr.write(`session: ${done} of ${options.operations} operations, ${kinds} kinds of findings\n`)
    },
  })
  for (const found of result.findings) if (found.isReplayable) tell(found)
  const findings = Object.fromEntries(result.findings.map(({ kind, count }) => [kind, count]))
  const { replayPath: _, ...asked } = options
  console.log(JSON.stringify({ ...asked, ...result, target: 'session', broker: target, findings }))
  return result.findings.length === 0 ? 0 : 1
}

/** Writes the text of a finding, and a file with its script and the packets before it. */
function tell({ kind, text, count, script, trace, isReplayable }: Found): void {
  const path = join(mkdtempSync(join(tmpdir(), 'recado-found-')), `${kind}.txt`)
  const comment = [text, '', ...trace].flatMap((lines) => lines.split('\n')).map((line) => `// ${line}\n`)
  writeFileSync(path, comment.join('') + print(script))
  const how = isReplayable ? 'a script that shows it again' : 'the last operations of its lane'
  process.stderr.write(
    `FOUND${count > 1 ? ` ${count} times` : ''}, ${kind}: ${text}\n  ${how}, ${script.length} operations: ${path}\n`,
  )
}

async function again(target: Target, path: string): Promise<number> {
  const found = await replay(target, parse(readFileSync(path, 'utf8')))
  for (const [kind, text] of found) process.stderr.write(`FOUND ${kind}: ${text}\n`)
  console.log(JSON.stringify({ target: 'session', replayed: path, findings: [...found.keys()] }))
  return found.size === 0 ? 0 : 1
}
