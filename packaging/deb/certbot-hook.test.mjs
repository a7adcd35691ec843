/*
 * The hook by which certbot hands a renewed certificate to a running broker, with stand-ins for certbot's folder and for
 * systemctl: new connections see the new certificate, an open one stays, and the broker is not started again.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect } from 'node:tls'
import { TestAuthority } from '@recado/broker/testing'
import { root } from '../../tools/lib/workspace.mjs'

const hook = join(import.meta.dirname, 'files', 'certbot-hook')
const skip = process.platform === 'linux' ? false : 'the hook is for Debian'
const authority = new TestAuthority('stand-in of an authority')
const scratch = mkdtempSync(join(tmpdir(), 'recado-certbot-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

const lineage = join(scratch, 'live', 'mqtt.example.org')
const tls = join(scratch, 'etc', 'tls')
const tools = join(scratch, 'bin')
for (const folder of [lineage, join(scratch, 'etc'), tools]) mkdirSync(folder, { recursive: true })

/** Renews as certbot does, and calls the hook. `pid` is the process that `systemctl reload` reaches. */
function renew(commonName, pid) {
  const { cert, key } = authority.issue(commonName, { altNames: ['127.0.0.1'] })
  writeFileSync(join(lineage, 'fullchain.pem'), cert)
  writeFileSync(join(lineage, 'privkey.pem'), key, { mode: 0o600 })
  const systemctl = `#!/bin/sh\necho "$*" >>${scratch}/calls\n[ -n "${pid ?? ''}" ] || exit 3\n[ "$1" != reload ] || kill -HUP ${pid}\n`
  writeFileSync(join(tools, 'systemctl'), systemctl)
  chmodSync(join(tools, 'systemctl'), 0o755)
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH}`, RENEWED_LINEAGE: lineage, RECADO_TLS: tls }
  const { status, stderr } = spawnSync('sh', [hook], { encoding: 'utf8', env })
  assert.equal(stderr, '')
  assert.equal(status, 0)
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((closed) => server.close(closed))
  return port
}

async function connected(port) {
  const socket = connect({ port, host: '127.0.0.1', ca: authority.cert })
  await once(socket, 'secureConnect')
  return socket
}

async function shownOn(port) {
  const socket = await connected(port)
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return CN
}

const ask = async (socket, packet) => {
  socket.write(Buffer.from(packet, 'hex'))
  const [answer] = await once(socket, 'data')
  return answer.toString('hex')
}

test('a renewed certificate is shown to new connections, and an open one goes on', { skip }, async (context) => {
  renew('before', null)
  assert.equal(readFileSync(join(scratch, 'calls'), 'utf8'), 'is-active --quiet recado.service\n')
  const port = await freePort()
  const file = join(scratch, 'recado.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    `certfile ${tls}/fullchain.pem`,
    `keyfile ${tls}/privkey.pem`,
    // The hook is to be what brings the change.
    'certificate_check_interval 0',
    'persistence false',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const program = join(root, 'packages', 'recado', 'bin', 'recado.js')
  const broker = spawn(process.execPath, [program, '-c', file], { cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] })
  context.after(() => broker.kill('SIGKILL'))
  let log = ''
  broker.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  const logged = async (pattern) => {
    while (!pattern.test(log)) await once(broker.stderr, 'data')
  }
  await logged(/ running$/m)

  const open = await connected(port)
  assert.equal(await ask(open, '101000044d5154540402003c000470726f62'), '20020000')
  assert.equal(await shownOn(port), 'before')
  renew('after', broker.pid)
  await logged(/certificates of \S+ read again/)
  assert.equal(await shownOn(port), 'after')
  assert.equal(await ask(open, 'c000'), 'd000')
  assert.equal(open.getPeerCertificate().subject.CN, 'before')
  open.destroy()
  broker.kill('SIGTERM')
  const [code] = await once(broker, 'exit')
  assert.equal(code, 0)
})

test('the copy is one that others cannot read, and that of before is gone', { skip }, () => {
  renew('first', null)
  renew('second', null)
  assert.ok(lstatSync(tls).isSymbolicLink())
  assert.equal(statSync(join(tls, 'privkey.pem')).mode & 0o777, 0o640)
  assert.equal(statSync(tls).mode & 0o777, 0o750)
  assert.equal(readdirSync(join(scratch, 'etc')).length, 2)
  assert.equal(readFileSync(join(tls, 'privkey.pem'), 'utf8'), readFileSync(join(lineage, 'privkey.pem'), 'utf8'))
})

test('a renewal that lacks its key leaves what was there', { skip }, () => {
  renew('kept', null)
  const before = readFileSync(join(tls, 'fullchain.pem'), 'utf8')
  rmSync(join(lineage, 'privkey.pem'))
  const env = { ...process.env, RENEWED_LINEAGE: lineage, RECADO_TLS: tls }
  const { status } = spawnSync('sh', [hook], { encoding: 'utf8', env })
  assert.equal(status, 1)
  assert.equal(readFileSync(join(tls, 'fullchain.pem'), 'utf8'), before)
  assert.ok(existsSync(join(tls, 'privkey.pem')))
  assert.equal(readdirSync(join(scratch, 'etc')).length, 2)
})
