/**
 * A script of several clients' actions at a broker, as bytes: the form in which sessions are fuzzed, simulated or over
 * sockets.
 *
 * A script is a head byte (the setup of the broker) and steps, each `[control, length high, length low, bytes…]`. The
 * lower two bits of `control` choose the connection, the next three the action; unknown ones send. Any byte string is a
 * script, so that a script can be mutated without care.
 */
import {
  Connect,
  Disconnect,
  encode,
  NO_PROPERTIES,
  type Packet,
  Pingreq,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'
import { connectBytes, wireCases } from '@recado/protocol/wire-cases'
import { mutatePackets } from './mutate.ts'
import type { FuzzRandom } from './target.ts'

export const CONNECTIONS = 4
export const Do = { Send: 0, Drop: 5, Block: 6, Wait: 7 } as const

export interface Step {
  connection: number
  action: number
  bytes: Uint8Array
}

export function stepsOf(script: Uint8Array): Step[] {
  const steps: Step[] = []
  for (let at = 1; at < script.length; ) {
    const control = script[at]!
    const length = ((script[at + 1] ?? 0) << 8) | (script[at + 2] ?? 0)
    const bytes = script.subarray(at + 3, at + 3 + length)
    const action = (control >> 2) & 7
    steps.push({ connection: control & 3, action: action < Do.Drop ? Do.Send : action, bytes })
    at += 3 + length
  }
  return steps
}

export function scriptOf(head: number, steps: readonly Step[]): Uint8Array {
  const parts: number[] = [head]
  for (const { connection, action, bytes } of steps) {
    parts.push((connection & 3) | (action << 2), (bytes.length >> 8) & 0xff, bytes.length & 0xff)
    for (const byte of bytes.subarray(0, 65_535)) parts.push(byte)
  }
  return Uint8Array.from(parts)
}

/** Changes steps, their order, or the packets in one. */
export function mutateScript(input: Uint8Array, other: Uint8Array, random: FuzzRandom): Uint8Array {
  if (input.length === 0) return other
  const head = random.oneIn(10) ? random.below(256) : input[0]!
  const steps = stepsOf(input)
  const others = stepsOf(other)
  if (steps.length === 0) return scriptOf(head, others)
  const at = random.below(steps.length)
  switch (random.below(10)) {
    case 0:
      steps.splice(at, 1)
      break
    case 1:
      steps.splice(random.below(steps.length + 1), 0, { ...steps[at]! })
      break
    case 2:
      if (others.length > 0) steps.splice(at, 0, ...others.slice(random.below(others.length)).slice(0, 4))
      break
    case 3:
      steps.splice(at, 0, {
        connection: random.below(CONNECTIONS),
        action: random.pick([Do.Drop, Do.Block, Do.Wait]),
        bytes: Uint8Array.of(random.below(256)),
      })
      break
    case 4:
      steps[at] = { ...steps[at]!, connection: random.below(CONNECTIONS) }
      break
    case 5: {
      const to = random.below(steps.length)
      const [step] = steps.splice(at, 1)
      steps.splice(to, 0, step!)
      break
    }
    default: {
      const others2 = others.length > 0 ? random.pick(others).bytes : new Uint8Array(0)
      const bytes = mutatePackets(steps[at]!.bytes, others2, random)
      steps[at] = { ...steps[at]!, bytes: bytes.subarray(0, 20_000) }
    }
  }
  return scriptOf(head, steps.slice(0, 60))
}

const send = (connection: number, version: ProtocolVersion, ...packets: Packet[]): Step => ({
  connection,
  action: Do.Send,
  bytes: Uint8Array.from(packets.flatMap((packet) => [...encode(packet, version)])),
})

const connect = (version: ProtocolVersion, clientId: string, isClean: boolean, more: object = {}): Connect =>
  new Connect({
    protocolVersion: version,
    cleanStart: isClean,
    keepAliveSeconds: 30,
    clientId,
    properties: version === 5 && !isClean ? { sessionExpiryIntervalSeconds: 60 } : NO_PROPERTIES,
    ...more,
  })

const publish = (topic: string, qos: QoS, packetId: number, more: object = {}): Publish =>
  Publish.of({ topic, qos, packetId, payload: new TextEncoder().encode('payload'), ...more })

const subscribe = (packetId: number, ...filters: string[]): Subscribe =>
  new Subscribe(
    packetId,
    filters.map((topicFilter) => ({
      topicFilter,
      qos: 2,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    })),
  )

/** Number of times that each whole session is among the seeds: there are two thousand wire cases beside them. */
const WHOLE_SESSIONS_WEIGHT = 60

/** Valid sessions of every kind, and each wire case of a client within one. */
export function seedScripts(): Uint8Array[] {
  const sessions = wholeSessions()
  return [...Array.from({ length: WHOLE_SESSIONS_WEIGHT }, () => sessions).flat(), ...wireCaseSessions()]
}

function wholeSessions(): Uint8Array[] {
  const scripts: Uint8Array[] = []
  const will = { topic: 'w/t', payload: Uint8Array.of(1), qos: 1 as QoS, retain: true, properties: NO_PROPERTIES }
  for (const version of [3, 4, 5] as const) {
    for (const head of [0, 1, 2, 3, 4, 8, 16, 0x1f]) {
      scripts.push(
        scriptOf(head, [
          send(0, version, connect(version, 'a', false, { will })),
          send(0, version, subscribe(1, 'a/#', '$share/g/+/b', 'w/+')),
          send(1, version, connect(version, 'b', true), publish('a/b', 1, 7, { retain: true })),
          send(1, version, publish('a/b', 2, 8), publish('a/c', 0, 0), new Pubrel(8), new Pingreq()),
          send(0, version, new Puback(1), new Pubrec(2), new Pubcomp(2)),
          { connection: 0, action: Do.Drop, bytes: new Uint8Array(0) },
          send(1, version, publish('a/b', 1, 9), publish('a/b', 2, 10)),
          { connection: 0, action: Do.Wait, bytes: Uint8Array.of(20) },
          send(2, version, connect(version, 'a', false)),
          send(2, version, new Puback(1), new Pubrec(2), new Pubcomp(2), new Unsubscribe(3, ['a/#', 'nothing'])),
          { connection: 2, action: Do.Block, bytes: new Uint8Array(0) },
          send(1, version, publish('w/x', 2, 11), publish('w/x', 1, 12)),
          send(3, version, connect(version, 'a', true)),
          send(3, version, new Disconnect()),
          send(1, version, new Disconnect()),
        ]),
      )
    }
    scripts.push(
      scriptOf(0, [
        send(0, version, connect(version, '', true)),
        send(0, version, publish('x', 2, 1), publish('x', 2, 1), new Pubrel(1), new Pubrel(1), publish('$SYS/x', 1, 2)),
      ]),
    )
  }
  const alias = (topic: string, topicAlias: number): Publish => publish(topic, 0, 0, { properties: { topicAlias } })
  scripts.push(
    scriptOf(0, [
      send(
        0,
        5,
        connect(5, 'a', true, { properties: { topicAliasMaximum: 3, receiveMaximum: 2, maximumPacketSize: 200 } }),
      ),
      send(0, 5, subscribe(1, '#')),
      send(1, 5, connect(5, 'b', true), alias('t', 1), alias('', 1), alias('u', 1), alias('', 1)),
      send(1, 5, publish('v', 1, 1), publish('v', 2, 2), publish('v', 1, 3), publish('v', 1, 4)),
      send(0, 5, new Puback(1), new Pubrec(2, 0x80), new Puback(3)),
      send(0, 5, new Disconnect(4, { sessionExpiryIntervalSeconds: 5 })),
    ]),
  )
  return scripts
}

function wireCaseSessions(): Uint8Array[] {
  const scripts: Uint8Array[] = []
  for (const { version, from, after, bytes } of wireCases) {
    if (from !== 'client' || bytes.length > 2_000) continue
    const steps: Step[] = after === 'connect' ? [{ connection: 0, action: Do.Send, bytes: connectBytes(version) }] : []
    scripts.push(scriptOf(0, [...steps, { connection: 0, action: Do.Send, bytes }]))
  }
  return scripts
}
