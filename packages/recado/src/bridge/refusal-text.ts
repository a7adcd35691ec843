/** Words for a CONNACK that refuses a bridge, those of Mosquitto where it has them. */
import { type Properties, type ReasonCode, reasonCodeName } from '@recado/protocol'

const RETURN_CODES = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'broker unavailable',
  'bad user name or password',
  'not authorised',
]

/** Codes for a user name and password that are not right. */
const LOGIN_CODES: ReadonlySet<number> = new Set([4, 5, 0x86, 0x87])

/** Returns the text of a refusal in CONNACK, in Mosquitto's words where it has them, with a remedy where there is one. */
export function refusalText(code: number, { reasonString }: Properties): string {
  const name = code < 0x80 ? (RETURN_CODES[code] ?? `return code ${code}`) : reasonCodeName(code as ReasonCode)
  if (reasonString !== undefined) return `${name} (${reasonString})`
  return LOGIN_CODES.has(code)
    ? `${name} (check remote_username and remote_password, and the certificate if any)`
    : name
}
