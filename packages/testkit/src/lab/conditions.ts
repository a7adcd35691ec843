/**
 * The bad networks of the laboratory: what the line does, what happens to it in the course of a cell, and how much is
 * sent meanwhile.
 *
 * `plan.ts` makes cells of them, `cell.ts` plays them, `report.ts` has their titles. Times are milliseconds from the
 * first message.
 */
import { SERVER_NAME } from './line.ts'

export interface LineEvent {
  readonly atMs: number
  /** Command for the line (`lab_line.c`). */
  readonly line?: string
  /** Seconds by which the clock of the condition's `clock` is then off. */
  readonly clockSeconds?: number
}

export interface Condition {
  readonly name: string
  readonly title: { readonly en: string; readonly es: string }
  /** What the line does all the time. */
  readonly line?: string
  /** What happens in between, in order. The first one is the beginning of the fault, the last one its end. */
  readonly events: readonly LineEvent[]
  /** Number of messages in each direction, and the time between two of them. */
  readonly messages: number
  readonly intervalMs: number
  readonly payloadBytes: number
  readonly keepAliveSeconds: number
  /** Time in which nothing is sent. */
  readonly quiet?: { readonly fromMs: number; readonly toMs: number }
  /** Host to connect to; default: the server's address. */
  readonly host?: string
  /** Whether both hosts look for a packet size that passes (Linux: net.ipv4.tcp_mtu_probing). */
  readonly probesMtu?: boolean
  /** Largest packet that the device's interface takes; default 1,500. */
  readonly deviceMtu?: number
  /** Side whose clock steps. */
  readonly clock?: 'device' | 'server'
}

/** Steady: the line is as it is. 10 seconds of messages, and as long as the last one takes. */
const steady = { events: [], messages: 100, intervalMs: 100, payloadBytes: 100, keepAliveSeconds: 60 } as const
/** Fault: begins after a second and ends, with messages before, meanwhile and after. */
const CUT_MS = 1_000
const fault = { messages: 40, intervalMs: 500, payloadBytes: 100, keepAliveSeconds: 5 } as const
const cut = (direction: string, forMs: number): LineEvent[] => [
  { atMs: CUT_MS, line: `line ${direction} cut=1` },
  { atMs: CUT_MS + forMs, line: `line ${direction} cut=0` },
]
/** Time in milliseconds for which both ends notice a cut at a Keep Alive of 5 seconds: 1.5 times that, and some more. */
const NOTICED_MS = 14_000
const HOUR = 3_600
/** A clock that is an hour ahead, and then an hour behind. */
const clockSteps = {
  events: [
    { atMs: 2_000, clockSeconds: HOUR },
    { atMs: 8_000, clockSeconds: -HOUR },
  ],
  ...fault,
  messages: 30,
} as const
const NAT_MS = 4_000

export const conditions: readonly Condition[] = [
  { name: 'good', title: { en: 'a good line', es: 'una buena línea' }, ...steady },
  {
    name: 'delay',
    title: { en: '300 ms each way, ±50', es: '300 ms en cada sentido, ±50' },
    line: 'line both delay=300 jitter=50',
    ...steady,
  },
  { name: 'loss-1', title: { en: '1 % lost', es: '1 % perdido' }, line: 'line both delay=20 loss=1', ...steady },
  { name: 'loss-5', title: { en: '5 % lost', es: '5 % perdido' }, line: 'line both delay=20 loss=5', ...steady },
  { name: 'loss-20', title: { en: '20 % lost', es: '20 % perdido' }, line: 'line both delay=20 loss=20', ...steady },
  {
    name: 'duplicated',
    title: { en: '10 % twice', es: '10 % dos veces' },
    line: 'line both delay=20 dup=10',
    ...steady,
  },
  {
    name: 'reordered',
    title: { en: '25 % overtake others', es: '25 % adelantan a otros' },
    line: 'line both delay=50 reorder=25',
    ...steady,
    intervalMs: 20,
  },
  {
    name: 'slow',
    title: { en: '64 kbit/s, 45 of them sent', es: '64 kbit/s, se envían 45' },
    line: 'line both rate=64000',
    ...steady,
    payloadBytes: 500,
  },
  {
    name: 'overloaded',
    title: { en: '64 kbit/s, 85 of them sent', es: '64 kbit/s, se envían 85' },
    line: 'line both rate=64000',
    ...steady,
    payloadBytes: 1_000,
  },
  {
    name: 'mtu',
    title: { en: 'MTU 576, told, 2,000 bytes each', es: 'MTU 576, avisada, 2000 bytes cada uno' },
    line: 'line both mtu=576 icmp=1',
    ...steady,
    payloadBytes: 2_000,
  },
  {
    name: 'mtu-untold',
    title: { en: 'MTU 576, not told, 2,000 bytes each', es: 'MTU 576, sin aviso, 2000 bytes cada uno' },
    line: 'line both mtu=576 icmp=0',
    ...steady,
    payloadBytes: 2_000,
    keepAliveSeconds: 5,
  },
  {
    name: 'mtu-probing',
    title: { en: '… with tcp_mtu_probing=1, Keep Alive 60 s', es: '… con tcp_mtu_probing=1, Keep Alive 60 s' },
    line: 'line both mtu=576 icmp=0',
    ...steady,
    payloadBytes: 2_000,
    probesMtu: true,
  },
  {
    name: 'mtu-set',
    title: {
      en: "the same, MTU 576 on the device's interface",
      es: 'lo mismo, MTU 576 en la interfaz del dispositivo',
    },
    line: 'line both mtu=576 icmp=0',
    ...steady,
    payloadBytes: 2_000,
    deviceMtu: 576,
  },
  {
    name: 'cut',
    title: { en: 'cut for 14 s', es: 'cortada durante 14 s' },
    events: cut('both', NOTICED_MS),
    ...fault,
  },
  {
    name: 'cut-up',
    title: { en: 'device unheard for 14 s', es: 'el dispositivo no llega durante 14 s' },
    events: cut('up', NOTICED_MS),
    ...fault,
  },
  {
    name: 'cut-down',
    title: { en: 'server unheard for 14 s', es: 'el servidor no llega durante 14 s' },
    events: cut('down', NOTICED_MS),
    ...fault,
  },
  {
    name: 'cut-keep-alive-20',
    title: { en: 'cut for 45 s, Keep Alive 20 s', es: 'cortada durante 45 s, Keep Alive 20 s' },
    events: cut('both', 45_000),
    ...fault,
    messages: 50,
    intervalMs: 1_000,
    keepAliveSeconds: 20,
  },
  {
    name: 'flapping',
    title: { en: 'flapping: 1 s there, 2 s away, 6 times', es: 'intermitente: 1 s sí, 2 s no, 6 veces' },
    events: Array.from({ length: 6 }, (_, i) => [
      { atMs: 1_000 + i * 3_000, line: 'line both cut=1' },
      { atMs: 3_000 + i * 3_000, line: 'line both cut=0' },
    ]).flat(),
    ...fault,
  },
  {
    name: 'nat',
    title: {
      en: 'NAT forgets after 4 s, Keep Alive 20 s',
      es: 'el NAT olvida a los 4 s, Keep Alive 20 s',
    },
    line: `nat ${NAT_MS}`,
    events: [{ atMs: 10_000 }],
    quiet: { fromMs: CUT_MS, toMs: 10_000 },
    ...fault,
    keepAliveSeconds: 20,
  },
  {
    name: 'nat-kept',
    title: { en: 'NAT forgets after 8 s, Keep Alive 5 s', es: 'el NAT olvida a los 8 s, Keep Alive 5 s' },
    line: `nat ${2 * NAT_MS}`,
    events: [{ atMs: 14_000 }],
    quiet: { fromMs: CUT_MS, toMs: 14_000 },
    ...fault,
  },
  {
    name: 'dns',
    title: { en: 'cut for 14 s, name server back after 18 s', es: 'cortada 14 s, DNS de vuelta a los 18 s' },
    host: SERVER_NAME,
    events: [
      { atMs: CUT_MS, line: 'line both cut=1 dns=1' },
      { atMs: CUT_MS + NOTICED_MS, line: 'line both cut=0' },
      { atMs: CUT_MS + NOTICED_MS + 4_000, line: 'line both dns=0' },
    ],
    ...fault,
    messages: 48,
  },
  {
    name: 'clock-device',
    title: { en: "device's clock +1 h, then −1 h", es: 'reloj del dispositivo +1 h, luego −1 h' },
    clock: 'device',
    ...clockSteps,
  },
  {
    name: 'clock-server',
    title: { en: "server's clock +1 h, then −1 h", es: 'reloj del servidor +1 h, luego −1 h' },
    clock: 'server',
    ...clockSteps,
  },
]

export function conditionOf(name: string): Condition | undefined {
  return conditions.find((condition) => condition.name === name)
}
