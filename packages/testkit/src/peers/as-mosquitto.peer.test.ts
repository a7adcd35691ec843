/**
 * `recado --as-mosquitto 2.0` beside Debian's Mosquitto: the same packets to both, and the answers compared byte by byte.
 *
 * A scenario that differs has its reason in `as-mosquitto-scenarios.ts`, and must differ: a reason that is no longer one fails too.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Connect, encode, type ProtocolVersion, packetEnd } from '@recado/protocol'
import { aclText, type Scenario, scenarios } from './as-mosquitto-scenarios.ts'
import { type RunningBroker, startBroker } from './broker.ts'
import { skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const PINGREQ = Uint8Array.of(0xc0, 0)
const PINGRESP = 'd000'
const CONNACK = '20'
/** Milliseconds after which a broker without an answer is taken to wait for more bytes, on a busy machine too. */
const QUIET_MS = 3_000

/** A connection that records what it is sent, packet by packet. */
class Recorder {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #isClosed = false
  #isClosedTold = false
  #changed: () => void = () => {}

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.on('error', () => {}) // the broker closes as it likes: 'close' follows
    this.#socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#changed()
    })
    this.#socket.on('close', () => {
      this.#isClosed = true
      this.#changed()
    })
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.destroy()
  }

  /** Returns all that comes until a PINGREQ is answered, which is sent at once, or after CONNECT when CONNACK is there. */
  async answers(isConnect: boolean): Promise<string[]> {
    const answers: string[] = []
    let hasPinged = !isConnect
    if (hasPinged && !this.#isClosed) this.#socket.write(PINGREQ)
    const deadline = Date.now() + QUIET_MS
    for (;;) {
      for (let packet = this.#take(); packet !== null; packet = this.#take()) {
        if (packet === PINGRESP && hasPinged) return answers
        answers.push(packet)
        if (!hasPinged && packet.startsWith(CONNACK)) {
          hasPinged = true
          this.#socket.write(PINGREQ)
        }
      }
      if (this.#isClosed) {
        if (!this.#isClosedTold) answers.push('closed')
        this.#isClosedTold = true
        return answers
      }
      const leftMs = deadline - Date.now()
      if (leftMs <= 0) return [...answers, 'waits']
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#changed = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  #take(): string | null {
    if (this.#bytes.length < 2) return null
    const end = packetEnd(this.#bytes, 0)
    if (end > this.#bytes.length) return null
    const packet = this.#bytes.subarray(0, end).toString('hex')
    this.#bytes = this.#bytes.subarray(end)
    return packet
  }
}

/** Plays a scenario and returns a line for each step and client that was sent something. */
async function play({ steps }: Scenario, version: ProtocolVersion, port: number): Promise<string[]> {
  const clients = new Map<string, Recorder>()
  const lines: string[] = []
  for (const [name, ...sent] of steps) {
    for (const make of sent) {
      const packet = make(version)
      let client = clients.get(name)
      if (client === undefined || (client.isClosed && packet instanceof Connect)) {
        client = new Recorder(port)
        clients.set(name, client)
      }
      client.send(packet instanceof Uint8Array ? packet : encode(packet, version))
      lines.push(`${name}: ${(await client.answers(packet instanceof Connect)).join(' ')}`)
      for (const [other, recorder] of clients) {
        if (other === name) continue
        const answers = await recorder.answers(false)
        if (answers.length > 0) lines.push(`${other}: ${answers.join(' ')}`)
      }
    }
  }
  for (const client of clients.values()) client.end()
  return lines
}

const lengths = (lines: readonly string[]): string[] => lines.map((line) => String(line.length))

/** Answers without a DISCONNECT before the end, which may have been lost. */
const cutOff = (lines: readonly string[]): string[] => [
  ...lines.slice(0, -1),
  ...lines.slice(-1).map((line) => line.replace(/e0[0-9a-f]+ closed$/, 'closed')),
]

const groups = new Map<string, Scenario[]>()
for (const scenario of scenarios) {
  const key = (scenario.config ?? []).join('\n')
  groups.set(key, [...(groups.get(key) ?? []), scenario])
}

for (const [key, group] of groups) {
  describe(`answers as Mosquitto's${key === '' ? '' : ` with ${key}`}`, { skip: skipWithout('mosquitto') }, () => {
    let folder: string
    let brokers: [RunningBroker, RunningBroker]
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'recado-as-mosquitto-'))
      writeFileSync(join(folder, 'acl'), aclText)
      const config = key === '' ? [] : key.replaceAll('FOLDER', folder).split('\n')
      brokers = [
        await startBroker('mosquitto', { config: ['user root', ...config] }),
        await startBroker('recado', {
          config: ['user root', ...config],
          args: ['--as-mosquitto', '2.0'],
          inProcess: true,
        }),
      ]
    })
    after(async () => {
      for (const broker of brokers) await broker.stop()
      rmSync(folder, { recursive: true, force: true })
    })

    for (const scenario of group) {
      const title = scenario.differs === undefined ? scenario.name : `${scenario.name}, with a reason to differ`
      test(title, { timeout: testTimeoutMs }, async () => {
        let isDifferent = false
        for (const version of scenario.versions ?? [4, 5]) {
          const [theirs, ours] = [
            await play(scenario, version as ProtocolVersion, brokers[0].port),
            await play(scenario, version as ProtocolVersion, brokers[1].port),
          ]
          if (scenario.cutOff !== undefined) assert.deepEqual(cutOff(ours), cutOff(theirs), scenario.cutOff)
          else if (scenario.random !== undefined) assert.deepEqual(lengths(ours), lengths(theirs), scenario.random)
          else if (scenario.differs === undefined) assert.deepEqual(ours, theirs, `version ${version}`)
          else isDifferent ||= ours.join('\n') !== theirs.join('\n')
        }
        if (scenario.differs !== undefined) assert.ok(isDifferent, `the same now, so not true: ${scenario.differs}`)
      })
    }
  })
}
