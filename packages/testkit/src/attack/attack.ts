/**
 * Definition of an attack, and building blocks for attacks.
 *
 * `attacks.ts` has those by clients, `storage-attacks.ts` those on stored data, `layer-attacks.ts` those on the layers
 * below MQTT.
 */
import { setTimeout as after } from 'node:timers/promises'
import { connectBytes, type Layer, PacketType, Wire } from './wire.ts'

export interface Run {
  /** Port of the listener that is attacked. */
  readonly port: number
  readonly host: string
  /** Network device that leads to the broker; '' for attacks from this machine. */
  readonly device: string
  /** Returns false when the attack's time is over. */
  readonly goesOn: () => boolean
  /** Counts a step of the attack: a connection, a packet. */
  readonly count: (what?: number) => void
  /** Counts connections of the attacker that the broker has ended. */
  readonly ended: (connections?: number) => void
  /** Counts connections that were still open when the attacker stopped waiting. */
  readonly left: (connections: number) => void
}

export interface Attack {
  readonly name: string
  /** Description in one line, for the table. */
  readonly doc: string
  /** Layer of the listener that is attacked, which an honest pair of clients uses as well. Default: `tcp`. */
  readonly layer?: Layer
  /** More lines of mosquitto.conf for that listener. */
  readonly config?: readonly string[]
  /** Whether only Recado has the feature that is attacked, and Mosquitto does not. */
  readonly isOurs?: boolean
  /**
   * Whether the attacker runs on another machine (`netns.ts`), so that Keep Alive must end its clients,
   * `vanished-host-*`.
   */
  readonly isElsewhere?: boolean
  readonly run: (run: Run) => Promise<void>
}

export const PAYLOAD: Uint8Array = new Uint8Array(64).fill(0x78)

/** Opens `n` connections that send CONNECT, at the pace at which the broker accepts them. */
export async function connected(run: Run, n: number, name: string, more: object = {}): Promise<Wire[]> {
  const wires: Wire[] = []
  for (let i = 0; i < n && run.goesOn(); i++) {
    const wire = new Wire(run.port)
    wire.write(connectBytes(`${name}-${i}`, more))
    wires.push(wire)
    run.count()
    if (i % 50 === 49) await after(5)
  }
  await after(100)
  return wires
}

/** Writes the bytes that `make` returns to all connections while the attack goes on, and reopens closed ones. */
export async function pump(
  run: Run,
  wires: Wire[],
  make: (i: number) => Uint8Array,
  name: string,
  per = 1,
): Promise<void> {
  const blocked = new WeakSet<Wire>()
  for (let round = 0; run.goesOn(); round++) {
    for (const [i, wire] of wires.entries()) {
      if (wire.isClosed) {
        const fresh = new Wire(run.port)
        fresh.write(connectBytes(`${name}-${i}`))
        wires[i] = fresh
        continue
      }
      if (blocked.has(wire)) continue
      run.count(per)
      if (!wire.write(make(round))) {
        blocked.add(wire)
        wire.socket.once('drain', () => blocked.delete(wire))
      }
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Repeats `once` while the attack goes on, `width` calls at a time. */
export async function repeat(run: Run, width: number, once: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (run.goesOn()) {
        await once(next++)
        run.count()
      }
    }),
  )
}

export const end = (wires: readonly Wire[]): void => {
  for (const wire of wires) wire.destroy()
}

export const whenClosed = (wire: Wire): Promise<void> =>
  wire.isClosed ? Promise.resolve() : new Promise((resolve) => wire.socket.once('close', () => resolve()))

/** Resolves when CONNACK has come, or the connection is closed. */
export function greeted(port: number, bytes: Uint8Array): Promise<Wire> {
  return new Promise((resolve) => {
    const wire: Wire = new Wire(port, (packet) => {
      if (packet.type === PacketType.CONNACK) resolve(wire)
    })
    wire.write(bytes)
    void whenClosed(wire).then(() => resolve(wire))
  })
}

export async function waitToTheEnd(run: Run): Promise<void> {
  while (run.goesOn()) await after(50)
}

export const many = (bytes: Uint8Array, times: number): Uint8Array =>
  Buffer.concat(Array.from({ length: times }, () => bytes))

/** Time in milliseconds after the attack in which the broker may end the connections that are still open. */
export const ENDING_MS = 15_000
/** Largest number of connections opened in one round: an attacker that is refused at once must not flood. */
const OPENED_MAX = 50

export interface HeldConnections {
  readonly connections: number
  readonly everyMs?: number
  open(i: number): Wire
  /** Feeds a connection, once a round; `age` counts the rounds from 0. */
  feed(wire: Wire, i: number, age: number): void
}

/**
 * Holds connections open and feeds them; those that the broker ends are reopened. Then waits until the broker has ended
 * all.
 */
export async function holdOpen(run: Run, { connections, everyMs = 50, open, feed }: HeldConnections): Promise<void> {
  const wires: (Wire | null)[] = new Array<Wire | null>(connections).fill(null)
  const ages = new Uint32Array(connections)
  let until = Number.POSITIVE_INFINITY
  for (;;) {
    let opened = 0
    let held = 0
    for (let i = 0; i < connections; i++) {
      let wire = wires[i] ?? null
      if (wire?.isClosed === true) {
        run.ended()
        wires[i] = null
        wire = null
      }
      if (wire === null) {
        if (!run.goesOn() || opened >= OPENED_MAX) continue
        opened++
        wire = open(i)
        wires[i] = wire
        ages[i] = 0
        run.count()
      }
      held++
      feed(wire, i, ages[i]!)
      ages[i]!++
    }
    if (!run.goesOn()) {
      until = Math.min(until, performance.now() + ENDING_MS)
      if (held === 0 || performance.now() > until) {
        run.left(held)
        break
      }
    }
    await after(everyMs)
  }
  end(wires.filter((wire) => wire !== null))
}
