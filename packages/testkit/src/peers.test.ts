import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findProgram, type PeerName, peer, peers } from './peers.ts'

test('every peer names the Debian packages that bring it', () => {
  for (const [name, spec] of Object.entries(peers)) assert.ok(spec.debian.length > 0, name)
})

test('a program that exists is found on the PATH, one that does not is null', () => {
  assert.match(findProgram('node') ?? '', /node$/)
  assert.equal(findProgram('no-such-program-anywhere'), null)
})

test('a missing peer is a skip with a reason, and an error with CI=true', (context) => {
  const name = 'nobody' as PeerName
  const table = peers as Record<string, (typeof peers)[PeerName]>
  table[name] = { what: 'Nobody', debian: ['nobody-dev'], find: () => null }
  const before = process.env['CI']
  context.after(() => {
    delete table[name]
    if (before === undefined) delete process.env['CI']
    else process.env['CI'] = before
  })
  process.env['CI'] = 'false'
  assert.deepEqual(peer(name), { name, path: '', skip: 'Nobody is not installed (Debian: nobody-dev)' })
  process.env['CI'] = 'true'
  assert.throws(() => peer(name), /nobody-dev.*CI=true/)
})
