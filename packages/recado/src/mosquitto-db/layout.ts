/**
 * The layout of `mosquitto.db`, Mosquitto's snapshot, versions 5 and 6: numbers of chunks and states, and fixed heads of chunks.
 *
 * The reader (`database.ts`) and the writer (`write-database.ts`) share it. Invariant: numbers of 16 and 32 bits are big endian, those of 64
 * bits little endian, as Mosquitto writes them on the usual machines.
 *
 * A file is `MAGIC`, a checksum that is always 0, the version, and chunks: type (32 bits), length of the body (32 bits), body. A body is a
 * fixed head and then the texts, payload and properties that the head gives the lengths of.
 */
import { MqttError, type QoS } from '@recado/protocol'

export const MAGIC: Buffer = Buffer.from([0x00, 0xb5, 0x00, ...Buffer.from('mosquitto db')])
export const HEADER_BYTES: number = MAGIC.length + 8
export const CHUNK_HEADER_BYTES = 8
/** The version that Mosquitto 2.0 and 2.1 write. */
export const VERSION = 6

export const Chunk = {
  Config: 1,
  Message: 2,
  ClientMessage: 3,
  Retained: 4,
  Subscription: 5,
  Client: 6,
} as const

/** Sizes of the fixed heads, padding included. */
export const HeadBytes = {
  Config: 16,
  Message: 32,
  ClientMessage: 16,
  Retained: 8,
  Subscription: 12,
  Client: 24,
  /** Version 5: without listener port and user name. */
  Client5: 16,
} as const

/** Progress of a message to or from a client. */
export const State = {
  PublishQos0: 1,
  PublishQos1: 2,
  WaitForPuback: 3,
  PublishQos2: 4,
  WaitForPubrec: 5,
  ResendPubrel: 6,
  WaitForPubrel: 7,
  ResendPubcomp: 8,
  WaitForPubcomp: 9,
  SendPubrec: 10,
  Queued: 11,
} as const

export const Direction = { In: 0, Out: 1 } as const

/** Bits of the options of a subscription. */
export const SubscriptionBit = { NoLocal: 0x04, RetainAsPublished: 0x08 } as const

/** Session Expiry Interval that never ends. */
export const NEVER = 0xffff_ffff

/** Returns an error about such a file, for people. */
export function databaseError(message: string, cause?: unknown): MqttError {
  return new MqttError('ERR_RECADO_MOSQUITTO_DB', message, cause === undefined ? undefined : { cause })
}

/** @throws Error for a number that is no QoS */
export function qosOf(value: number): QoS {
  if (value !== 0 && value !== 1 && value !== 2) throw new Error(`it has QoS ${value}`)
  return value
}
