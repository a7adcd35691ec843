/**
 * Sizes of PUBLISH packets, to tell which are larger than the Maximum Packet Size of a client. [MQTT-3.1.2-24]
 *
 * Sources: MQTT 5.0 sections 1.5.5, 2.2.2.2 and 3.3.
 */
import { payloadSize } from './payload.ts'
import type { Expectation, ModelSession, Publication } from './state.ts'

/** Whether it is too large for its client, or not visible on its listener: it is not below the mount point. */
export function isTooLarge({ mountPoint, maximumPacketSize }: ModelSession, expectation: Expectation): boolean {
  const { topic } = expectation.publication
  if (mountPoint !== '' && (topic.length <= mountPoint.length || !topic.startsWith(mountPoint))) return true
  return sizeOf(expectation, mountPoint) > maximumPacketSize
}

/** Bytes of topic, payload and properties, and more than limits count for what is beside them. */
export function largestSizeOf(publication: Publication): number {
  return sizeOf({ publication, identifiers: '', qos: 2 }, '') + 16
}

/** Bytes of its PUBLISH to an MQTT 5.0 client, without a Topic Alias. */
function sizeOf(
  { publication, identifiers, qos }: Pick<Expectation, 'publication' | 'identifiers' | 'qos'>,
  mountPoint: string,
): number {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = (
    publication.passedOn === '' ? {} : JSON.parse(publication.passedOn)
  ) as {
    payloadFormatIndicator?: number
    contentType?: string
    responseTopic?: string
    correlationData?: string
    userProperties?: [string, string][]
  }
  let properties = publication.expiresAtMs === Number.POSITIVE_INFINITY ? 0 : 5
  if (payloadFormatIndicator !== undefined) properties += 2
  for (const text of [contentType, responseTopic, correlationData])
    if (text !== undefined) properties += 3 + bytesOf(text)
  for (const [name, value] of userProperties ?? []) properties += 5 + bytesOf(name) + bytesOf(value)
  for (const identifier of identifiers === '' ? [] : identifiers.split(','))
    properties += 1 + variableBytes(Number(identifier))
  const body =
    2 +
    bytesOf(publication.topic) -
    mountPoint.length +
    (qos > 0 ? 2 : 0) +
    variableBytes(properties) +
    properties +
    payloadSize(publication.payload)
  return 1 + variableBytes(body) + body
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length
}

/** Number of bytes of a Variable Byte Integer. (1.5.5) */
function variableBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}
