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

/** Text of a refusal in CONNACK, in Mosquitto's words where it has them. */
export function refusalText(code: number, { reasonString }: Properties): string {
  const name = code < 0x80 ? (RETURN_CODES[code] ?? `return code ${code}`) : reasonCodeName(code as ReasonCode)
  return reasonString === undefined ? name : `${name} (${reasonString})`
}
