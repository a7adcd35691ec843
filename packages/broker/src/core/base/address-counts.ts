/**
 * Counts of open connections by where they come from: an IPv4 address, or a /64 of IPv6, which is what one customer is given.
 *
 * The core asks before it makes a connection and tells when it has ended. Connections without an address (unix sockets) are
 * not counted.
 */
export class AddressCounts {
  readonly #counts: Map<string, number> = new Map()
  /** With fewer than there are, those that are there stay. */
  max: number

  constructor(max: number) {
    this.max = max
  }

  /** Counts a connection; returns false when there are as many already. */
  add(remoteAddress: string): boolean {
    const network = networkOf(remoteAddress)
    if (network === '') return true
    const count = this.#counts.get(network) ?? 0
    if (count >= this.max) return false
    this.#counts.set(network, count + 1)
    return true
  }

  /** `add` would say false. */
  isFull(remoteAddress: string): boolean {
    return (this.#counts.get(networkOf(remoteAddress)) ?? 0) >= this.max
  }

  /** Takes back a count: a connection that `add` has counted has ended. */
  remove(remoteAddress: string): void {
    const network = networkOf(remoteAddress)
    const count = this.#counts.get(network)
    if (count === undefined) return
    if (count === 1) this.#counts.delete(network)
    else this.#counts.set(network, count - 1)
  }

  /** Networks that have connections. */
  get size(): number {
    return this.#counts.size
  }
}

/** `192.0.2.1:50000` is `192.0.2.1`, `[2001:db8::1]:50000` is `2001:db8:0:0`; '' for none. */
export function networkOf(remoteAddress: string): string {
  if (!remoteAddress.startsWith('[')) {
    const end = remoteAddress.lastIndexOf(':')
    return end < 0 ? remoteAddress : remoteAddress.slice(0, end)
  }
  const end = remoteAddress.indexOf(']')
  // A link-local address names its interface behind a percent sign.
  const [address = ''] = remoteAddress.slice(1, end).split('%')
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  // Of eight groups the first four are the network; those that :: stands for are 0.
  const last = right === undefined || right === '' ? [] : right.split(':')
  const missing = Math.max(0, 8 - groups.length - last.length - (address.includes('.') ? 1 : 0))
  const all = [...groups, ...new Array<string>(right === undefined ? 0 : missing).fill('0'), ...last]
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+/, '') || '0')
    .join(':')
}
