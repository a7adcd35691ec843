/**
 * The Packet Identifiers in use, each with the value that it stands for.
 *
 * Owned by a session: one map for all that this side has begun (PUBLISH at QoS 1 and 2, SUBSCRIBE, UNSUBSCRIBE share
 * one space of identifiers), one for the QoS 2 messages of the other side. Used by `Sender` and `Receiver`.
 *
 * Invariant: no identifier is allocated while it is in use [MQTT-2.2.1-3] [MQTT-2.2.1-4].
 *
 * Identifiers that follow each other lie in an array at `id & mask`: no hashing, no allocation per message. When two
 * would lie in the same slot, the array grows if it is at least half full; else the second goes to a Map. So memory
 * follows the number of identifiers held, whichever ones a peer chooses.
 *
 * Source: MQTT 5.0 section 2.2.1; MQTT 3.1.1 section 2.3.1.
 */
import { MqttError } from './errors.ts'

const PACKET_ID_MAX = 65_535
const SLOTS_MIN = 8
/** Largest number of slots that are kept when the last identifier is freed. */
const SLOTS_KEPT = 1024
/** Largest number of slots that wait in `spare` for a map that needs as many again. */
const SLOTS_SPARED = 8192
const SPARE_MAX = 16
/**
 * Empty slots, more than `SLOTS_KEPT` each, of maps that have no identifier any more: a busy one fills and empties many
 * times a second, and growing each time would cost more than all else here. All maps share them.
 */
const spare: { readonly ids: Uint16Array; readonly values: unknown[] }[] = []

/** Shared array of a map without slots. 0 is no Packet Identifier, so a look-up finds nothing. */
const NO_IDS: Uint16Array = new Uint16Array(1)
/** Shared values of a map without slots, as most sessions never need slots. Nothing is ever added. */
const NO_VALUES: undefined[] = []

export class PacketIdMap<T> {
  /** Identifier in each slot; 0 when the slot is empty. */
  #ids: Uint16Array = NO_IDS
  #values: (T | undefined)[] = NO_VALUES
  #mask = 0
  /** Values of the identifiers whose slot was taken; null when there are none. */
  #others: Map<number, T> | null = null
  #size = 0
  #last = 0
  /** Number of slots that went to `spare` last; 0 for none. */
  #spared = 0

  /** Number of identifiers in use. */
  get size(): number {
    return this.#size
  }

  /**
   * Takes the next free identifier after the one allocated last; 1 follows 65,535. Throws `MqttError`
   * ERR_MQTT_PACKET_IDS when all are in use.
   */
  allocate(value: T): number {
    if (this.#size === PACKET_ID_MAX) {
      throw new MqttError('ERR_MQTT_PACKET_IDS', 'all 65,535 Packet Identifiers are in use: wait for acknowledgements')
    }
    let id = this.#last
    do id = id === PACKET_ID_MAX ? 1 : id + 1
    while (this.has(id))
    this.#last = id
    this.#insert(id, value)
    return id
  }

  /** Allocates next what follows this number (0 to 65,535) and is free. */
  startAfter(id: number): void {
    this.#last = id
  }

  /** Takes this very identifier (1 to 65,535), or replaces its value. */
  set(id: number, value: T): void {
    if (!(id >= 1 && id <= PACKET_ID_MAX && Number.isInteger(id))) {
      throw new MqttError(
        'ERR_MQTT_PACKET_IDS',
        `${id} is not a Packet Identifier: these are integers from 1 to 65,535`,
      )
    }
    const slot = id & this.#mask
    if (this.#ids[slot] === id) this.#values[slot] = value
    else if (this.#others?.has(id)) this.#others.set(id, value)
    else this.#insert(id, value)
  }

  has(id: number): boolean {
    // An empty slot holds 0.
    if (this.#ids[id & this.#mask] === id) return id !== 0
    return this.#others?.has(id) ?? false
  }

  get(id: number): T | undefined {
    const slot = id & this.#mask
    if (this.#ids[slot] === id) return this.#values[slot]
    return this.#others === null ? undefined : this.#others.get(id)
  }

  /** Frees the identifier; returns its value, or undefined when it was free. */
  delete(id: number): T | undefined {
    const slot = id & this.#mask
    let value: T | undefined
    if (this.#ids[slot] === id && id !== 0) {
      value = this.#values[slot]
      this.#ids[slot] = 0
      this.#values[slot] = undefined
    } else {
      if (this.#others === null || !this.#others.has(id)) return undefined
      value = this.#others.get(id)
      this.#others.delete(id)
      if (this.#others.size === 0) this.#others = null
    }
    this.#size--
    if (this.#size === 0 && this.#ids.length > SLOTS_KEPT) this.#spare()
    return value
  }

  /** Frees all identifiers. Allocation goes on after the one allocated last. */
  clear(): void {
    this.#size = 0
    this.#others = null
    this.#release()
  }

  /** Returns values of the identifiers in use, in no particular order. */
  values(): T[] {
    const values: T[] = []
    for (let slot = 0; slot < this.#ids.length; slot++) {
      if (this.#ids[slot] !== 0) values.push(this.#values[slot] as T)
    }
    if (this.#others !== null) for (const value of this.#others.values()) values.push(value)
    return values
  }

  /** Returns the identifiers in use, in no particular order. */
  ids(): number[] {
    const ids: number[] = []
    for (const id of this.#ids) if (id !== 0) ids.push(id)
    if (this.#others !== null) for (const id of this.#others.keys()) ids.push(id)
    return ids
  }

  /** Adds an identifier that is not in the map. */
  #insert(id: number, value: T): void {
    if (this.#ids === NO_IDS && !this.#takeSpare()) this.#resize(SLOTS_MIN)
    while (
      this.#ids[id & this.#mask] !== 0 &&
      this.#size * 2 >= this.#ids.length &&
      this.#ids.length <= PACKET_ID_MAX
    ) {
      this.#resize(this.#ids.length * 2)
    }
    this.#put(id, value)
    this.#size++
  }

  #put(id: number, value: T): void {
    const slot = id & this.#mask
    if (this.#ids[slot] === 0) {
      this.#ids[slot] = id
      this.#values[slot] = value
    } else {
      this.#others ??= new Map()
      this.#others.set(id, value)
    }
  }

  #resize(slots: number): void {
    const ids = this.#ids
    const values = this.#values
    const others = this.#others
    this.#ids = new Uint16Array(slots)
    this.#values = new Array<T | undefined>(slots).fill(undefined)
    this.#mask = slots - 1
    this.#others = null
    for (let slot = 0; slot < ids.length; slot++) {
      if (ids[slot] !== 0) this.#put(ids[slot]!, values[slot] as T)
    }
    if (others !== null) for (const [id, value] of others) this.#put(id, value)
  }

  /** Lets go of the slots, which are all empty, so that this map or another may have them again. */
  #spare(): void {
    const ids = this.#ids
    if (ids.length <= SLOTS_SPARED && spare.length < SPARE_MAX) {
      this.#spared = ids.length
      spare.push({ ids, values: this.#values })
    }
    this.#release()
  }

  /** Takes slots from `spare` that are as many as this map had before. */
  #takeSpare(): boolean {
    if (this.#spared === 0) return false
    const at = spare.findLastIndex(({ ids }) => ids.length === this.#spared)
    this.#spared = 0
    if (at < 0) return false
    const [{ ids, values }] = spare.splice(at, 1) as [{ ids: Uint16Array; values: (T | undefined)[] }]
    this.#ids = ids
    this.#values = values
    this.#mask = ids.length - 1
    return true
  }

  #release(): void {
    this.#ids = NO_IDS
    this.#values = NO_VALUES
    this.#mask = 0
  }
}
