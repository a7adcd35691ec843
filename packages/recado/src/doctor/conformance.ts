/**
 * Statements of the specification that `recado doctor` tries: packets that a server must refuse, and answers that it must give.
 *
 * Called by `doctor.ts`. Each case has a connection of its own. A server refuses by closing the connection, with or without a DISCONNECT before; whether
 * it has is asked with a PINGREQ behind the packet.
 */
import {
  Connack,
  type ConnectOptions,
  Disconnect,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import type { Findings } from './findings.ts'
import { openStream, type Target } from './target.ts'
import { type Answer, Wire } from './wire.ts'

const GROUP = 'specification'

interface Case {
  readonly statement: string
  readonly version: ProtocolVersion
  /** A packet that is to be refused, or what is to happen. */
  readonly what: string
  /** Bytes after CONNACK that end the connection; with `isFirst` they are all that is sent. */
  readonly refused?: (topic: string) => Uint8Array
  readonly isFirst?: true
  /** A check of its own: null, it holds; else what was found. */
  readonly holds?: (wire: Wire, target: Target) => Promise<string | null>
}

const bytes = (...parts: readonly (number | string | readonly number[])[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'number' ? [part] : typeof part === 'string' ? [...Buffer.from(part)] : part,
    ),
  )

const text = (value: string): number[] => [
  ...Buffer.from([value.length >> 8, value.length & 0xff]),
  ...Buffer.from(value),
]

/** A packet of this first byte and this body, which is short. */
const packet = (first: number, ...parts: readonly (number | string | readonly number[])[]): Uint8Array => {
  const body = bytes(...parts)
  return bytes(
    first,
    [...(body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7])],
    [...body],
  )
}

const connect = (level: number, flags: number, ...rest: readonly (number | string | readonly number[])[]): Uint8Array =>
  packet(0x10, text('MQTT'), level, flags, 0, 60, ...(level === 5 ? [0] : []), ...rest)

const publish = (
  first: number,
  topic: readonly number[],
  ...rest: readonly (number | string | readonly number[])[]
): Uint8Array => packet(first, topic, ...rest)

const refusals: readonly Case[] = [
  {
    statement: 'MQTT-3.1.0-1',
    version: 4,
    what: 'a packet before CONNECT',
    isFirst: true,
    refused: () => bytes(0xc0, 0),
  },
  { statement: 'MQTT-3.1.0-2', version: 4, what: 'a second CONNECT', refused: () => connect(4, 2, text('again')) },
  {
    statement: 'MQTT-3.1.2-3',
    version: 4,
    what: 'a CONNECT with the reserved flag',
    isFirst: true,
    refused: () => connect(4, 3, text('doctor')),
  },
  {
    statement: 'MQTT-3.1.2-12',
    version: 4,
    what: 'a Will with QoS 3',
    isFirst: true,
    refused: (topic) => connect(4, 0x1e, text('doctor'), text(topic), text('x')),
  },
  {
    statement: 'MQTT-3.1.1:3.1.2-22',
    version: 4,
    what: 'a password without a user name (3.1.1)',
    isFirst: true,
    refused: () => connect(4, 0x42, text('doctor'), text('x')),
  },
  {
    statement: 'MQTT-3.3.1-4',
    version: 4,
    what: 'a PUBLISH with QoS 3',
    refused: (topic) => publish(0x36, text(topic), 0, 1, 'x'),
  },
  {
    statement: 'MQTT-3.3.2-2',
    version: 4,
    what: 'a PUBLISH to a topic with a wildcard',
    refused: (topic) => publish(0x30, text(`${topic}/#`), 'x'),
  },
  {
    statement: 'MQTT-1.5.4-2',
    version: 4,
    what: 'a topic with U+0000',
    refused: (topic) => publish(0x30, text(`${topic}/\0`), 'x'),
  },
  {
    statement: 'MQTT-1.5.4-1',
    version: 4,
    what: 'a topic that is not UTF-8',
    refused: () => publish(0x30, [0, 2, 0xc3, 0x28], 'x'),
  },
  {
    statement: 'MQTT-3.8.1-1',
    version: 4,
    what: 'a SUBSCRIBE with other flags than 2',
    refused: (topic) => packet(0x80, 0, 1, text(topic), 0),
  },
  {
    statement: 'MQTT-3.8.3-2',
    version: 4,
    what: 'a SUBSCRIBE without a Topic Filter',
    refused: () => packet(0x82, 0, 1),
  },
  {
    statement: 'MQTT-3.1.1:3.8.3-4',
    version: 4,
    what: 'a SUBSCRIBE with QoS 3',
    refused: (topic) => packet(0x82, 0, 1, text(topic), 3),
  },
  {
    statement: 'MQTT-2.2.1-3',
    version: 4,
    what: 'a SUBSCRIBE with Packet Identifier 0',
    refused: (topic) => packet(0x82, 0, 0, text(topic), 0),
  },
  {
    statement: 'MQTT-3.10.1-1',
    version: 4,
    what: 'an UNSUBSCRIBE with other flags than 2',
    refused: (topic) => packet(0xa0, 0, 1, text(topic)),
  },
  {
    statement: 'MQTT-3.3.2-8',
    version: 5,
    what: 'Topic Alias 0',
    refused: (topic) => publish(0x30, text(topic), 3, 0x23, 0, 0, 'x'),
  },
  {
    statement: 'MQTT-3.3.4-6',
    version: 5,
    what: 'a Subscription Identifier in a PUBLISH of a client',
    refused: (topic) => publish(0x30, text(topic), 2, 0x0b, 1, 'x'),
  },
  {
    statement: 'MQTT-3.8.3-4',
    version: 5,
    what: 'No Local in a Shared Subscription',
    refused: (topic) => packet(0x82, 0, 1, 0, text(`$share/doctor/${topic}`), 4),
  },
  {
    statement: 'MQTT-3.8.3-5',
    version: 5,
    what: 'reserved bits of the Subscription Options',
    refused: (topic) => packet(0x82, 0, 1, 0, text(topic), 0xc0),
  },
  {
    statement: 'section 3.8.2.1.2 of 5.0',
    version: 5,
    what: 'Subscription Identifier 0',
    refused: (topic) => packet(0x82, 0, 1, 2, 0x0b, 0, text(topic), 0),
  },
  {
    statement: 'section 2.2.2.2 of 5.0',
    version: 5,
    what: 'a property that PUBLISH has not',
    refused: (topic) => publish(0x30, text(topic), 3, 0x21, 0, 5, 'x'),
  },
  {
    statement: 'section 3.3.2.3.3 of 5.0',
    version: 5,
    what: 'a Message Expiry Interval that stands twice',
    refused: (topic) => publish(0x30, text(topic), 10, 2, 0, 0, 0, 9, 2, 0, 0, 0, 9, 'x'),
  },
]

const answers: readonly Case[] = [
  {
    ...{ statement: 'MQTT-3.12.4-1', version: 4, what: 'PINGRESP for PINGREQ' },
    holds: async (wire, { timeoutMs }) => {
      wire.send(new Pingreq())
      return expected(await wire.next(timeoutMs), Pingresp)
    },
  },
  {
    ...{ statement: 'MQTT-3.10.4-5', version: 4, what: 'UNSUBACK for what is not subscribed to' },
    holds: async (wire, { timeoutMs, topic }) => {
      wire.send(new Unsubscribe(7, [`${topic}/none`]))
      return expected(await wire.next(timeoutMs), Unsuback)
    },
  },
  {
    ...{ statement: 'MQTT-4.3.3-11', version: 5, what: 'PUBCOMP for a PUBREL, also of an unknown Packet Identifier' },
    holds: async (wire, { timeoutMs }) => {
      wire.send(new Pubrel(77))
      return expected(await wire.next(timeoutMs), Pubcomp)
    },
  },
  {
    ...{ statement: 'MQTT-4.3.3-10', version: 4, what: 'a QoS 2 message that is sent twice is delivered once' },
    holds: async (wire, { timeoutMs, topic }) => {
      wire.send(
        new Subscribe(1, [
          { topicFilter: `${topic}/once`, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        ]),
      )
      const granted = await wire.next(timeoutMs)
      if (!(granted instanceof Suback)) return expected(granted, Suback)
      if (granted.reasonCodes[0]! >= 0x80) return null
      const message = (dup: boolean): Publish =>
        Publish.of({
          topic: `${topic}/once`,
          payload: new Uint8Array([1]),
          qos: 2,
          dup,
          retain: false,
          packetId: 9,
          properties: {},
        })
      wire.send(message(false), message(true), new Pubrel(9), new Pingreq())
      let deliveries = 0
      for (let answer = await wire.next(timeoutMs); ; answer = await wire.next(timeoutMs)) {
        if (answer instanceof Publish) deliveries++
        else if (answer instanceof Pingresp) break
        else if (!(answer instanceof Pubrec || answer instanceof Pubcomp || answer instanceof Puback))
          return expected(answer, Pingresp)
      }
      // It may still be on its way behind PINGRESP.
      const later = await wire.next(Math.min(300, timeoutMs))
      if (later instanceof Publish) deliveries++
      return deliveries > 1 ? `it came ${deliveries} times` : null
    },
  },
  {
    ...{ statement: 'MQTT-4.7.1-1', version: 4, what: 'the Topic Filter a# is refused' },
    holds: async (wire, { timeoutMs }) => {
      wire.send(packet(0x82, 0, 1, text('recado/doctor/a#'), 0))
      const answer = await wire.next(timeoutMs)
      if (answer === 'closed' || answer instanceof Disconnect) return null
      if (answer instanceof Suback) return answer.reasonCodes[0]! >= 0x80 ? null : 'it is granted'
      return expected(answer, Suback)
    },
  },
]

const names: Record<string, string> = {
  closed: 'the connection was closed',
  silent: 'there was no answer',
  malformed: 'the answer is no packet that may come there',
}

function expected(answer: Answer, type: abstract new (...args: never[]) => unknown): string | null {
  if (answer instanceof type) return null
  return typeof answer === 'string' ? names[answer]! : `there came ${answer.constructor.name.toUpperCase()}`
}

/** Numbers of the statements that are tried, for a test. */
export const triedStatements: readonly string[] = [...refusals, ...answers].map(({ statement }) => statement)

export async function checkConformance(
  target: Target,
  findings: Findings,
  versions: readonly ProtocolVersion[],
): Promise<void> {
  const { username, password } = target
  const login: Partial<ConnectOptions> = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
  }
  let held = 0
  for (const each of [...refusals, ...answers]) {
    if (!versions.includes(each.version)) continue
    let problem: string | null
    try {
      problem = await tried(each, target, login)
    } catch (error) {
      problem = (error as Error).message
    }
    if (problem === null) held++
    else {
      const what = each.refused === undefined ? each.what : `${each.what} is not refused`
      findings.add(GROUP, 'fault', `${what}: ${problem}`, { statement: each.statement })
    }
  }
  findings.add(GROUP, 'ok', `${held} statements of the specification are kept`)
}

/** Tries a case. Returns what was found instead; null: the statement is kept. */
async function tried(each: Case, target: Target, login: Partial<ConnectOptions>): Promise<string | null> {
  const wire = new Wire(await openStream(target), each.version)
  try {
    if (each.isFirst !== true) {
      const connack = await wire.connect(target.timeoutMs, login)
      if (!(connack instanceof Connack) || connack.reasonCode !== 0) return 'there was no connection to try it on'
    }
    if (each.holds !== undefined) return await each.holds(wire, target)
    wire.send(each.refused!(target.topic), bytes(0xc0, 0))
    return await refusedBy(wire, target)
  } finally {
    wire.end()
  }
}

async function refusedBy(wire: Wire, { timeoutMs }: Target): Promise<string | null> {
  for (let answer = await wire.next(timeoutMs); ; answer = await wire.next(timeoutMs)) {
    if (answer === 'closed' || answer instanceof Disconnect) return null
    if (answer === 'malformed') return 'the answer is no packet that may come there'
    if (answer === 'silent') return 'it stays connected, and says nothing any more'
    if (answer instanceof Connack && answer.reasonCode === 0) return 'it is accepted'
    if (answer instanceof Connack) return null
    if (answer instanceof Pingresp) return 'it goes on as if nothing had happened'
  }
}
