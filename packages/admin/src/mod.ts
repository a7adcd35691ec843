/** @recado/admin: HTTP API, metrics and traces of a Recado broker. */
// Declarations that name Node's types find them in every project, whatever its `types` say.
/// <reference types="node" preserve="true" />
export { type Role, roles } from './access/roles.ts'
export { type NewToken, type Token, TokenFile, TokenFileError } from './access/tokens.ts'
export { Admin, type AdminOptions, createAdmin } from './admin.ts'
export type {
  AdminHost,
  BackupState,
  BanState,
  BridgeState,
  ConfigurationState,
  DiskState,
  ListenerState,
  LogFields,
  LoggedIn,
  Login,
  PasswordOutcome,
  ReloadOutcome,
  RightsAnswer,
  SettingState,
} from './host.ts'
export type { Operation } from './http/operation.ts'
export { OtlpError, type OtlpOptions } from './otlp/otlp.ts'
