/** Entry point for tests of other packages: the suite that the client must pass on every server, and its helpers. */

export { resolveOptions } from '../options.ts'
export { accepts } from './accepts.ts'
export { testCertificate, testKey } from './certificate.ts'
export { clientSuite } from './client-suite.ts'
export { freePort } from './free-port.ts'
export { type RowStoreCase, rowStoreCases } from './row-store-contract.ts'
export {
  CannotServe,
  mosquittoVersion,
  Relay,
  type RunningServer,
  type ServerOptions,
  type StartServer,
  startMosquitto,
} from './server.ts'
export { type FakeServer, SimulatedWorld, turn } from './simulated.ts'
