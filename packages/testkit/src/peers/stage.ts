/**
 * The fixture of a peer test file: one broker, and per test the clients that it opened, which end with it.
 *
 * `useStage` registers the hooks (start the broker, prepare the peers, stop all). Invariant: a test leaves no client
 * behind, whether it passes, fails or runs into its bound; and topics are unique to a test, so that the tests of a file
 * share the broker, with its retained messages, and do not see each other.
 */
import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { after, before, type TestContext } from 'node:test'
import { type BrokerOptions, type RunningBroker, skipWithoutBroker, startBroker, targetKind } from './broker.ts'
import { type MqttJsClient, mqttJs } from './mqttjs.ts'
import type { IncomingMessage, OpenOptions, OutgoingMessage, Peer, PeerClient, ProtocolVersion } from './peer.ts'

/** Bound of one test in milliseconds. An event has its own, shorter one, with a better message. */
export const testTimeoutMs: number = 300_000

export interface Stage {
  /** Broker; known once the file's `before` hooks have run, so in every test. */
  readonly broker: RunningBroker
  /** Opens a client that is killed when the test ends. */
  open<C extends PeerClient, O extends OpenOptions>(
    t: TestContext,
    peer: { open(options: O): Promise<C> },
    options: Omit<O, 'port'> & { port?: number },
  ): Promise<C>
  /** Returns a topic (and a name, where one is needed) that no other test uses. */
  topic(): string
  /** Resolves when at least `seconds` have passed by the broker's own clock. */
  brokerSeconds(t: TestContext, seconds: number): Promise<void>
}

/** Registers the fixture. `skip` is the reason why no test of this file can run, or `false`: for `test({ skip })`. */
export function useStage(peers: readonly Peer[], options: BrokerOptions = {}): { stage: Stage; skip: string | false } {
  const usable = peers.filter((peer) => peer.skip === false)
  const skip = skipWithoutBroker()
  let broker: RunningBroker | null = null
  let topics = 0

  before(async () => {
    if (skip !== false) return
    for (const peer of usable) await peer.prepare()
    broker = await startBroker(targetKind(), options)
  })
  after(async () => {
    for (const peer of usable) await peer.cleanUp()
    await broker?.stop()
  })

  const stage: Stage = {
    get broker() {
      if (broker === null) throw new Error('the broker has not been started')
      return broker
    },
    async open(t, peer, openOptions) {
      const merged = { port: stage.broker.port, ...openOptions }
      // `merged` has everything of O: its port is the only thing that the caller may leave out.
      const client = await peer.open(merged as Parameters<typeof peer.open>[0])
      t.after(() => client.kill())
      return client
    },
    topic: () => `peer/${process.pid}/${++topics}`,
    async brokerSeconds(t, seconds) {
      // A Will with a delay is the broker's own alarm clock: no sleep here, and no second clock to disagree with.
      const topic = stage.topic()
      const listener = await stage.open(t, mqttJs, { version: 5, subscriptions: [{ filter: topic, qos: 1 }] })
      const sleeper: MqttJsClient = await stage.open(t, mqttJs, {
        version: 5,
        sessionExpirySeconds: seconds + 60,
        will: { topic, payload: 'time is up', qos: 1, delaySeconds: seconds },
      })
      await sleeper.kill()
      await listener.next()
    },
  }
  return { stage, skip }
}

/**
 * Makes `size` bytes, the same in each run, with every byte value and no repetition that an off-by-one could hide in.
 */
export function patternBytes(size: number): Buffer {
  return createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16)).update(Buffer.alloc(size))
}

/** Takes messages until the one to `topic`, and returns those before it. */
export async function messagesUntil(client: PeerClient, topic: string): Promise<IncomingMessage[]> {
  const messages: IncomingMessage[] = []
  for (;;) {
    const message = await client.next()
    if (message.topic === topic) return messages
    messages.push(message)
  }
}

/** Payloads of the next `count` messages, as text. */
export async function nextPayloads(client: PeerClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  for (let i = 0; i < count; i++) payloads.push((await client.next()).payload.toString())
  return payloads
}

/** Asserts the next message; `retain` is false by default. */
export async function expectMessage(
  client: PeerClient,
  expected: { topic: string; payload: string | Uint8Array; qos: number; retain?: boolean },
): Promise<IncomingMessage> {
  const message = await client.next()
  const payload = Buffer.from(expected.payload)
  assert.deepEqual(
    { topic: message.topic, size: message.payload.length, qos: message.qos, retain: message.retain },
    { topic: expected.topic, size: payload.length, qos: expected.qos, retain: expected.retain ?? false },
  )
  // Not deepEqual: it would print ten mebibytes.
  assert.ok(message.payload.equals(payload), `the payload to ${message.topic} is not the one that was sent`)
  return message
}

/** Publishes by MQTT.js, whose connection is opened and ended for it: for tests of the receiver. */
export async function publishOnce(
  stage: Stage,
  t: TestContext,
  version: ProtocolVersion,
  ...messages: readonly OutgoingMessage[]
): Promise<void> {
  const publisher = await stage.open(t, mqttJs, { version })
  for (const message of messages) await publisher.publish(message)
  await publisher.disconnect()
}
