/**
 * `examples/raspberry-pi` on two hosts with a cable between them: the cable is unplugged, and both brokers are killed,
 * while the sensor goes on. Every reading arrives at the server, in order and once.
 */
import '../own-network.ts'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as tcpConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect } from '@recado/client'
import { Cable, Site, skipWithoutSites } from '../bridge/sites.ts'
import { Child } from '../peers/child.ts'
import { boundMs, Inbox } from '../peers/inbox.ts'
import { examplePath } from './build.ts'

const recadoBin = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))
const READINGS = 60

suite('examples/raspberry-pi', { skip: skipWithoutSites(), timeout: 180_000 }, () => {
  let folder: string
  let pi: Site
  let server: Site
  let cable: Cable
  const children: Child[] = []

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'recado-raspberry-'))
    pi = new Site()
    server = new Site()
    cable = new Cable(pi, server)
  })
  after(async () => {
    for (const child of children) await child.stop('SIGKILL')
    for (const site of [pi, server]) site?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  function start(site: Site, args: readonly string[], environment: Record<string, string> = {}): Child {
    const child = new Child(...site.commandFor(process.execPath, args), { environment })
    child.endInput()
    children.push(child)
    return child
  }

  /** Starts a broker with the example's file; only folders and addresses are those of the test. */
  async function startBroker(site: Site, name: 'pi' | 'server'): Promise<Child> {
    const text = readFileSync(examplePath(`raspberry-pi/${name}.conf`), 'utf8')
      .replace(/^persistence_location /m, `persistence_location ${folder}/`)
      .replace(/^address .*/m, `address ${cable.hosts[1]}:1883`)
      .replace(/^listener 1883 127\.0\.0\.1$/m, 'listener 1883')
    const file = join(folder, `${name}.conf`)
    writeFileSync(file, text)
    const broker = start(site, [recadoBin, '-c', file])
    const deadline = Date.now() + boundMs
    while (!(await accepts(site))) {
      assert.ok(!broker.hasExited && Date.now() < deadline, `no broker at ${name}\n${broker.describe()}`)
    }
    return broker
  }

  test('every reading arrives in order and once, through a cut line and two killed brokers', async () => {
    let piBroker = await startBroker(pi, 'pi')
    let serverBroker = await startBroker(server, 'server')
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
      const sensor = start(pi, [examplePath('dist/raspberry-pi/sensor.js'), '0.05', String(READINGS)])
      const all: number[] = []
      const until = async (count: number): Promise<void> => {
        while (all.length < count) all.push(await received.next())
      }
      await until(10)
      cable.unplug()
      await piBroker.stop('SIGKILL')
      piBroker = await startBroker(pi, 'pi')
      cable.plug()
      await until(30)
      await serverBroker.stop('SIGKILL')
      serverBroker = await startBroker(server, 'server')
      await until(READINGS)
      assert.deepEqual(
        all,
        Array.from({ length: READINGS }, (_, i) => i),
      )
      assert.equal((await sensor.exited).code, 0, sensor.describe())
      await watcher.publish('house-7/ordenes/led', 'on', { qos: 1 })
      assert.equal(await orders.next(), 'ordenes/led on')
      assert.equal(received.size, 0)
    } finally {
      watcher.destroy()
      house.destroy()
    }
  })
})

/** Resolves with whether something accepts on port 1883 of the site, after 10 ms when nothing does. */
function accepts(site: Site): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tcpConnect({ host: site.host, port: 1883 })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => setTimeout(() => resolve(false), 10))
  })
}
