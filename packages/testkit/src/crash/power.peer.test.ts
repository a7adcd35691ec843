/** The crash run with power cuts as a test: a few rounds, a control that loses, and the clock across a restart. */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { Connack } from '@recado/protocol'
import { connectBytes, Wire } from '../attack/wire.ts'
import { skipWithout } from '../peers/find.ts'
import { Random } from '../random.ts'
import { BrokerProcess } from './broker-process.ts'
import { CALM, PowerDisk } from './power.ts'
import { runCrash } from './run.ts'

const skip: string | false = skipWithout('cc', 'faketime')

const HOUR = 3_600

/** Session Present of a session of so many hours whose client was connected at a kill, and comes back after two. */
async function afterTwoHours(t: TestContext, hours: number): Promise<boolean> {
  const broker = await BrokerProcess.create('recado', (what) => assert.fail(`the broker ${what}`))
  const disk = new PowerDisk(broker.dataFolder, new Random(1))
  t.after(async () => {
    await broker.dispose(false)
    disk.dispose()
  })
  const connect = async (): Promise<Connack> => {
    const properties = { sessionExpiryIntervalSeconds: hours * HOUR }
    return await new Promise((resolve) => {
      const wire = new Wire(broker.port, (packet) => {
        if (packet instanceof Connack) resolve(packet)
      })
      wire.write(connectBytes('sleeper', { cleanStart: false, keepAliveSeconds: 0, properties }))
      t.after(() => wire.destroy())
    })
  }
  broker.launch(disk.environment(CALM))
  await broker.ready()
  assert.equal((await connect()).sessionPresent, false)
  await broker.kill()
  disk.cut()
  broker.launch(disk.environment({ ...CALM, clockSeconds: 2 * HOUR }))
  await broker.ready()
  return (await connect()).sessionPresent
}

// At once: disks that are slow, and moments that must come, are waited for.
describe('a broker whose power is cut', { skip, concurrency: true }, () => {
  test('power cuts, slow and failing disks and wrong clocks lose nothing that was acknowledged', {
    timeout: 600_000,
    skip,
  }, async () => {
    const findings: string[] = []
    const onFinding = (text: string): number => findings.push(text)
    const summary = await runCrash({ broker: 'recado', rounds: 12, seed: 5, power: true, onFinding })
    assert.ok(summary.ok, `${JSON.stringify(summary)}\n${findings.join('\n')}`)
    assert.ok(summary.acknowledged > 50, `${summary.acknowledged} acknowledged`)
    assert.ok(summary.power!.cuts > 5 && summary.power!.writes > 50, JSON.stringify(summary.power))
  })

  test('the run sees what is lost when nothing waits for the disk', { timeout: 600_000, skip }, async () => {
    const findings: string[] = []
    const summary = await runCrash({
      broker: 'recado',
      rounds: 4,
      seed: 5,
      power: true,
      config: ['durability os'],
      keepsData: false,
      onFinding: (text) => findings.push(text),
    })
    assert.equal(summary.ok, false)
    assert.ok(summary.power!.unsynced > 0, JSON.stringify(summary.power))
    assert.match(findings.join('\n'), /were lost|has lost its session/)
  })

  test('a session whose client was connected when the power went ends in its time, and no earlier', {
    timeout: 600_000,
    skip,
  }, async (t) => {
    assert.equal(await afterTwoHours(t, 1), false)
    assert.equal(await afterTwoHours(t, 3), true)
  })
})
