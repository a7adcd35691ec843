import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ToolError } from '../command-table.ts'
import { temporaryFolder } from '../testing/program.ts'
import { carryOut, type Services, undo } from './carry-out.ts'
import type { Plan } from './plan.ts'

/** A plan that copies one file, the configuration, in place of another. */
function planIn(folder: string): Plan {
  const [from, to, data] = [join(folder, 'mosquitto.conf'), join(folder, 'recado'), join(folder, 'data')]
  mkdirSync(to)
  mkdirSync(data)
  writeFileSync(from, 'listener 0\n')
  writeFileSync(join(to, 'recado.conf'), '# as it was installed\n')
  return {
    options: { from, to, data, log: join(folder, 'log'), account: null },
    files: [{ from, to: join(to, 'recado.conf'), text: 'listener 0 127.0.0.1\nallow_anonymous true\n' }],
    database: null,
    changes: [],
    differences: [],
    obstacles: [],
  } as unknown as Plan
}

function told(context: TestContext) {
  const folder = temporaryFolder(context)
  const lines: string[] = []
  const tell = (line: string): void => {
    lines.push(line)
  }
  return { folder, backup: join(folder, 'backup'), plan: planIn(folder), lines, tell }
}

const untouched: Services = { isUsed: false, disable() {}, enable() {} }

test('services that cannot be stopped end a migration before anything is made', async (context) => {
  const { backup, plan, lines, tell } = told(context)
  const services: Services = {
    isUsed: true,
    disable() {
      throw new ToolError('systemd does not run here')
    },
    enable: () => assert.fail('nothing is started'),
  }
  await assert.rejects(carryOut(plan, backup, services, tell), /systemd does not run here/)
  assert.equal(existsSync(backup), false)
  assert.deepEqual(lines, [])
})

test('where services are left alone nothing is said to be stopped or running', async (context) => {
  const { folder, backup, plan, lines, tell } = told(context)
  await carryOut(plan, backup, untouched, tell)
  assert.match(readFileSync(join(folder, 'recado', 'recado.conf'), 'utf8'), /^listener 0/)
  await undo(backup, null, untouched, tell)
  assert.equal(readFileSync(join(folder, 'recado', 'recado.conf'), 'utf8'), '# as it was installed\n')
  assert.doesNotMatch(lines.join('\n'), /is stopped|runs/)
  assert.deepEqual(
    lines.filter((line) => line.startsWith('No service')),
    ['No service was touched: start recado', 'No service was touched: start mosquitto'],
  )
})
