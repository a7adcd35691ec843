/**
 * The thermometers of `examples/clients` on a live broker: readings, a setting, a setting that is none, a connection that
 * the server ends, and the end of the program without a goodbye.
 */
import assert from 'node:assert/strict'
import { after, before, suite, type TestContext, test } from 'node:test'
import { type Broker, createBroker } from '@recado/broker'
import { connect } from '@recado/client'
import { Child } from '../peers/child.ts'
import { peerPath, skipWithout } from '../peers/find.ts'
import { Inbox } from '../peers/inbox.ts'
import { BuiltExample, examplePath } from './build.ts'

interface Thermometer {
  /** Name of the client in its topics, and its Client Identifier. */
  readonly name: string
  readonly skip: string | false
  command(): Promise<[string, string[]]>
}

let built: BuiltExample | undefined
const python = (peer: 'paho-python' | 'aiomqtt', folder: string): Thermometer => ({
  name: folder,
  skip: skipWithout(peer),
  command: async () => [peerPath(peer), ['-B', examplePath(`clients/${folder}/thermometer.py`)]],
})
const thermometers: readonly Thermometer[] = [
  python('paho-python', 'python-paho'),
  python('aiomqtt', 'python-aiomqtt'),
  {
    name: 'esp32',
    skip: skipWithout('make', 'cc', 'c++'),
    async command() {
      built = await BuiltExample.make('clients/esp32')
      return [built.program('thermometer'), []]
    },
  },
]

suite('examples/clients', { timeout: 600_000 }, () => {
  let broker: Broker
  let port: number

  before(async () => {
    broker = createBroker()
    ;({ port } = await broker.listen({ port: 0, host: '127.0.0.1' }))
  })
  after(async () => {
    built?.remove()
    await broker.close()
  })

  for (const { name, skip, command } of thermometers)
    test(`${name}: reads, obeys, comes back, and its Will tells of its end`, { skip }, async (context) => {
      const house = await House.watch(context, port, `house/${name}`)
      const environment = { MQTT_HOST: '127.0.0.1', MQTT_PORT: String(port) }
      const child = new Child(...(await command()), { environment })
      context.after(() => child.stop('SIGKILL'))
      const describe = (): string => child.describe()

      await house.next('status', 'online', describe)
      await house.next('temperature', /^\{"celsius": ?\d+\.?\d*\}$/, describe)
      await house.set('0.1')
      await house.next('interval', '0.1', describe)
      // Not that of 5 seconds: several come.
      for (let i = 0; i < 3; i++) await house.next('temperature', /celsius/, describe)
      await house.set('soon')
      await house.next('temperature', /celsius/, describe)

      assert.equal(
        broker.disconnect(({ clientId }) => clientId === name),
        1,
      )
      await house.next('status', 'offline', describe)
      await house.next('status', 'online', describe)
      await house.next('temperature', /celsius/, describe)

      await child.stop('SIGKILL')
      await house.next('status', 'offline', describe)
    })
})

/** What the thermometer publishes, as others see it. */
class House {
  readonly #topic: string
  readonly #client: Awaited<ReturnType<typeof connect>>
  readonly #messages: Inbox<{ topic: string; value: string; qos: number }> = new Inbox('message of the thermometer')

  private constructor(topic: string, client: Awaited<ReturnType<typeof connect>>) {
    this.#topic = topic
    this.#client = client
  }

  static async watch(context: TestContext, port: number, topic: string): Promise<House> {
    const client = await connect(`mqtt://127.0.0.1:${port}`)
    context.after(() => client.close())
    const house = new House(topic, client)
    await client.subscribe(`${topic}/#`, { qos: 1, decode: 'text' }, (message) => house.#messages.push(message)).ready
    return house
  }

  async set(value: string): Promise<void> {
    await this.#client.publish(`${this.#topic}/interval/set`, value, { qos: 1 })
  }

  /** Resolves with the next message to a topic that has such a value; passes over others. */
  async next(topic: string, value: string | RegExp, describe: () => string): Promise<void> {
    for (;;) {
      const message = await this.#messages.next().catch((error: Error) => {
        throw new Error(`${error.message}\nwaiting for ${topic} ${value}\n${describe()}`)
      })
      if (message.topic !== `${this.#topic}/${topic}`) continue
      if (typeof value === 'string' ? message.value === value : value.test(message.value)) return
    }
  }
}
