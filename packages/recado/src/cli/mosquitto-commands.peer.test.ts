/** Every row of `testing/mosquitto-commands.ts`, run by Debian's Mosquitto and by ours in the manner of 2.0: same output, same exit code. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, suite, test } from 'node:test'
import { type Client, connect } from '@recado/client'
import { freePort } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import {
  type ComparedCommand,
  comparedGroups,
  compareFiles,
  compareRetained,
  type Outcome,
} from '../testing/mosquitto-commands.ts'
import { runPasswd } from './passwd.ts'
import { runPub } from './pub.ts'
import { runRr } from './rr.ts'
import { runSub } from './sub.ts'

const skip = skipWithout('mosquitto', 'mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr', 'mosquitto_passwd')
const TEST_MS = 300_000
const runs = { pub: runPub, sub: runSub, rr: runRr, passwd: runPasswd }

interface Result {
  code: number | null
  out: string
  err: string
}

class Recorder extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('latin1')
    done()
  }
}

/** Replaces the parts that differ by nature: the moment, folders, numbers of packets and processes, salts. */
function plain(text: string, folder: string): string {
  return text
    .replaceAll(folder, '{folder}')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6}Z)?/g, 'TIME')
    .replace(/\b1[789]\d{8}\b(?:\.\d{9})?/g, 'TIME')
    .replace(/^(\w+:\$\d\$(?:\d+\$)?).*$/gm, '$1HASH')
}

suite('the commands of the table', { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), 'recado-compare-'))
  let server: ChildProcess
  let client: Client
  let address: string[] = []
  let folders = 0

  before(async () => {
    const port = await freePort()
    const conf = join(root, 'conf')
    const acl = join(root, 'acl')
    writeFileSync(acl, 'topic readwrite #\ntopic read $SYS/#\ntopic deny denied/#\n')
    writeFileSync(
      conf,
      [...['user root', `listener ${port} 127.0.0.1`, 'allow_anonymous true', `acl_file ${acl}`, '']].join('\n'),
    )
    server = spawn(peerPath('mosquitto'), ['-c', conf], { stdio: 'ignore' })
    client = await connect(`mqtt://127.0.0.1:${port}`, {
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 50, retry: () => true },
    })
    await client.respond('request/#', { qos: 2 }, (request) => `answer to "${request.text()}"`).ready
    address = ['-h', '127.0.0.1', '-p', String(port)]
  })
  after(async () => {
    client.destroy()
    server.kill('SIGKILL')
    await once(server, 'exit')
    rmSync(root, { recursive: true, force: true })
  })

  /** The state that each command finds. */
  async function prepare(): Promise<string> {
    const folder = join(root, String(folders++))
    mkdirSync(folder)
    for (const [name, text] of Object.entries(compareFiles)) writeFileSync(join(folder, name), text)
    return folder
  }

  async function retain(): Promise<void> {
    for (const { topic, payload, qos, properties } of compareRetained) {
      await client.publish(topic, payload, { qos, retain: true, ...(properties === undefined ? {} : { properties }) })
    }
  }

  const filled = (argv: readonly string[], folder: string): string[] =>
    argv.flatMap((word) => (word === '{server}' ? address : [word.replace('{folder}', folder)]))

  async function ours({ tool, argv, stdin = '' }: ComparedCommand): Promise<Result> {
    const folder = await prepare()
    const [stdout, stderr] = [new Recorder(), new Recorder()]
    const io = { stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr, signals: new EventEmitter(), env: {} }
    const code = await runs[tool](['--as-mosquitto', '2.0', ...filled(argv, folder)], io as never)
    return { code, out: plain(stdout.text, folder), err: plain(stderr.text, folder) }
  }

  async function theirs({ tool, argv, stdin = '' }: ComparedCommand): Promise<Result> {
    const folder = await prepare()
    // No options from the files of whoever runs them.
    const env = { ...process.env, HOME: '/nowhere', XDG_CONFIG_HOME: '/nowhere' }
    const child = spawn(peerPath(`mosquitto_${tool}`), filled(argv, folder), { env })
    const [out, err] = [new Recorder(), new Recorder()]
    child.stdout.pipe(out)
    child.stderr.pipe(err)
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out: plain(out.text, folder), err: plain(err.text, folder) }
  }

  /** Runs both, at once where neither notices the other: `sub -W` waits. */
  async function bothOf(command: ComparedCommand): Promise<[Result, Result]> {
    if (isAlone(command)) return await Promise.all([ours(command), theirs(command)])
    const our = await ours(command)
    if (changesServer(command)) await retain()
    const their = await theirs(command)
    if (changesServer(command)) await retain()
    return [our, their]
  }

  for (const { title, commands } of comparedGroups) {
    test(title, { timeout: TEST_MS }, async (context) => {
      await retain()
      for (const command of commands) {
        const line = `${command.tool} ${command.argv.join(' ')}`
        const [our, their] = await bothOf(command)
        if (command.differs === undefined) {
          assert.deepEqual(our, their, line)
          continue
        }
        assert.deepEqual(summary(our), command.differs.recado, `${line}: ours`)
        assert.deepEqual(summary(their), command.differs.mosquitto, `${line}: Mosquitto's`)
      }
      context.diagnostic(`${commands.length} commands`)
    })
  }
})

/** True when a command neither publishes nor has a Client Identifier that two cannot have at the same time. */
const isAlone = (command: ComparedCommand): boolean => {
  const { tool, argv } = command
  if (tool === 'passwd') return true
  return tool === 'sub' && !changesServer(command) && !argv.some((word) => /^(?:-[iIc].*|--id.*|--will.*)$/.test(word))
}

const changesServer = ({ argv }: ComparedCommand): boolean => argv.includes('--remove-retained')

function summary({ code, out, err }: Result): Outcome {
  const first = (text: string): string => text.split('\n').find((line) => line !== '') ?? ''
  return {
    code: code ?? -1,
    ...(out === '' ? {} : { out: first(out) }),
    ...(err === '' ? {} : { err: first(err) }),
  }
}
