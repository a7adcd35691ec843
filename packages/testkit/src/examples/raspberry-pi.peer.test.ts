/**
 * `examples/raspberry-pi` on two hosts with a cable between them: the cable is unplugged, and both brokers are killed,
 * while the sensor goes on. Every reading arrives at the server, in order and once.
 */
import '../own-network.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { connect } from '@recado/client'
import { Cable, Site, skipWithoutSites } from '../bridge/sites.ts'
import { BrokerProcess } from '../crash/broker-process.ts'
import { Child } from '../peers/child.ts'
import { Inbox } from '../peers/inbox.ts'
import { examplePath } from './build.ts'

const READINGS = 60

suite('examples/raspberry-pi', { skip: skipWithoutSites(), timeout: 600_000 }, () => {
  let pi: Site
  let server: Site
  let cable: Cable
  const brokers: BrokerProcess[] = []
  const children: Child[] = []
  /** Ends of brokers that nobody asked for. */
  const faults: string[] = []

  before(() => {
    pi = new Site()
    server = new Site()
    cable = new Cable(pi, server)
  })
  after(async () => {
    for (const child of children) await child.stop('SIGKILL')
    for (const broker of brokers) await broker.dispose(false)
    for (const site of [pi, server]) site?.remove()
  })

  /** Starts a broker with the example's file; only its folder and addresses are those of the test. */
  async function startBroker(site: Site, name: 'pi' | 'server'): Promise<BrokerProcess> {
    const wholeConfig = (dataFolder: string): string =>
      readFileSync(examplePath(`raspberry-pi/${name}.conf`), 'utf8')
        .replace(/^persistence_location .*/m, `persistence_location ${dataFolder}`)
        .replace(/^address .*/m, `address ${cable.hosts[1]}:1883`)
        .replace(/^listener 1883 127\.0\.0\.1$/m, 'listener 1883')
    const onDeath = (what: string): void => void faults.push(`${name} ${what}`)
    const broker = await BrokerProcess.create('recado', onDeath, { wholeConfig, place: site })
    brokers.push(broker)
    await restart(broker)
    return broker
  }

  async function restart(broker: BrokerProcess): Promise<void> {
    broker.launch()
    await broker.ready()
  }

  test('every reading arrives in order and once, through a cut line and two killed brokers', async () => {
    const piBroker = await startBroker(pi, 'pi')
    const serverBroker = await startBroker(server, 'server')
    const received = new Inbox<number>('reading at the server', () => piBroker.describe())
    const watcher = await connect(`mqtt://${server.host}`, { clientId: 'watcher', sessionExpiryIntervalSeconds: 600 })
    const orders = new Inbox<string>('order at the Pi', () => piBroker.describe())
    const house = await connect(`mqtt://${pi.host}`, { clientId: 'house', sessionExpiryIntervalSeconds: 600 })
    try {
      await watcher.subscribe('house-7/casa/#', { qos: 2 }, (message) => {
        received.push((JSON.parse(message.text()) as { reading: number }).reading)
      }).ready
      await house.subscribe('ordenes/#', { qos: 1 }, (message) => orders.push(`${message.topic} ${message.text()}`))
        .ready
      const command = [examplePath('dist/raspberry-pi/sensor.js'), '0.05', String(READINGS)]
      const sensor = new Child(...pi.commandFor(process.execPath, command), { input: '' })
      children.push(sensor)
      const all: number[] = []
      const until = async (count: number): Promise<void> => {
        while (all.length < count) all.push(await received.next())
      }
      await until(10)
      cable.unplug()
      await piBroker.kill()
      await restart(piBroker)
      cable.plug()
      await until(30)
      await serverBroker.kill()
      await restart(serverBroker)
      await until(READINGS)
      assert.deepEqual(
        all,
        Array.from({ length: READINGS }, (_, i) => i),
      )
      assert.equal((await sensor.exited).code, 0, sensor.describe())
      await watcher.publish('house-7/ordenes/led', 'on', { qos: 1 })
      assert.equal(await orders.next(), 'ordenes/led on')
      assert.equal(received.size, 0)
      assert.deepEqual(faults, [])
    } finally {
      watcher.destroy()
      house.destroy()
    }
  })
})
