/** Texts of a server that wants to command the terminal of whoever connects to it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from '@recado/broker'
import type { Packet } from '@recado/client'
import { findingText } from '../doctor/findings.ts'
import { run } from '../testing/program.ts'
import { DebugLog } from './debug-log.ts'

const EVIL = '\x1b]0;title\x07\nError: forged'
const SAFE = '\\x1b]0;title\\x07\\x0aError: forged'

test('a Reason String is printed without what a terminal would obey, in one line', async (context) => {
  const broker = createBroker({ authenticate: () => ({ reasonCode: 0x87, reasonString: EVIL }) })
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0 })
  const at = ['-h', '127.0.0.1', '-p', String(port), '-V', '5', '-t', 'a']
  for (const [command, ...rest] of [['sub'], ['pub', '-n'], ['rr', '-e', 'b', '-n'], ['tree']] as const) {
    const argv = command === 'tree' ? at.filter((word) => word !== '-V' && word !== '5') : at
    const { code, err } = await run(command, ...argv, ...rest)
    assert.equal(code, 0x87, command)
    assert.ok(err.includes(`\n${SAFE}\n`), `${command}: ${JSON.stringify(err)}`)
  }
})

test('an Assigned Client Identifier and a topic are printed by -d without what a terminal would obey', () => {
  const lines: string[] = []
  const log = new DebugLog('', (line) => lines.push(line))
  const properties = { assignedClientIdentifier: EVIL }
  log.trace('received', { type: 2, sessionPresent: false, reasonCode: 0, properties } as Packet)
  log.trace('received', {
    ...{ type: 3, dup: false, qos: 0, retain: false, packetId: 0, topic: EVIL, payloadStart: 0, payloadEnd: 1 },
  } as Packet)
  assert.deepEqual(lines, [
    `Client ${SAFE} received CONNACK (0)\n`,
    `Client ${SAFE} received PUBLISH (d0, q0, r0, m0, '${SAFE}', ... (1 bytes))\n`,
  ])
})

test('a finding of the doctor stays within its line', () => {
  assert.equal(findingText({ group: 'a', state: 'ok', text: EVIL }, false), `  ok      ${SAFE}\n`)
})
