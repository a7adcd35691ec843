/**
 * Entry point for tests of other packages: the real peers that they run against. Private, imported by tests only (kept
 * by tools/tidy).
 *
 * Suites and simulation that more than one package's tests use belong here too; helpers of one package stay beside that
 * package's tests.
 */

export {
  debianPackages,
  type FoundPeer,
  findPeer,
  type PeerName,
  peerNames,
  peerPath,
  skipWithout,
} from './peers/find.ts'
export { Random } from './random.ts'
