/**
 * Starts the broker under test as a process of its own, on a free loopback port, the way an operator would.
 *
 * One broker per test file. The target is ours; RECADO_PEER_TARGET=mosquitto runs the same tests against Debian's
 * Mosquitto, which is how the tests themselves are tested: only behaviour that both brokers show is really required by
 * the peers. Invariant: `stop` throws when the broker ended before it was told to, or did not end cleanly, so a crash
 * between two tests fails the file even when no client noticed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { accepts, freePort } from '@recado/client/testing'
import { Child } from './child.ts'
import { findPeer, peerPath } from './find.ts'
import { boundMs } from './inbox.ts'
import { OwnBroker } from './own-broker.ts'

export type BrokerKind = 'recado' | 'mosquitto'

export interface BrokerOptions {
  /** More lines of mosquitto.conf. */
  config?: readonly string[]
  /** Further arguments for our broker. */
  args?: readonly string[]
  /** Whether ours runs in this process (own-broker.ts), which spares half a second of CPU. Default: false. */
  inProcess?: boolean
}

export interface RunningBroker {
  readonly kind: BrokerKind
  readonly port: number
  readonly pid: number
  /** Returns the last lines of its log. */
  describe(): string
  stop(): Promise<void>
}

/** Returns the kind of broker that the peer tests run against: RECADO_PEER_TARGET, by default ours. */
export function targetKind(): BrokerKind {
  const target = process.env['RECADO_PEER_TARGET'] ?? 'recado'
  if (target !== 'recado' && target !== 'mosquitto') throw new Error(`RECADO_PEER_TARGET=${target}: no such broker`)
  return target
}

/** Reason why no broker can be started, or `false`. Ours is always there. */
export function skipWithoutBroker(): string | false {
  if (targetKind() === 'recado') return false
  const peer = findPeer('mosquitto')
  return 'skip' in peer ? peer.skip : false
}

/** This path is a contract (issue 2): outside tools start the broker by it. */
const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))

export async function startBroker(
  kind: BrokerKind = targetKind(),
  options: BrokerOptions = {},
): Promise<RunningBroker> {
  let lastError: unknown
  // Between finding a free port and the broker's bind, another process may take it.
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await startOn(await freePort(), kind, options)
    } catch (error) {
      lastError = error
    }
  }
  throw lastError
}

async function startOn(port: number, kind: BrokerKind, options: BrokerOptions): Promise<RunningBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-peer-broker-'))
  const file = join(folder, 'mosquitto.conf')
  const config = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...(options.config ?? [])]
  // Ours keeps its data unless it is told not to; Mosquitto does not.
  if (kind === 'recado') config.push(`persistence_location ${join(folder, 'data')}`)
  writeFileSync(file, `${config.join('\n')}\n`)
  const child = spawnBroker(kind, [...(kind === 'recado' ? (options.args ?? []) : []), '-c', file], options)
  const cleanUp = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    await untilListening(port, child)
  } catch (error) {
    await child.stop(child instanceof OwnBroker ? 'SIGTERM' : 'SIGKILL').catch(() => {})
    cleanUp()
    throw error
  }
  return {
    kind,
    port,
    pid: child.pid,
    describe: () => child.describe(),
    async stop() {
      const endedEarly = child.hasExited
      const { code, signal } = await child.stop('SIGTERM')
      cleanUp()
      if (endedEarly) throw new Error(`the broker ended by itself: ${code ?? signal}\n${child.describe()}`)
      if (code !== 0) throw new Error(`the broker did not end cleanly: ${code ?? signal}\n${child.describe()}`)
    },
  }
}

function spawnBroker(kind: BrokerKind, argv: readonly string[], { inProcess }: BrokerOptions): Child | OwnBroker {
  if (kind === 'recado' && inProcess === true) return new OwnBroker(argv)
  const child =
    kind === 'recado' ? new Child(process.execPath, [recadoBin, ...argv]) : new Child(peerPath('mosquitto'), argv)
  child.endInput()
  return child
}

/** Resolves when the port accepts. Polls: a process has no other way to tell any program that it listens. */
async function untilListening(port: number, child: Child | OwnBroker): Promise<void> {
  const deadline = Date.now() + boundMs
  while (!(await accepts(port))) {
    if (child.hasExited) throw new Error(`the broker did not start\n${child.describe()}`)
    if (Date.now() > deadline) throw new Error(`the broker does not listen on ${port}\n${child.describe()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
