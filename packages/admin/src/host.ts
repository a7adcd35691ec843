/**
 * The seam between the API and the program that runs the broker: what `@recado/broker` alone does not know.
 *
 * `recado` fills it in `admin/`; another program that embeds the broker may leave out what it does not have: the
 * operations that need it answer 501.
 */
import type { Readable } from 'node:stream'
import type { ClientInfo, ProtocolConnection } from '@recado/broker'
import type { Role } from './access/roles.ts'

/** Login of HTTP Basic, or of `POST /api/v1/session`; a bearer token that is not ours is a password without a user. */
export interface Login {
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
}

/** Answer to a login. `role` is null for a user who has none. */
export interface LoggedIn {
  readonly username: string
  readonly role: Role | null
}

/** A listener, as operators see it. */
export interface ListenerState {
  readonly name: string
  readonly address: string
  readonly protocol: 'mqtt' | 'websockets' | 'http_api'
  readonly tls: boolean
  readonly allowAnonymous: boolean
  /** End of the server's certificate in milliseconds since the Unix epoch; null without one. */
  readonly certificateExpiresAtMs: number | null
}

/** A bridge and its figures. */
export interface BridgeState {
  readonly name: string
  readonly state: string
  /** Address of the remote broker, HOST:PORT. */
  readonly address: string
  readonly connections: number
  readonly lastError: string
  readonly nextTrySeconds: number | null
  readonly lagSeconds: number
  readonly queuedMessages: number
  readonly inFlight: number
}

/** Answer of the rules to "may this client do this?". */
export interface RightsAnswer {
  readonly isAllowed: boolean
  /** Rule that decided, with its file and line, in words. */
  readonly by: string
}

/** A ban that began at run time. */
export interface BanState {
  readonly kind: 'address' | 'clientid' | 'username'
  readonly name: string
  readonly untilMs: number
  readonly by: string
}

/** An option as it is in force. */
export interface SettingState {
  readonly name: string
  readonly value: string
  /** File and line, or `default`. */
  readonly from: string
}

/** Configuration in force, and what is to be said about it. */
export interface ConfigurationState {
  readonly file: string | null
  readonly settings: readonly SettingState[]
  readonly lints: readonly { readonly level: string; readonly where: string; readonly text: string }[]
}

/** Free space and size of what the store has on the disk. */
export interface DiskState {
  readonly fileBytes: number
  readonly freeBytes: number
}

/** Outcome of reading configuration and files again. */
export interface ReloadOutcome {
  /** False when something could not be read, and stays as it was. */
  readonly isDone: boolean
  /** Lines of the log about it. */
  readonly lines: readonly string[]
}

/** Outcome of a change of a password. `no-user`: the file does not have the user. `no-file`: there is no password file. */
export type PasswordOutcome = 'done' | 'no-user' | 'no-file'

/** A backup that is ready to be read. */
export interface BackupState {
  readonly bytes: number
  /** The file; whoever takes it reads it to its end, or destroys it. */
  readonly stream: Readable
}

/** Functions of the program around the broker. */
export interface AdminHost {
  /** Version of the program. */
  readonly version: string
  /** Checks a login as of an MQTT client on this listener; null: refused; `busy`: it cannot be checked now. */
  login(connection: ProtocolConnection, login: Login): Promise<LoggedIn | 'busy' | null>
  /** The client certificate or pre-shared key of the connection as a login; null without one. */
  certificate?(connection: ProtocolConnection): Promise<LoggedIn | null>
  /** Role of somebody without a login who comes from this machine; null: none. */
  anonymousRole(listener: string): Role | null
  /** Whether the broker can be used: problems in words, none when it is ready. Also asked while it stops. */
  problems?(): string[]
  listeners?(): readonly ListenerState[]
  bridges?(): readonly BridgeState[]
  configuration?(): Promise<ConfigurationState>
  /** Asks the rules about a client that need not be connected. */
  checkRights?(
    client: ClientInfo,
    action: 'publish' | 'subscribe' | 'receive',
    topic: string,
  ): Promise<RightsAnswer> | RightsAnswer
  bans?(): readonly BanState[]
  ban?(kind: BanState['kind'], name: string, seconds: number, by: string): void
  unban?(kind: BanState['kind'], name: string): boolean
  /** Reads configuration and files again. */
  reload?(): Promise<ReloadOutcome>
  /** Sets the password of a user whom the password file of a listener has; default the first that has one. */
  setPassword?(username: string, password: string, listener: string | undefined): Promise<PasswordOutcome>
  /** Copies what is kept, of one moment, as a data file. null: nothing is kept. @throws Error in words */
  backup?(signal: AbortSignal): Promise<BackupState | null>
  logTypes?(): readonly string[]
  setLogTypes?(types: readonly string[]): void
  disk?(): Promise<DiskState | null>
  log(type: 'error' | 'warning' | 'notice' | 'information', event: string, text: string, fields?: LogFields): void
}

/** Fields of a line of the log besides its text. */
export type LogFields = Record<string, string | number | boolean | null | undefined>
