/**
 * Exit codes of the broker, which are those of Mosquitto 2.1: service managers and scripts tell by them what went wrong.
 *
 * `main.ts` and `serve.ts` end with them; docs/running.md has the table. Invariant: a code has one meaning.
 */
import { MqttError } from '@recado/protocol'
import type { MosquittoVersion } from './config/log.ts'
import { ConfigError } from './config/parse.ts'

export const ExitCode = {
  /** Stopped by a signal, or `--help`, `--version` and a configuration that is fine. */
  Success: 0,
  /** Anything that has no code of its own: a port or data folder in use, a user that does not exist. */
  Failure: 1,
  /** Configuration file, command line or environment. */
  Configuration: 3,
  /** Password, ACL or key file, dynamic security, webhook. */
  Access: 13,
  PidFile: 14,
} as const

/** Failures of what decides who may connect and do what, whatever their kind. */
const ofAccess: WeakSet<Error> = new WeakSet()

/** Runs `open`, whose failure ends the broker with `ExitCode.Access`. */
export async function openingAccess<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof Error) ofAccess.add(error)
    throw error
  }
}

/**
 * Exit code for a start that has failed, or a configuration that has been checked. A file or setting of TLS that cannot be used is a
 * fault of the configuration, but not for Mosquitto, which finds it when it opens the listener.
 */
export function exitCodeOf(error: unknown, asMosquitto: MosquittoVersion | null = null): number {
  if (error instanceof Error && ofAccess.has(error)) return ExitCode.Access
  if (error instanceof ConfigError && error.fault?.kind === 'tls' && asMosquitto !== null) return ExitCode.Failure
  if (error instanceof ConfigError) return ExitCode.Configuration
  if (error instanceof MqttError && error.code === 'ERR_RECADO_ENVIRONMENT') return ExitCode.Configuration
  if (error instanceof MqttError && error.code === 'ERR_RECADO_PID_FILE') return ExitCode.PidFile
  return ExitCode.Failure
}
