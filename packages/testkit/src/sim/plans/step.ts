/**
 * Steps of a plan: actions of clients, of the machine and of the operator, each at a time. One type for each kind says which fields the kind has;
 * `step` fills in the usual values.
 */
import type { Properties, QoS, Subscription } from '@recado/protocol'
import type { Reconfiguration } from '../broker-config.ts'
import type { ProfileChanges } from '../wire-client.ts'

interface OfClient {
  /** Index of the client in the plan. */
  readonly client: number
}

interface ConnectFields extends OfClient {
  readonly cleanStart: boolean
  readonly withWill: boolean
  /** Fields of the profile that this CONNECT and later ones have otherwise. */
  readonly changes: ProfileChanges
}

interface PublishFields extends OfClient {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
  /** True: the promise of the client library settles when the message is stored. */
  readonly untilStored: boolean
}

interface SubscribeFields extends OfClient {
  readonly subscriptions: readonly Subscription[]
  /** Subscription Identifier; 0: none. */
  readonly identifier: number
}

interface UnsubscribeFields extends OfClient {
  readonly topicFilters: readonly string[]
}

interface DisconnectFields extends OfClient {
  readonly reasonCode: number
  /** Session Expiry Interval of the DISCONNECT; null: none is sent. */
  readonly expirySeconds: number | null
  /** True: the client connects again later. */
  readonly comesBack: boolean
}

interface StopReadingFields extends OfClient {
  readonly ms: number
}

/** `late`: after some time; `hold`: not before the next such step; `hold-pubcomp`: PUBCOMP alone is held back. */
interface AcknowledgeFields extends OfClient {
  readonly how: 'now' | 'late' | 'hold' | 'hold-pubcomp'
}

interface RepeatFields extends OfClient {
  readonly packet: 'publish' | 'publish-late' | 'pubrel' | 'connect'
}

interface MisbehaveFields extends OfClient {
  /** Number of the packet that no client may send (`misdeedOf`). */
  readonly misdeed: number
}

interface ClientCrashFields extends OfClient {
  /** Count of calls of disk and network until the process dies. */
  readonly touches: number
  readonly downMs: number
  /** Whether the batch on its way to the disk is there after the crash. */
  readonly isLastBatchDurable: boolean
  readonly isStoreLost: boolean
  /** Count of calls after which the next process dies as well; 0: it does not. */
  readonly touchesOfRecovery: number
}

interface StoreFailsFields extends OfClient {
  readonly ms: number
  readonly code: string
}

interface StoreSlowFields extends OfClient {
  readonly ms: number
  readonly latencyMs: number
}

interface BrokerCrashFields {
  /** Count of calls of disk and network until the process dies; 0: at once. */
  readonly touches: number
  readonly downMs: number
  readonly isLastBatchDurable: boolean
  readonly touchesOfRecovery: number
  /** Changes that hold from the next start on; null: none. */
  readonly setup: Reconfiguration | null
}

interface BrokerRestartFields {
  readonly downMs: number
  readonly setup: Reconfiguration | null
}

interface DiskFailsFields {
  readonly ms: number
  readonly code: string
}

interface DiskSlowFields {
  readonly ms: number
  readonly latencyMs: number
}

/** The clock of the machine is set. */
interface ClockSetFields {
  readonly byMs: number
}

/** The process stands still. */
interface ClockJumpFields {
  readonly ms: number
}

interface MemoryFields {
  readonly livePercent: number
  readonly garbagePercent: number
}

interface RightsFields {
  readonly clientId: string
  readonly topic: string
  readonly isDenied: boolean
  /** `publish`: to have published what is left behind, a Will or a retained message. */
  readonly right: 'receive' | 'publish'
}

/** The embedding program, and one of its durable subscriptions. */
interface ProgramFields {
  readonly name: string
}

interface ProgramSubscribesFields extends ProgramFields {
  readonly topicFilter: string
}

interface ProgramHandlesFields {
  readonly how: 'now' | 'late' | 'fails'
}

/** Fields of the steps of clients, by kind. */
interface ClientFields {
  connect: ConnectFields
  publish: PublishFields
  subscribe: SubscribeFields
  unsubscribe: UnsubscribeFields
  ping: OfClient
  cut: OfClient
  'fall-silent': OfClient
  reauthenticate: OfClient
  disconnect: DisconnectFields
  'stop-reading': StopReadingFields
  acknowledge: AcknowledgeFields
  repeat: RepeatFields
  misbehave: MisbehaveFields
  'client-crash': ClientCrashFields
  'store-fails': StoreFailsFields
  'store-slow': StoreSlowFields
}

/** Fields of the steps of the machine and the operator, by kind. */
interface MachineFields {
  'broker-crash': BrokerCrashFields
  'broker-restart': BrokerRestartFields
  'disk-fails': DiskFailsFields
  'disk-slow': DiskSlowFields
  'clock-set': ClockSetFields
  'clock-jump': ClockJumpFields
  memory: MemoryFields
  rights: RightsFields
  'program-subscribes': ProgramSubscribesFields
  'program-closes': ProgramFields
  'program-unsubscribes': ProgramFields
  'program-handles': ProgramHandlesFields
  wait: object
}

interface AllFields extends ClientFields, MachineFields {}

interface Timed<Kind> {
  /** Milliseconds since the start of the run. */
  readonly atMs: number
  readonly kind: Kind
}

export type StepKind = keyof AllFields
export type FieldsOf<Kind extends StepKind> = AllFields[Kind]
export type ClientStep = { [Kind in keyof ClientFields]: Timed<Kind> & ClientFields[Kind] }[keyof ClientFields]
export type MachineStep = { [Kind in keyof MachineFields]: Timed<Kind> & MachineFields[Kind] }[keyof MachineFields]
export type Step = ClientStep | MachineStep
export type PublishStep = Timed<'publish'> & PublishFields

const OF_CLIENT = { client: -1 }
const CRASH = { touches: 0, downMs: 0, isLastBatchDurable: false, touchesOfRecovery: 0 }

/** Usual values of each kind. */
const DEFAULTS: { readonly [Kind in StepKind]: FieldsOf<Kind> } = {
  connect: { ...OF_CLIENT, cleanStart: false, withWill: false, changes: {} },
  publish: { ...OF_CLIENT, topic: '', payload: '', qos: 0, retain: false, properties: {}, untilStored: false },
  subscribe: { ...OF_CLIENT, subscriptions: [], identifier: 0 },
  unsubscribe: { ...OF_CLIENT, topicFilters: [] },
  ping: OF_CLIENT,
  cut: OF_CLIENT,
  'fall-silent': OF_CLIENT,
  reauthenticate: OF_CLIENT,
  disconnect: { ...OF_CLIENT, reasonCode: 0, expirySeconds: 0, comesBack: false },
  'stop-reading': { ...OF_CLIENT, ms: 0 },
  acknowledge: { ...OF_CLIENT, how: 'now' },
  repeat: { ...OF_CLIENT, packet: 'publish' },
  misbehave: { ...OF_CLIENT, misdeed: 0 },
  'client-crash': { ...OF_CLIENT, ...CRASH, isStoreLost: false },
  'store-fails': { ...OF_CLIENT, ms: 0, code: '' },
  'store-slow': { ...OF_CLIENT, ms: 0, latencyMs: 0 },
  'broker-crash': { ...CRASH, setup: null },
  'broker-restart': { downMs: 0, setup: null },
  'disk-fails': { ms: 0, code: '' },
  'disk-slow': { ms: 0, latencyMs: 0 },
  'clock-set': { byMs: 0 },
  'clock-jump': { ms: 0 },
  memory: { livePercent: 0, garbagePercent: 0 },
  rights: { clientId: '', topic: '', isDenied: false, right: 'receive' },
  'program-subscribes': { name: '', topicFilter: '' },
  'program-closes': { name: '' },
  'program-unsubscribes': { name: '' },
  'program-handles': { how: 'now' },
  wait: {},
}

/** Makes a step; fields that are not given have their usual values. */
export function step<Kind extends StepKind>(atMs: number, kind: Kind, fields: Partial<FieldsOf<Kind>> = {}): Step {
  const usual: object = DEFAULTS[kind]
  return { ...usual, ...fields, atMs, kind } as unknown as Step
}
