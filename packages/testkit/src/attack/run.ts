/**
 * Each attack on a broker of its own, with a bystander beside it: what it cost, and what the bystander felt.
 *
 * Called by `main.ts` and a test. The quiet time before each attack is measured in the same run on the same broker, so that
 * its figures are a ratio and not a property of the machine.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { BrokerProcess, type CrashedBroker } from '../crash/broker-process.ts'
import { run as runChild } from '../peers/child.ts'
import type { Attack } from './attacks.ts'
import { Bystander, type Felt } from './bystander.ts'

const attackerPath: string = fileURLToPath(new URL('attacker.js', import.meta.url))
const CLOCK_TICKS_PER_SECOND = 100

export interface Contestant {
  readonly name: string
  readonly kind: CrashedBroker
  readonly config: readonly string[]
}

/** As they come, but for the limits of queues, which the crash run takes away; and Recado with limits for strangers. */
export const contestants: readonly Contestant[] = [
  { name: 'recado', kind: 'recado', config: ['max_queued_messages 100000', 'max_queued_bytes 67108864'] },
  {
    name: 'recado-limits',
    kind: 'recado',
    config: [
      'max_queued_messages 1000',
      'max_queued_bytes 1000000',
      'memory_limit 400000000',
      'max_message_rate 1000',
      'max_byte_rate 1000000',
      'rate_limit_grace 30',
      'listener_connection_rate 200',
      'max_pending_connections 200',
      'max_subscriptions 1000',
    ],
  },
  { name: 'mosquitto', kind: 'mosquitto', config: ['max_queued_messages 1000'] },
]

export interface AttackResult {
  readonly attack: string
  readonly broker: string
  /** What the attacker did in its time. */
  readonly size: number
  /** Of one CPU, while it lasted. */
  readonly cpu: number
  /** Memory of the broker before, and at its highest. */
  readonly memoryBeforeMB: number
  readonly memoryPeakMB: number
  readonly quiet: Felt
  readonly felt: Felt
  /** Why the broker is not there any more; '' when it is. */
  readonly died: string
}

interface Usage {
  readonly cpuSeconds: number
  readonly memoryMB: number
}

function usageOf(pid: number): Usage {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kB = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND, memoryMB: kB / 1024 }
}

export interface AttackOptions {
  readonly attack: Attack
  readonly contestant: Contestant
  readonly quietMs: number
  readonly attackMs: number
  /** How long the bystander waits for what is late. */
  readonly lateMs: number
}

export async function runAttack({
  attack,
  contestant,
  quietMs,
  attackMs,
  lateMs,
}: AttackOptions): Promise<AttackResult> {
  let died = ''
  const broker = await BrokerProcess.create(
    contestant.kind,
    (what) => {
      died = what.split('\n')[0]!
    },
    { config: contestant.config },
  )
  const bystander = new Bystander(broker.port)
  try {
    broker.launch()
    await broker.ready()
    await bystander.start()
    // The first messages find cold code
    await bystander.watch(Math.min(1_000, quietMs), lateMs)
    const quiet = await bystander.watch(quietMs, lateMs)
    const before = usageOf(broker.pid!)
    let memoryPeakMB = before.memoryMB
    let last = before
    const sampler = setInterval(() => {
      if (died !== '' || broker.pid === null) return
      last = usageOf(broker.pid)
      memoryPeakMB = Math.max(memoryPeakMB, last.memoryMB)
    }, 100)
    const started = performance.now()
    let seconds = 0
    const attacking = runChild(process.execPath, [attackerPath, attack.name, `${broker.port}`, `${attackMs}`]).finally(
      () => {
        seconds = (performance.now() - started) / 1000
        clearInterval(sampler)
        if (died === '' && broker.pid !== null) last = usageOf(broker.pid)
      },
    )
    const [output, felt] = await Promise.all([attacking, bystander.watch(attackMs, lateMs)])
    return {
      attack: attack.name,
      broker: contestant.name,
      size: Number(output.at(-1)),
      cpu: Math.round(((last.cpuSeconds - before.cpuSeconds) / seconds) * 100) / 100,
      memoryBeforeMB: Math.round(before.memoryMB),
      memoryPeakMB: Math.round(memoryPeakMB),
      quiet,
      felt,
      died,
    }
  } finally {
    bystander.close()
    await broker.dispose(false)
  }
}
