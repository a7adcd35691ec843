/**
 * Mutated sessions on a real broker: a process of its own, over real sockets, many at a time, with an honest pair
 * beside them.
 *
 * Called by `main.ts` (`--target live`) and, shortly, by a test. Scripts are those of the core target; the machine's
 * timing makes each run different, so a script that was running when a fault appeared is kept as a case of that target.
 * Invariants: the process lives, and logs no error of its own; the bystander loses nothing and keeps its order; at the
 * end no socket is left open, and memory has not grown from the second half of the run to its end.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as after } from 'node:timers/promises'
import { Bystander, type PairReport } from '../attack/bystander.ts'
import { Wire } from '../attack/wire.ts'
import { BrokerProcess } from '../crash/broker-process.ts'
import { CONNECTIONS, Do, mutateScript, seedScripts, stepsOf } from './session-script.ts'
import { FuzzRandom } from './target.ts'

const AT_A_TIME = 96
/**
 * Longest time in milliseconds for sockets to be closed at the end: clients that were cut off linger for five seconds.
 */
const CLOSING_MS = 30_000

export interface LiveOptions {
  readonly sessions: number
  readonly seed: number
  readonly onProgress?: (done: number, memoryMB: number) => void
}

export interface LiveResult {
  readonly sessions: number
  readonly connections: number
  readonly bytes: number
  readonly seconds: number
  readonly bystander: Pick<PairReport, 'sent' | 'lost' | 'disordered' | 'disconnects'>
  readonly memoryMB: readonly number[]
  /** Findings, one line each. */
  readonly findings: readonly string[]
  /** Scripts that were running then. */
  readonly scripts: readonly Uint8Array[]
}

const CONFIG = [
  'max_queued_messages 1000',
  'max_queued_bytes 1000000',
  'persistent_client_expiration 1h',
  'log_type error',
  'log_dest stdout',
  'durability os',
  'connect_timeout 2',
]

export async function runLive({ sessions, seed, onProgress }: LiveOptions): Promise<LiveResult> {
  const findings: string[] = []
  const scripts: Uint8Array[] = []
  const running = new Set<Uint8Array>()
  const found = (what: string): void => {
    if (findings.length >= 20) return
    findings.push(what)
    if (scripts.length === 0) scripts.push(...running)
  }
  let isOver = false
  const broker = await BrokerProcess.create(
    'recado',
    (what) => {
      isOver = true
      found(`the broker ${what}`)
    },
    { config: CONFIG, onLine: (line) => found(`the broker says: ${line}`) },
  )
  const bystander = new Bystander(broker.port)
  const random = new FuzzRandom(seed)
  const seeds = seedScripts()
  const startedAt = performance.now()
  const memoryMB: number[] = []
  let started = 0
  let done = 0
  let connections = 0
  let bytes = 0

  async function play(script: Uint8Array): Promise<void> {
    const wires: (Wire | null)[] = new Array<Wire | null>(CONNECTIONS).fill(null)
    for (const step of stepsOf(script)) {
      let wire = wires[step.connection] ?? null
      if (step.action === Do.Drop) {
        if ((step.bytes[0] ?? 0) % 2 === 0) wire?.destroy()
        else wire?.socket.resetAndDestroy()
        wires[step.connection] = null
      } else if (step.action === Do.Block) {
        if (wire?.socket.isPaused()) wire.socket.resume()
        else wire?.stopReading()
      } else if (step.action === Do.Wait) {
        await after((step.bytes[0] ?? 0) % 8)
      } else {
        if (wire === null || wire.isClosed) {
          wire = new Wire(broker.port)
          wires[step.connection] = wire
          connections++
        }
        bytes += step.bytes.length
        wire.write(step.bytes)
        if (random.oneIn(3)) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await new Promise((resolve) => setImmediate(resolve))
    // A connection that is destroyed before its bytes have left shows the broker nothing
    await Promise.all(wires.map((wire) => (wire === null ? null : drained(wire))))
    for (const wire of wires) wire?.destroy()
  }

  try {
    broker.launch()
    await broker.ready()
    await bystander.start()
    const socketsBefore = socketsOf(broker.pid!)
    let isWatching = true
    const felt = { sent: 0, lost: 0, disordered: 0, disconnects: 0 }
    const watching = (async () => {
      while (isWatching && !isOver) {
        const part = await bystander.watch(500, 20_000)
        for (const key of ['sent', 'lost', 'disordered', 'disconnects'] as const) felt[key] += part[key]
      }
    })()
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        while (started < sessions && !isOver) {
          started++
          let script = random.pick(seeds)
          for (let changes = random.below(5); changes > 0; changes--)
            script = mutateScript(script, random.pick(seeds), random)
          running.add(script)
          await play(script)
          running.delete(script)
          done++
          if (done % Math.ceil(sessions / 10) === 0 && !isOver) {
            memoryMB.push(memoryOf(broker.pid!))
            onProgress?.(done, memoryMB.at(-1)!)
          }
        }
      }),
    )
    isWatching = false
    await watching
    if (felt.lost > 0) found(`the bystander has lost ${felt.lost} of ${felt.sent} messages`)
    if (felt.disordered > 0) found(`${felt.disordered} messages of the bystander came out of order`)
    if (felt.disconnects > 0) found(`the bystander was disconnected ${felt.disconnects} times`)
    if (!isOver) {
      const until = performance.now() + CLOSING_MS
      while (socketsOf(broker.pid!) > socketsBefore && performance.now() < until) await after(100)
      const left = socketsOf(broker.pid!) - socketsBefore
      if (left > 0) found(`${left} sockets are still open ${CLOSING_MS / 1000} s after the last session`)
      const middle = memoryMB[Math.floor(memoryMB.length / 2)] ?? 0
      const last = memoryMB.at(-1) ?? 0
      if (last > middle * 1.5 + 50) found(`memory has grown from ${middle} MB in the middle to ${last} MB`)
      await broker.terminate()
    }
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10
    return { sessions: done, connections, bytes, seconds, bystander: felt, memoryMB, findings, scripts }
  } finally {
    bystander.close()
    await broker.dispose(false)
  }
}

/** Resolves when its bytes have left this process, or it is closed. */
function drained(wire: Wire): Promise<void> {
  return new Promise((resolve) => {
    if (wire.isClosed) return resolve()
    wire.socket.once('close', () => resolve())
    // An end waits for the bytes before it; a reader that is blocked must not keep us
    wire.socket.end(() => resolve())
    setTimeout(() => resolve(), 200).unref()
  })
}

function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
}

function socketsOf(pid: number): number {
  let count = 0
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')) count++
    } catch (error) {
      // Closed between the two calls
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return count
}
