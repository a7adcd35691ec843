/**
 * Homes: the Core where the session of a Client Identifier is. It depends on the identifier and the number of Cores only,
 * so that every Core, and every later process, knows it without asking.
 *
 * The numbers are on disks: the function never changes.
 */

const FNV_OFFSET = 0x811c_9dc5
const FNV_PRIME = 0x0100_0193
/** Sessions of the embedding program, which no client can name: they are where it has made them. */
const PROGRAM = '\0'

const encoder = new TextEncoder()

/** Returns the home of a Client Identifier: FNV-1a over its UTF-8, mixed, modulo the number of Cores. */
export function homeOf(clientId: string, cores: number): number {
  let hash = FNV_OFFSET
  for (const byte of encoder.encode(clientId)) hash = Math.imul(hash ^ byte, FNV_PRIME)
  // The low bits of FNV-1a are weak, and they are what the remainder of a power of two sees.
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85eb_ca6b)
  hash ^= hash >>> 13
  return (hash >>> 0) % cores
}

/** Whether the session of a Client Identifier is the embedding program's own. */
export function isOfProgram(clientId: string): boolean {
  return clientId.startsWith(PROGRAM)
}
