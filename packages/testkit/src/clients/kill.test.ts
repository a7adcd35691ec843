/**
 * Exactly once, end to end, with a client that is killed (SIGKILL) again and again in the middle of what it does, on Recado as
 * server. When it is killed a seed decides; RECADO_SEED=n chooses another one.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { createBroker, memory } from '@recado/broker'
import { type Client, connect } from '@recado/client'
import { Random } from '../random.ts'

const program = new URL('./kill-child.js', import.meta.url).pathname
const seed = Number(process.env['RECADO_SEED'] ?? 7)
const KILLS = 12
const MESSAGES = 600
const TIMEOUT_MS = 120_000

interface Stage {
  readonly port: number
  readonly folder: string
  readonly client: Client
}

async function stage(t: TestContext): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-kill-'))
  const broker = createBroker({ store: memory() })
  const { port } = await broker.listen({ port: 0 })
  const client = await connect(`mqtt://127.0.0.1:${port}`)
  t.after(async () => {
    await client.close()
    await broker.close({ timeoutMs: 100 })
    rmSync(folder, { recursive: true, force: true })
  })
  return { port, folder, client }
}

/** Runs the child until it says 'done' (`true`), or has said so many lines that begin with `word` and was killed (`false`). */
async function run(
  t: TestContext,
  role: string,
  { port, folder }: Stage,
  word: string,
  count: number,
): Promise<boolean> {
  const child: ChildProcess = spawn(process.execPath, [program, role, String(port), folder, String(MESSAGES)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  let isDone = false
  let seen = 0
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line === 'done') isDone = true
    if (line.startsWith(word) && ++seen === count) child.kill('SIGKILL')
  }
  const [code, signal] = (await exited) as [number | null, string | null]
  assert.ok(signal === 'SIGKILL' || code === 0, `the ${role} ended with ${code ?? signal}`)
  return isDone
}

const linesOf = (folder: string, role: string): string[] =>
  readFileSync(join(folder, `${role}.ledger`), 'utf8')
    .trim()
    .split('\n')

test(`what a sender had stored before it was killed arrives exactly once and in order (seed ${seed})`, {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const random = new Random(seed)
  const place = await stage(t)
  const seen: number[] = []
  const subscription = place.client.subscribe(
    'kill/sender',
    { qos: 2 },
    (message) => void seen.push(Number(message.text())),
  )
  await subscription.ready
  let kills = 0
  for (; kills < KILLS; kills++) {
    const word = random.chance(0.5) ? 'stored' : 'begun'
    if (await run(t, 'sender', place, word, random.between(1, 60))) break
  }
  if (kills === KILLS) assert.ok(await run(t, 'sender', place, 'never', 0), 'the last run ends in order')
  const lines = linesOf(place.folder, 'sender')
  const stored = lines.filter((line) => line.startsWith('stored ')).map((line) => Number(line.slice(7)))
  const isIn = new Set(seen)
  assert.equal(isIn.size, seen.length, `delivered twice: ${seen.filter((n, i) => seen.indexOf(n) !== i)}`)
  assert.deepEqual(
    stored.filter((n) => !isIn.has(n)),
    [],
    'stored, but never delivered',
  )
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
    'in order',
  )
  t.diagnostic(`${kills} kills, ${stored.length} noted as stored, ${seen.length} delivered`)
})

test(`what a receiver had acknowledged before it was killed never comes again, and nothing is missing (seed ${seed})`, {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const random = new Random(seed)
  const place = await stage(t)
  // The session must be there before the first message.
  await run(t, 'receiver', place, 'subscribed', 1)
  const published = Promise.all(
    Array.from({ length: MESSAGES }, (_, i) => place.client.publish('kill/receiver', String(i + 1), { qos: 2 })),
  )
  let kills = 0
  for (; kills < KILLS; kills++) {
    const word = random.chance(0.5) ? 'got' : 'pubrec'
    if (await run(t, 'receiver', place, word, random.between(1, 60))) break
  }
  if (kills === KILLS) assert.ok(await run(t, 'receiver', place, 'never', 0), 'the last run ends in order')
  await published
  const numberOf = new Map<string, number>()
  const acknowledged = new Set<number>()
  const seen = new Set<number>()
  let again = 0
  for (const line of linesOf(place.folder, 'receiver')) {
    const [what, a = '', , id = ''] = line.split(' ')
    if (what === 'got') {
      const n = Number(a)
      assert.ok(!acknowledged.has(n), `message ${n} came again after its PUBREC`)
      if (seen.has(n)) again++
      else assert.equal(n, seen.size + 1, 'in order')
      seen.add(n)
      numberOf.set(id, n)
    } else if (what === 'pubrec') acknowledged.add(numberOf.get(a)!)
  }
  assert.equal(seen.size, MESSAGES)
  t.diagnostic(`${kills} kills, ${again} messages came again that were not acknowledged`)
})
