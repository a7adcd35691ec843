/**
 * All tunnels of a Core: those that it has accepted for clients at home elsewhere, and those that end here.
 *
 * `Mesh` has one and hands it the records. Invariant: a tunnel is here until both of its ends have been told of the end,
 * or its link has begun anew; what comes for one that is not here any more is late and changes nothing.
 */

import type { ConnectionSettings } from '../core/connection/listener-settings.ts'
import type { Core } from '../core/core.ts'
import type { Transport, TransportHandler } from '../ports.ts'
import { RecordType } from './frame.ts'
import type { Link } from './link.ts'
import { TunnelEntrance, TunnelExit } from './tunnel.ts'
import { creditOf, endOf, originOf, tunnelBytesOf, tunnelNumberOf, tunnelOpen } from './tunnel-records.ts'

export class Tunnels {
  readonly #core: Core
  readonly #settingsOf: (listener: string) => ConnectionSettings
  #number = 0
  /** Whether clients may be let in. */
  #isOpen = false
  readonly #entrances: Map<number, TunnelEntrance> = new Map()
  /** Ends of tunnels here, by the Core that has accepted them and their number. */
  readonly #exits: Map<Link, Map<number, TunnelExit>> = new Map()

  constructor(core: Core, settingsOf: (listener: string) => ConnectionSettings) {
    this.#core = core
    this.#settingsOf = settingsOf
  }

  get size(): number {
    let size = this.#entrances.size
    for (const exits of this.#exits.values()) size += exits.size
    return size
  }

  /** Makes a tunnel for a transport whose first bytes have come. Returns its handler. */
  open(link: Link, transport: Transport, bytes: Uint8Array): TransportHandler {
    this.#number = (this.#number + 1) % 0x1_0000_0000
    const number = this.#number
    const entrance = new TunnelEntrance(link, number, transport, () => this.#entrances.delete(number))
    this.#entrances.set(number, entrance)
    link.push(tunnelOpen(number, transport))
    entrance.onData(bytes)
    return entrance
  }

  /** Handles a record of a tunnel. Returns false when it is none. */
  handle(link: Link, type: number, body: Uint8Array): boolean {
    const number = tunnelNumberOf(body)
    switch (type) {
      case RecordType.TunnelOpen:
        this.#accept(link, number, body)
        return true
      case RecordType.TunnelIn:
        this.#exit(link, number)?.data(tunnelBytesOf(body))
        return true
      case RecordType.TunnelInEnd:
        this.#exit(link, number)?.closed(endOf(body))
        return true
      case RecordType.TunnelOutCredit:
        this.#exit(link, number)?.credit(creditOf(body))
        return true
      case RecordType.TunnelOut:
        this.#entrance(link, number)?.write(tunnelBytesOf(body))
        return true
      case RecordType.TunnelOutEnd:
        this.#entrance(link, number)?.end(endOf(body))
        return true
      case RecordType.TunnelInCredit:
        this.#entrance(link, number)?.credit(creditOf(body))
        return true
      default:
        return false
    }
  }

  #exit(link: Link, number: number): TunnelExit | undefined {
    return this.#exits.get(link)?.get(number)
  }

  #entrance(link: Link, number: number): TunnelEntrance | undefined {
    const entrance = this.#entrances.get(number)
    return entrance?.link === link ? entrance : undefined
  }

  #accept(link: Link, number: number, body: Uint8Array): void {
    const origin = originOf(body)
    let exits = this.#exits.get(link)
    if (exits === undefined) {
      exits = new Map()
      this.#exits.set(link, exits)
    }
    const all = exits
    const exit = new TunnelExit(link, number, origin, this.#core.context, () => all.delete(number))
    exits.set(number, exit)
    if (this.#isOpen) this.#connect(exit)
  }

  #connect(exit: TunnelExit): void {
    const handler = this.#core.connect(exit, this.#settingsOf(exit.listener))
    if (handler === null) exit.destroy()
    else exit.start(handler)
  }

  /** Clients may be let in from now on: those that have come before are served. */
  letIn(): void {
    this.#isOpen = true
    for (const exits of this.#exits.values()) for (const exit of [...exits.values()]) this.#connect(exit)
  }

  /** The other Core is another process now: no tunnel over this link has its other end any more. */
  break(link: Link): void {
    for (const entrance of [...this.#entrances.values()]) if (entrance.link === link) entrance.break()
    for (const exit of [...(this.#exits.get(link)?.values() ?? [])]) exit.break()
  }
}
