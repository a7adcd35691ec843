/**
 * Runs each attack on a broker of its own, with a bystander beside it, and measures its cost and the effect on the
 * bystander.
 *
 * Called by `main.ts` and a test. The quiet time before each attack is measured in the same run on the same broker, so
 * that its figures are a ratio and not a property of the machine.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '@recado/broker/testing'
import { freePort } from '@recado/client/testing'
import { BrokerProcess, type CrashedBroker } from '../crash/broker-process.ts'
import { Child } from '../peers/child.ts'
import { type Attack, ENDING_MS } from './attack.ts'
import { Bystander, type PairReport } from './bystander.ts'
import { FORGED_LINE } from './layer-attacks.ts'
import { Namespace } from './netns.ts'
import type { Route } from './wire.ts'

const attackerPath: string = fileURLToPath(new URL('attacker.js', import.meta.url))
const CLOCK_TICKS_PER_SECOND = 100

export interface Contestant {
  readonly name: string
  readonly kind: CrashedBroker
  readonly config: readonly string[]
}

/** Options that each listener has for itself. */
const LISTENER_OPTIONS: RegExp = /^(max_message_rate|max_byte_rate|rate_limit_grace|listener_connection_rate) /
/** Connect timeout in seconds, short so that an attack of a few seconds meets it. */
const CONNECT_TIMEOUT_SECONDS = 2

/** Recado's default queue limits, which the crash run removes. */
const QUEUES: readonly string[] = [
  'max_queued_messages 100000',
  'max_queued_bytes 67108864',
  'max_anonymous_queued_messages 10000',
  'max_anonymous_queued_bytes 16777216',
]

/**
 * Brokers as they come, but for the limits of queues, which the crash run removes; and Recado with limits for clients
 * without a login, and with a memory limit only.
 */
export const contestants: readonly Contestant[] = [
  { name: 'recado', kind: 'recado', config: QUEUES },
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
  {
    // The memory limit alone, without the limits that would keep it from being reached.
    name: 'recado-memory',
    kind: 'recado',
    config: [
      'memory_limit 300000000',
      'max_packet_size 268435460',
      'max_connect_size 0',
      'max_property_size 0',
      'max_inflight_bytes 0',
      'max_stored_bytes 0',
      'max_memory_queued_bytes 0',
      'max_retained_bytes 0',
      'max_will_bytes 0',
      'max_session_bytes 0',
      'max_unfinished_bytes 0',
      'max_output_bytes 0',
    ],
  },
  { name: 'mosquitto', kind: 'mosquitto', config: ['max_queued_messages 1000'] },
]

export interface AttackResult {
  readonly attack: string
  readonly broker: string
  /** Number of steps that the attacker made in its time. */
  readonly size: number
  /** Connections of the attacker that the broker ended, and those that it did not end within 15 s. */
  readonly ended: number
  readonly left: number
  /** Lines of the log that contain the attacker's text, and those that it has forged or broken. */
  readonly logged: number
  readonly forged: number
  /** CPU time as a part of one CPU, during the attack. */
  readonly cpu: number
  /** Memory of the broker before, and at its highest, in MB. */
  readonly memoryBeforeMB: number
  readonly memoryPeakMB: number
  /** Largest size of the data folder in MB. */
  readonly diskPeakMB: number
  readonly quiet: PairReport
  readonly felt: PairReport
  /** Measurements of the pair on the listener that is attacked; null when there is only one listener. */
  readonly there: { readonly quiet: PairReport; readonly felt: PairReport } | null
  /** Reason why the broker has ended; '' when it runs. */
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

/** Returns the space in MB that the files of a folder take on the disk. */
function diskMB(folder: string): number {
  let bytes = 0
  for (const name of readdirSync(folder)) {
    // A file may vanish meanwhile.
    bytes += (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes / 1e6
}

export interface AttackOptions {
  readonly attack: Attack
  readonly contestant: Contestant
  readonly quietMs: number
  readonly attackMs: number
  /** Time in milliseconds that the bystander waits for late messages. */
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
  let logged = 0
  let forged = 0
  let timedOut = 0
  const onLine = (line: string): void => {
    if (/Client vanished-host-\d+ (?:has|\[[^\]]*\] disconnected:) exceeded timeout/.test(line)) timedOut++
    if (!line.includes('FORGED')) return
    logged++
    // Mosquitto's lines about filters and Wills begin with a tab.
    const text = line.replace(/^\d+: \t/, '')
    if (line.startsWith(FORGED_LINE) || /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]/.test(text)) forged++
  }
  const ground = await TestBed.create(attack, contestant)
  const broker = await BrokerProcess.create(
    contestant.kind,
    (what) => {
      died = what.split('\n')[0]!
    },
    { config: ground.config, onLine },
  )
  const way: Route = ground.way ?? { port: broker.port, layer: 'tcp' }
  const bystanders = [new Bystander(broker.port), ...(ground.way === null ? [] : [new Bystander(ground.way)])]
  const watch = (ms: number): Promise<PairReport[]> => Promise.all(bystanders.map((each) => each.watch(ms, lateMs)))
  try {
    broker.launch()
    await broker.ready()
    for (const bystander of bystanders) await bystander.start()
    // The first messages run cold code
    await watch(Math.min(1_000, quietMs))
    const quiet = await watch(quietMs)
    const before = usageOf(broker.pid!)
    let memoryPeakMB = before.memoryMB
    let diskPeakMB = 0
    let last = before
    const sampler = setInterval(() => {
      if (died !== '' || broker.pid === null) return
      last = usageOf(broker.pid)
      memoryPeakMB = Math.max(memoryPeakMB, last.memoryMB)
      diskPeakMB = Math.max(diskPeakMB, diskMB(broker.dataFolder))
    }, 100)
    const started = performance.now()
    let seconds = 0
    const attacking = attackerRuns(ground.namespace, [attack.name, `${way.port}`, `${attackMs}`]).finally(() => {
      seconds = (performance.now() - started) / 1000
      clearInterval(sampler)
      if (died === '' && broker.pid !== null) last = usageOf(broker.pid)
    })
    const [done, felt] = await Promise.all([attacking, watch(attackMs)])
    const { count } = done
    let { ended, left } = done
    if (attack.isElsewhere === true) {
      const until = performance.now() + ENDING_MS
      while (timedOut < count && performance.now() < until) await after(20)
      ended = timedOut
      left = count - timedOut
    }
    return {
      attack: attack.name,
      broker: contestant.name,
      size: count,
      ended,
      left,
      logged,
      forged,
      cpu: Math.round(((last.cpuSeconds - before.cpuSeconds) / seconds) * 100) / 100,
      memoryBeforeMB: Math.round(before.memoryMB),
      memoryPeakMB: Math.round(memoryPeakMB),
      diskPeakMB: Math.round(diskPeakMB),
      quiet: quiet[0]!,
      felt: felt[0]!,
      there: felt.length === 1 ? null : { quiet: quiet[1]!, felt: felt[1]! },
      died,
    }
  } finally {
    for (const bystander of bystanders) bystander.close()
    await broker.dispose(false)
    ground.remove()
  }
}

type Done = Readonly<Record<'count' | 'ended' | 'left', number>>

/** Runs the attacker until it ends by itself. @throws when it does not report its counts */
async function attackerRuns(from: Namespace | null, args: readonly string[]): Promise<Done> {
  let last = ''
  const here: [string, string[]] = [process.execPath, [attackerPath, ...args]]
  const [command, all] = from === null ? here : from.commandFor(here[0], [...here[1], from.host, from.device])
  const child = new Child(command, all, {
    input: '',
    onLine: (line) => {
      last = line
    },
  })
  const { code, signal } = await child.exited
  if (code !== 0) throw new Error(`exit ${code ?? signal}: ${child.describe()}`)
  return JSON.parse(last) as Done
}

/** Requirements of an attack: lines of configuration, and a listener with its layer. */
class TestBed {
  readonly config: readonly string[]
  /** Route to the listener that is attacked; null for the plain one. */
  readonly way: Route | null
  /** Namespace of the attackers; null when they run here. */
  readonly namespace: Namespace | null
  readonly #folder: string

  private constructor(
    config: readonly string[],
    way: Route | null,
    folder: string,
    namespace: Namespace | null = null,
  ) {
    this.config = config
    this.way = way
    this.namespace = namespace
    this.#folder = folder
  }

  static async create({ layer, config = [], isElsewhere }: Attack, contestant: Contestant): Promise<TestBed> {
    const isOurs = contestant.kind === 'recado'
    // Only attacks on layers are about the time before CONNECT, and about the log.
    if (layer === undefined) return new TestBed(contestant.config, null, '')
    const time = isOurs ? [`connect_timeout ${CONNECT_TIMEOUT_SECONDS}`] : []
    const lines = [...time, 'log_dest stdout', 'log_type all', ...contestant.config]
    if (isElsewhere === true) {
      const namespace = new Namespace()
      const way: Route = { port: await freePort(), host: namespace.host, layer }
      const limits = contestant.config.filter((line) => LISTENER_OPTIONS.test(line))
      return new TestBed([...lines, `listener ${way.port} ${namespace.host}`, ...time, ...limits], way, '', namespace)
    }
    if (layer === 'tcp') return new TestBed([...lines, ...config], null, '')
    const folder = mkdtempSync(join(tmpdir(), 'recado-attack-'))
    const port = await freePort()
    lines.push(`listener ${port} 127.0.0.1`, ...time, ...config)
    lines.push(...contestant.config.filter((line) => LISTENER_OPTIONS.test(line)))
    let ca = ''
    if (layer === 'tls') {
      const authority = new TestAuthority('attacked')
      const { cert, key } = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
      writeFileSync(join(folder, 'cert.pem'), cert)
      writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
      lines.push(`certfile ${join(folder, 'cert.pem')}`, `keyfile ${join(folder, 'key.pem')}`)
      ca = authority.cert
    } else if (layer === 'websocket') lines.push('protocol websockets')
    else lines.push('enable_proxy_protocol 2')
    return new TestBed(lines, { port, layer, ca }, folder)
  }

  remove(): void {
    this.namespace?.remove()
    if (this.#folder !== '') rmSync(this.#folder, { recursive: true, force: true })
  }
}
