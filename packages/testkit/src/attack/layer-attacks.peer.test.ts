/** The attacks on layers, short, each beside two honest pairs. The long ones, and their figures, are `npm run attack`. */
import '../own-network.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { layerAttacks } from './layer-attacks.ts'
import { whyNoNamespace } from './netns.ts'
import { contestants, runAttack } from './run.ts'

/** Attacks whose every connection the broker must end. In the others the attacker leaves as well, or is let in. */
const ALL_END: ReadonlySet<string> = new Set([
  'tls-slow-handshake',
  'ws-slow-upgrade',
  'ws-compressed',
  'proxy-endless',
  'vanished',
  'vanished-host',
])

describe('attacks on layers', {
  timeout: 300_000,
  skip: process.platform !== 'linux' && 'reads the memory of a process in /proc',
}, () => {
  const [contestant] = contestants
  const missing = whyNoNamespace()
  for (const attack of layerAttacks) {
    test(`${attack.name}: nobody honest loses anything or is thrown out, attackers are, and each line of the log is one`, {
      skip: attack.isElsewhere === true && missing !== '' && missing,
    }, async () => {
      const result = await runAttack({
        attack,
        contestant: contestant!,
        quietMs: 100,
        attackMs: 600,
        lateMs: 60_000,
      })
      assert.equal(result.died, '')
      for (const felt of [result.felt, ...(result.there === null ? [] : [result.there.felt])]) {
        const { sent, ...rest } = felt
        assert.ok(sent > 0)
        assert.deepEqual([rest.lost, rest.disordered, rest.disconnects], [0, 0, 0])
      }
      assert.ok(result.size > 0)
      assert.equal(result.left, 0)
      if (ALL_END.has(attack.name)) assert.equal(result.ended, result.size)
      else if (attack.name !== 'tls-handshake-storm') assert.ok(result.ended > 0)
      assert.equal(result.forged, 0)
      if (attack.name.startsWith('log-')) assert.ok(result.logged > 0)
    })
  }
})
