/**
 * The mesh: joins one Core with the other Cores of its broker. A Core stays a whole broker; to it the others are
 * subscribers (`Peer`), and what they forward comes in by `Intake.accept` like any message.
 *
 * An embedder makes one beside a new Core, calls `start`, hands it frames (`onFrame`), and lets clients in when it
 * `isReady`. Like the core it is deterministic: no timers, clock, chance or promises but those of the core.
 *
 * - Topic Filters: every other Core knows those that somebody has here; SUBACK waits until each has confirmed
 *   (`confirm`).
 * - QoS 1: PUBACK waits until every Core with a matching filter has acknowledged. Until then the message is kept here and
 *   sent again to each new process of that Core.
 * - QoS 2: the receipt (Packet Identifier and number) goes to the disk first, then the message leaves under that number.
 *   The other Core stores the number with the message and drops what comes again.
 * - Readiness: a process that has just started may not route before it has the filters of all others, or what it
 *   acknowledges would not reach them.
 *
 * Invariants: the epoch of a process is on the disk before the first frame leaves; a number that has been released is in
 * no frame any more.
 */
import { parseShare, ReasonCode } from '@recado/protocol'
import type { Context } from '../core/base/context.ts'
import type { Gated } from '../core/base/faults.ts'
import { type Message, Taking } from '../core/base/message.ts'
import type { ConnectionSettings } from '../core/connection/listener-settings.ts'
import type { Core } from '../core/core.ts'
import { ForwardId } from '../core/journal/forward.ts'
import { rowOf } from '../core/journal/message-row.ts'
import { PendingAnswer } from '../core/journal/pending-ack.ts'
import type { OtherCores } from '../core/routing/other-cores.ts'
import { type Bus, Table, type Transport, type TransportHandler } from '../ports.ts'
import { Doorway, type DoorwayParts } from './doorway.ts'
import { EPOCH_KEY, encodeEpoch, readSeen, storedEpoch } from './epoch.ts'
import { RecordType, readFrame, readNumber, recordOf } from './frame.ts'
import { homeOf, isOfProgram } from './homes.ts'
import { Link, type LinkOwner } from './link.ts'
import { LocalFilters } from './local-filters.ts'
import { MeshForward } from './mesh-forward.ts'
import { Peer } from './peer.ts'
import { filterOf, filterRecord, idOf, idRecord, MessageRecords } from './records.ts'
import { SeenIds } from './seen-ids.ts'
import { Tunnels } from './tunnels.ts'

/** Publishers are not read while more bytes than this wait for other Cores. */
const BACKLOG_BYTES_MAX = 32 * 1024 * 1024

export interface MeshOptions {
  /** Number of this Core, from 0 on. */
  readonly id: number
  /** Number of Cores of the broker. */
  readonly cores: number
  readonly bus: Bus
  /** Lowest epoch of this process. One without a store must give a greater one than every process before it. */
  readonly epoch?: number
  /** Called once, when clients may be let in. */
  readonly onReady?: () => void
  /** Returns the settings of the listener with this name, for a client that another Core has accepted. Default: the Core's. */
  readonly settingsOf?: (listener: string) => ConnectionSettings
}

export class Mesh implements LinkOwner, OtherCores, DoorwayParts {
  readonly id: number
  readonly epoch: number
  /** Whether the Topic Filters of all other Cores are known, so that clients may be let in. */
  isReady = false
  readonly #core: Core
  readonly #options: MeshOptions
  readonly #peers: readonly Peer[]
  readonly #byCore: (Peer | null)[]
  readonly #filters: LocalFilters
  #isStarted = false
  /** Cores whose Topic Filters have not come yet. */
  readonly #unknown: Set<number> = new Set()
  /** Messages at QoS 2 that have not been released, by the key of their identifier. */
  readonly #unreleased: Map<string, ForwardId> = new Map()
  #number = 1
  readonly #records: MessageRecords = new MessageRecords()
  /** Messages at QoS 2 of this turn, which leave at its end unless they wait for a receipt. */
  #held: MeshForward[] = []
  /** Numbers that other Cores have given, by Core and epoch. */
  readonly #seen: Map<string, SeenIds> = new Map()
  /** Identifiers that a snapshot under way has named, by Core. */
  readonly #named: Map<number, Map<number, Set<number>>> = new Map()
  #overloaded: Gated[] = []
  readonly #tunnels: Tunnels
  readonly waiting: Set<Doorway> = new Set()

  constructor(core: Core, options: MeshOptions) {
    const { id, cores, bus, epoch = 1 } = options
    const { context, router } = core
    this.id = id
    this.#core = core
    this.#options = options
    this.#tunnels = new Tunnels(core, options.settingsOf ?? (() => core.settings))
    const store = core.store
    this.epoch = Math.max(epoch, store === null ? 1 : storedEpoch(store) + 1)
    const byCore: (Peer | null)[] = []
    for (let other = 0; other < cores; other++) {
      const link = new Link(other, this, context, bus)
      byCore.push(
        other === id
          ? null
          : new Peer(link, context, router, this.#records, (message, peer) => this.#send(message, peer)),
      )
      if (other !== id) this.#unknown.add(other)
    }
    this.#byCore = byCore
    this.#peers = byCore.filter((peer) => peer !== null)
    this.#filters = new LocalFilters((topicFilter, isThere) => this.#filterChanged(topicFilter, isThere))
    for (const { subscriptions } of core.sessions.values()) {
      for (const { topicFilter } of subscriptions.values())
        this.#filters.added(parseShare(topicFilter)?.topicFilter ?? topicFilter)
    }
    router.filterListener = this.#filters
    core.intake.others = this
    if (store !== null) readSeen(store, (source, of, number) => this.#seenOf(source, of).stored.add(number))
    for (const session of core.sessions.values())
      for (const forward of session.receivedIds?.forwards?.values() ?? []) this.#keep(forward)
  }

  /** Begins to speak with the other Cores, when the epoch of this process is on the disk. */
  start(): void {
    const { context, journal } = this.#core
    context.turn.begin()
    if (journal === null) {
      this.#begin()
      return
    }
    journal.change(Table.Meta, EPOCH_KEY, 0, 0, encodeEpoch(this.epoch))
    journal.gate({ owner: null, onSafe: () => this.#begin() })
  }

  #begin(): void {
    this.#isStarted = true
    for (const { link } of this.#peers) link.speak()
    this.#noteReady()
  }

  #noteReady(): void {
    if (this.isReady || !this.#isStarted || this.#unknown.size > 0) return
    this.isReady = true
    this.#tunnels.letIn()
    this.#options.onReady?.()
  }

  /** Takes a frame from the bus. The bytes belong to the mesh from now on. */
  onFrame(bytes: Uint8Array): void {
    if (!this.#isStarted) return
    const { context } = this.#core
    context.turn.begin()
    context.faults.attempt('mesh', () => {
      const frame = readFrame(bytes)
      const { from, to } = frame.head
      const peer = this.#byCore[from] ?? null
      if (to !== this.id || peer === null)
        throw new Error(`a frame from Core ${from} to Core ${to} has come to ${this.id}`)
      peer.link.onFrame(frame)
    })
  }

  // --- connections --------------------------------------------------------------------------------------------------

  get context(): Context {
    return this.#core.context
  }

  /**
   * Takes an opened transport of a client that may have its home at any Core. Returns its handler; null while clients may
   * not be let in: destroy it.
   */
  accept(transport: Transport, settings: ConnectionSettings = this.#core.settings): TransportHandler | null {
    if (!this.isReady) return null
    this.#core.context.turn.begin()
    return new Doorway(this, transport, settings)
  }

  isHome(clientId: string): boolean {
    return isOfProgram(clientId) || homeOf(clientId, this.#options.cores) === this.id
  }

  connect(transport: Transport, settings: ConnectionSettings): TransportHandler | null {
    return this.#core.connect(transport, settings)
  }

  tunnel(clientId: string, transport: Transport, bytes: Uint8Array): TransportHandler {
    const { link } = this.#byCore[homeOf(clientId, this.#options.cores)]!
    return this.#tunnels.open(link, transport, bytes)
  }

  // --- messages of this Core ----------------------------------------------------------------------------------------

  /** A peer is given a message at QoS 1 or 2. */
  #send(message: Message, peer: Peer): void {
    const forward = message.forward === null ? this.#newForward(message) : (message.forward as MeshForward)
    forward.add(peer.link)
  }

  #newForward(message: Message): MeshForward {
    const isOnce = message.qos === 2
    const id = isOnce ? this.#keep(new ForwardId(this.epoch, this.#number++)) : null
    const forward = new MeshForward(this.#records.write(message, id), id, (done) => this.#acknowledged(done))
    message.forward = forward
    if (isOnce) {
      if (this.#held.length === 0) this.#core.context.turn.add(this)
      this.#held.push(forward)
    } else {
      forward.begin()
    }
    return forward
  }

  /** Messages at QoS 2 whose publisher needs no receipt leave. The turn calls it. */
  flush(): void {
    const held = this.#held
    this.#held = []
    for (const forward of held) if (!forward.isGated) forward.begin()
  }

  fault(where: string, error: unknown): void {
    this.#core.context.faults.note(where, error)
  }

  /** The journal has kept the receipt from before, and its publisher has sent the message again. */
  forwardAgain(message: Message, id: ForwardId): void {
    const forward = new MeshForward(this.#records.write(message, id), id, (done) => this.#acknowledged(done))
    forward.isGated = true
    const route = this.#core.router.find(message.topic)
    for (const { subscriber } of route?.targets ?? []) if (subscriber instanceof Peer) forward.add(subscriber.link)
    forward.begin()
  }

  holdBack(gated: Gated): boolean {
    if (this.waitingBytes <= BACKLOG_BYTES_MAX) return false
    this.#overloaded.push(gated)
    return true
  }

  /** Bytes of records that other Cores have not acknowledged. */
  get waitingBytes(): number {
    let bytes = 0
    for (const { link } of this.#peers) bytes += link.bytes
    return bytes
  }

  onSafe(): void {
    if (this.#overloaded.length === 0 || this.waitingBytes > BACKLOG_BYTES_MAX) return
    const overloaded = this.#overloaded
    this.#overloaded = []
    for (const gated of overloaded) this.#core.context.faults.complete(gated)
  }

  // --- identifiers of messages at QoS 2 -----------------------------------------------------------------------------

  #keep(id: ForwardId): ForwardId {
    this.#unreleased.set(id.key, id)
    id.onReleased = () => this.#released(id)
    return id
  }

  /** All Cores have a message. Without a receipt it never comes again. */
  #acknowledged({ id, isGated }: MeshForward): void {
    if (id !== null && (!isGated || id.isReleased)) this.#forget(id)
  }

  /** Notes that a publisher has released it, or has no session any more: when that is on the disk, others may forget it. */
  #released(id: ForwardId): void {
    id.isReleased = true
    // Until all have it, it may have to be sent again, and must be known then.
    if (id.forward !== null && id.forward.open > 0) return
    const { journal } = this.#core
    if (journal === null) this.#forget(id)
    else journal.gate({ owner: null, onSafe: () => this.#forget(id) })
  }

  #forget(id: ForwardId): void {
    if (!this.#unreleased.delete(id.key)) return
    // An earlier process may have sent it to any of them, or it is not known to which.
    const forward = id.epoch === this.epoch ? (id.forward as MeshForward | null) : null
    for (const { link } of this.#peers)
      if (forward === null || forward.hasGoneTo(link)) link.push(idRecord(RecordType.Released, id))
  }

  #seenOf(core: number, epoch: number): SeenIds {
    const key = `${core}.${epoch}`
    let seen = this.#seen.get(key)
    if (seen === undefined) {
      seen = new SeenIds(core, epoch)
      this.#seen.set(key, seen)
    }
    return seen
  }

  #forgetEmpty(seen: SeenIds): void {
    if (seen.isEmpty) this.#seen.delete(`${seen.core}.${seen.epoch}`)
  }

  // --- Topic Filters of this Core -----------------------------------------------------------------------------------

  #filterChanged(topicFilter: string, isThere: boolean): void {
    const record = filterRecord(isThere ? RecordType.FilterAdded : RecordType.FilterRemoved, topicFilter)
    for (const { link } of this.#peers) link.push(record)
  }

  confirm(answer: PendingAnswer): void {
    for (const { link } of this.#peers) link.confirm(answer)
  }

  begins(link: Link): void {
    this.#tunnels.break(link)
  }

  pushSnapshot(link: Link): void {
    link.push(recordOf(RecordType.SnapshotBegin, NO_BYTES))
    for (const topicFilter of this.#filters) link.push(filterRecord(RecordType.FilterAdded, topicFilter))
    for (const id of this.#unreleased.values()) link.push(idRecord(RecordType.Unreleased, id))
    link.push(recordOf(RecordType.SnapshotEnd, NO_BYTES))
  }

  /** Topic Filters of another Core, as they are known here: for looking. */
  filtersOf(core: number): string[] {
    return this.#byCore[core]?.filters ?? []
  }

  /**
   * Numbers of messages at QoS 2 that are not released, that other Cores have forwarded, and that are not sent yet; of
   * tunnels that begin or end here, and of connections that have not said whose they are.
   */
  get figures(): { readonly [name in 'unreleased' | 'seen' | 'held' | 'tunnels' | 'doorways']: number } {
    const { size } = this.#tunnels
    const [unreleased, seen, held] = [this.#unreleased.size, this.#seen.size, this.#held.length]
    return { unreleased, seen, held, tunnels: size, doorways: this.waiting.size }
  }

  // --- records of other Cores ---------------------------------------------------------------------------------------

  holdsBack(gated: Gated): boolean {
    return this.#core.journal?.holdBack(gated) === true
  }

  handleOnce(link: Link, body: Uint8Array, behindMs: number): void {
    this.#accept(link.reader.read(body, behindMs).message)
  }

  /** Gives a message of another Core to the subscribers of this one. Returns false when one of them has not got it. */
  #accept(message: Message): boolean {
    const { reasonCode } = this.#core.intake.accept(message, Taking.Forwarded)
    message.letGo()
    return reasonCode !== ReasonCode.ImplementationSpecificError
  }

  handle(link: Link, number: number, type: number, body: Uint8Array, behindMs: number): void {
    const peer = this.#byCore[link.core]!
    switch (type) {
      case RecordType.Publish:
        this.#handlePublish(link, number, body, behindMs)
        return
      case RecordType.FilterAdded:
        peer.subscribe(filterOf(body))
        break
      case RecordType.FilterRemoved:
        peer.unsubscribe(filterOf(body))
        break
      case RecordType.Released: {
        const id = idOf(body)
        const seen = this.#seenOf(link.core, id.epoch)
        seen.forget(id.number, this.#core.journal)
        this.#forgetEmpty(seen)
        break
      }
      case RecordType.SnapshotBegin:
        peer.beginSnapshot()
        this.#named.set(link.core, new Map())
        break
      case RecordType.Unreleased:
        this.#noteUnreleased(link, idOf(body))
        break
      case RecordType.SnapshotEnd:
        this.#endSnapshot(peer)
        break
      case RecordType.Failed:
        link.failed(readNumber(body, 0))
        break
      default:
        if (!this.#tunnels.handle(link, type, body)) throw new Error(`a record of type ${type} is not understood`)
    }
    link.done(link.incarnation, number)
  }

  #handlePublish(link: Link, number: number, body: Uint8Array, behindMs: number): void {
    const { journal } = this.#core
    const { message, id } = link.reader.read(body, behindMs)
    const arrival = new Arrival(link, number)
    const seen = id === null ? null : this.#seenOf(link.core, id.epoch)
    if (seen?.has(id!.number)) {
      journal?.oweAgain(seen.receipts.get(id!.number), arrival, null)
    } else {
      if (!this.#accept(message)) throw new Error('a subscriber has not got a message')
      seen?.add(message, id!.number, rowOf(message))
      journal?.owe(message, arrival, false)
    }
    if (arrival.waits === 0) link.done(link.incarnation, number)
  }

  #noteUnreleased({ core }: Link, { epoch, number }: { epoch: number; number: number }): void {
    const named = this.#named.get(core)!
    const numbers = named.get(epoch)
    if (numbers === undefined) named.set(epoch, new Set([number]))
    else numbers.add(number)
  }

  /** Everything that the other Core knows has come. */
  #endSnapshot(peer: Peer): void {
    peer.endSnapshot()
    const { core } = peer.link
    const named = this.#named.get(core)
    this.#named.delete(core)
    for (const seen of [...this.#seen.values()]) {
      if (seen.core !== core) continue
      seen.keep(named?.get(seen.epoch) ?? NO_NUMBERS, this.#core.journal)
      this.#forgetEmpty(seen)
    }
    this.#unknown.delete(core)
    this.#noteReady()
  }
}

/** Acknowledgement that is owed to another Core for a message: its rows are not safe yet. */
class Arrival extends PendingAnswer {
  readonly owner = null
  readonly #link: Link
  readonly #incarnation: number
  readonly #number: number

  constructor(link: Link, number: number) {
    super()
    this.#link = link
    this.#incarnation = link.incarnation
    this.#number = number
  }

  protected onAllSafe(): void {
    this.#link.done(this.#incarnation, this.#number)
  }
}

const NO_BYTES = new Uint8Array(0)
const NO_NUMBERS: ReadonlySet<number> = new Set()
