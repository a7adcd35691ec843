/**
 * Runs one setup on one broker, in a folder and on ports of its own, and lets the prober ask.
 *
 * The invariant: what is returned has nothing of the run in it, so that two of them can be compared; the broker has ended by then.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { accepts, freePort } from '@recado/client/testing'
import { Child } from '../peers/child.ts'
import { boundMs } from '../peers/inbox.ts'
import { OwnBroker } from '../peers/own-broker.ts'
import type { Door } from './door.ts'
import { type Observations, probe } from './prober.ts'
import { anybody, authorityCertificate, type Setup } from './setup.ts'

const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))

/** `program`: a Mosquitto; null: ours. */
export async function observe(setup: Setup, program: string | null): Promise<Observations> {
  // Between finding a free port and the broker's bind, somebody else may take it.
  for (let attempt = 1; ; attempt++) {
    try {
      return await observeOnce(setup, program)
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

const ATTEMPTS_MAX = 3
class PortTaken extends Error {}

async function observeOnce(setup: Setup, program: string | null): Promise<Observations> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-setup-'))
  // Mosquitto becomes another user when root starts it, and writes its log as that one.
  chmodSync(folder, 0o777)
  try {
    return await observeIn(folder, setup, program)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function observeIn(folder: string, setup: Setup, program: string | null): Promise<Observations> {
  const ports: Record<string, number> = {}
  for (const name of ['P1', 'P2', 'P3', 'P4']) ports[name] = await freePort()
  const filled = (text: string): string =>
    text.replaceAll('FOLDER', folder).replace(/\bP[1-4]\b/g, (name) => String(ports[name]))
  for (const [name, text] of Object.entries({ ...setup.files, 'mosquitto.conf': `${setup.lines.join('\n')}\n` })) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    if (dirname(path) !== folder) chmodSync(dirname(path), 0o777)
    writeFileSync(path, filled(text))
  }
  const doors: Record<string, Door> = {}
  for (const [name, [protocol, at]] of Object.entries(setup.doors)) {
    const path = protocol === 'unix' ? join(folder, at) : ''
    doors[name] = { protocol, port: ports[at] ?? 0, path, ca: authorityCertificate }
  }
  const options = ['-c', join(folder, 'mosquitto.conf'), ...(setup.arguments ?? []).map(filled)]
  const child =
    program === null ? oursWith([...options, '--data', join(folder, 'recado')], setup) : new Child(program, options)
  if (child instanceof Child) child.endInput()
  try {
    const code = await startOf(child, Object.values(doors))
    if (code === 0) throw new Error('the broker ended by itself')
    if (code !== null && /in use/i.test(child.describe())) throw new PortTaken(child.describe())
    if (code !== null) return { 'the start': 'fails' }
    const { logins = [anybody], topics = [] } = setup
    const seen = await probe({ doors, logins, topics })
    return { 'the start': 'succeeds', ...seen }
  } catch (error) {
    if (error instanceof PortTaken) throw error
    throw new Error(`${setup.name}: ${(error as Error).message}\n${child.describe()}`, { cause: error })
  } finally {
    await child.stop('SIGTERM')
  }
}

/** Ours, in this process unless it is to become another user: that would be the whole process. */
function oursWith(argv: readonly string[], { lines, files }: Setup): Child | OwnBroker {
  const included = Object.entries(files ?? {}).flatMap(([name, text]) =>
    name.endsWith('.conf') ? text.split('\n') : [],
  )
  const isProcess = [...lines, ...included].some((line) => /^user (?!root$)/.test(line))
  return isProcess ? new Child(process.execPath, [recadoBin, ...argv]) : new OwnBroker(argv)
}

/** Resolves with null when all ports accept, with the exit code when it ends before. */
async function startOf(child: Child | OwnBroker, doors: readonly Door[]): Promise<number | null> {
  const deadline = Date.now() + boundMs
  for (const { port } of doors) {
    while (port !== 0 && !(await accepts(port))) {
      if (child.hasExited) return (await child.exited).code ?? -1
      if (Date.now() > deadline) throw new Error(`the broker does not listen on ${port}`)
      // A process has no other way to tell any program that it listens.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return null
}
