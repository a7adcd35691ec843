/**
 * Addresses as Mosquitto writes them: no brackets around those of IPv6, and PATH:0 for unix sockets.
 *
 * The words of both vocabularies use it. The invariant: nothing is looked up.
 */

/** `127.0.0.1` and `50123` of `127.0.0.1:50123`, `::1` of `[::1]:50123`; of a unix socket the path of its listener and 0. */
export function splitAddress(remoteAddress: string, listener: string): { ip: string; port: string } {
  const colon = remoteAddress.lastIndexOf(':')
  if (colon < 0) return { ip: remoteAddress || listener, port: '0' }
  const ip = remoteAddress.slice(0, colon)
  return { ip: ip.startsWith('[') ? ip.slice(1, -1) : ip, port: remoteAddress.slice(colon + 1) }
}

/** Returns the port of `*:1883`, `[::1]:1883`; 0 for the path of a unix socket. */
export function portOfListener(name: string): string {
  return /:(\d{1,5})$/.exec(name)?.[1] ?? '0'
}
