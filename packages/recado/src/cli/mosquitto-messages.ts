/**
 * Texts and exit codes of Mosquitto's clients for when the network or the server fails: their texts for errors of the system,
 * for CONNACK return codes and for Reason Codes.
 */
import {
  ConnectionRefusedError,
  ConnectTimeoutError,
  MqttError,
  reasonCodeName,
  TlsError,
  UnreachableError,
} from '@recado/client'

import { propertyNames } from './mosquitto-properties.ts'
import { safeLine } from './terminal.ts'

/** Exit codes of libmosquitto (`enum mosq_err_t`). */
export const ExitCode = { Success: 0, Failure: 1, ConnectionLost: 7, Tls: 8, TimedOut: 27 } as const

const connackTexts = [
  'Connection Accepted.',
  'Connection Refused: unacceptable protocol version.',
  'Connection Refused: identifier rejected.',
  'Connection Refused: broker unavailable.',
  'Connection Refused: bad user name or password.',
  'Connection Refused: not authorised.',
]

/** Texts of strerror(3) for errors of connecting and opening. */
const systemErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ENOTSOCK: 'Socket operation on non-socket',
  EPIPE: 'Broken pipe',
  EINVAL: 'Invalid argument',
  ESRCH: 'No such process',
  EPERM: 'Operation not permitted',
  EISDIR: 'Is a directory',
}

/** Returns the text for a failed call of the system, in the words of C's library where they are known. */
export const systemErrorText = ({ code, message }: NodeJS.ErrnoException): string => systemErrors[code ?? ''] ?? message

/** Returns the name of a Reason Code as Mosquitto writes it: only the first word has a capital. */
export function reasonText(reasonCode: number): string {
  const name = reasonCodeName(reasonCode)
  return name.charAt(0) + name.slice(1).replace(/[A-Z](?![A-Z])/g, (letter) => letter.toLowerCase())
}

/** Text for stderr and exit code. */
export interface Failure {
  readonly text: string
  readonly exitCode: number
}

/** Describes why there is no connection. `isPub`: mosquitto_pub says one thing more. */
export function connectFailure(error: unknown, isPub: boolean): Failure {
  if (error instanceof ConnectionRefusedError) return refused(error, isPub)
  if (error instanceof TlsError) {
    const why = `${safeLine(asArguments(error.message))}\n`
    // The other side closed the connection, or speaks no TLS: libmosquitto notices that later, and reports it in other
    // words.
    if (isBrokenOff(error)) return { text: `Error: A TLS error occurred.\n${why}`, exitCode: ExitCode.Tls }
    return { text: `Unable to connect (A TLS error occurred.).\n${why}`, exitCode: ExitCode.Failure }
  }
  if (error instanceof UnreachableError) {
    const cause = error.cause as NodeJS.ErrnoException | undefined
    const code = cause?.code ?? ''
    if (code === 'ENOTFOUND' || code.startsWith('EAI_')) {
      return { text: 'Unable to connect (Lookup error.).\n', exitCode: ExitCode.Failure }
    }
    return {
      text: `Error: ${systemErrors[code] ?? safeLine(cause?.message ?? error.message)}\n`,
      exitCode: ExitCode.Failure,
    }
  }
  if (error instanceof ConnectTimeoutError) return { text: 'Error: Connection timed out\n', exitCode: ExitCode.Failure }
  if (error instanceof MqttError && error.code === 'ERR_MQTT_CONNECTION_LOST') {
    return { text: 'Error: The connection was lost.\n', exitCode: ExitCode.ConnectionLost }
  }
  const text = error instanceof Error ? error.message : String(error)
  return { text: `Error: ${safeLine(asArguments(text))}\n`, exitCode: ExitCode.Failure }
}

function isBrokenOff({ cause }: TlsError): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? ''
  return code === 'ECONNRESET' || code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER'
}

/** Names of the client library's options on the command line. */
const argumentNames: ReadonlyMap<string, string> = new Map([
  ['tls.ca', '--cafile'],
  ['tls.cert', '--cert'],
  ['tls.key', '--key'],
  ['tls.passphrase', '--keypass-file'],
  ['tls.ciphers', '--ciphers'],
  ['tls.minVersion', '--tls-version'],
  ['tls.servername', '-h'],
  ['tls.checkServerIdentity', '--insecure'],
  ['keepAliveSeconds', '-k'],
  ['localAddress', '-A'],
  ...propertyNames,
])

/** Converts a message of the client library to the words of these tools. */
export function asArguments(message: string): string {
  return message.replace(/[\w.]+/g, (word) => {
    // The last point may end the sentence.
    const end = word.endsWith('.') ? word.length - 1 : word.length
    const argument = argumentNames.get(word.slice(0, end).replace(/^properties\./, ''))
    return argument === undefined ? word : argument + word.slice(end)
  })
}

function refused(error: ConnectionRefusedError, isPub: boolean): Failure {
  const { returnCode } = error
  if (returnCode < 0x80) {
    const text = connackTexts[returnCode] ?? 'Connection Refused: unknown reason.'
    const more = isPub ? 'Error: The connection was refused.\n' : ''
    return { text: `Connection error: ${text}\n${more}`, exitCode: returnCode }
  }
  const hint = returnCode === 0x84 ? '. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.' : ''
  const { reasonString = '' } = error
  const isSaid = reasonString === '' || reasonString.toLowerCase() === reasonCodeName(returnCode).toLowerCase()
  const why = isSaid ? '' : `${safeLine(reasonString)}\n`
  const more = isPub ? 'Error: A network protocol error occurred when communicating with the broker.\n' : ''
  return { text: `Connection error: ${reasonText(returnCode)}${hint}\n${why}${more}`, exitCode: returnCode }
}
