/**
 * The client by hand of `examples/c-sockets`: its packets against the wire cases of `@recado/protocol`, its fuzzer, and
 * its program on both brokers through cut connections. Everything but the run under valgrind is compiled with
 * AddressSanitizer and UndefinedBehaviorSanitizer, which end the program with an error at the first fault.
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { wireCases } from '@recado/protocol/wire-cases'
import { type BrokerKind, startBroker } from '../peers/broker.ts'
import { Child, run } from '../peers/child.ts'
import { CutProxy, type Direction, type PacketName } from '../peers/cut-proxy.ts'
import { peerPath, skipWithout } from '../peers/find.ts'
import { Inbox } from '../peers/inbox.ts'
import { BuiltExample } from './build.ts'

const skip = skipWithout('make', 'cc')

suite('examples/c-sockets', { skip, timeout: 300_000 }, () => {
  let example: BuiltExample
  before(async () => {
    example = await BuiltExample.make('c-sockets', 'all', 'sanitized', 'check')
  })
  after(() => example?.remove())

  /** Starts `mqtt-by-hand sub`, and resolves when it is subscribed. */
  async function subscribe(command: readonly string[], args: readonly string[]): Promise<Subscriber> {
    const [file = '', ...before] = command
    const lines: string[] = []
    const arrivals = new Inbox<string>('message')
    const subscribed = new Inbox<void>('subscription')
    const child = new Child(file, [...before, 'sub', '-v', ...args], {
      onLine: (line) => {
        lines.push(line)
        arrivals.push(line)
      },
      onErrorLine: (line) => {
        if (line.includes('subscribed at')) subscribed.push()
      },
    })
    child.endInput()
    await subscribed.next()
    return { child, lines, arrivals }
  }

  test('its packets agree with the wire cases of MQTT 3.1.1', async () => {
    // The example speaks no bridge's dialect, and is stricter with a Topic Filter than a decoder that leaves it to a session.
    const stricter = [
      'v4 client: CONNECT of a bridge',
      'v4 client: SUBSCRIBE, a Topic Filter that the session is to judge',
    ]
    const cases = wireCases.filter(
      ({ version, name, maximumPacketSize }) =>
        version === 4 && maximumPacketSize === undefined && !stricter.includes(name),
    )
    assert.ok(cases.length > 100)
    const input = cases.map(({ bytes }) => Buffer.from(bytes).toString('hex')).join('\n')
    const answers = await run(example.program('check-wire'), [], { input: `${input}\n` })
    assert.equal(answers.length, cases.length)
    const disagree: string[] = []
    for (const [i, { name, bytes, packet, encodesAs, from, after: precondition }] of cases.entries()) {
      const expected = packet === undefined ? 'malformed' : Buffer.from(encodesAs ?? bytes).toString('hex')
      // Rules about the connection, not the bytes of one packet: a second CONNECT, a packet of the wrong side, none yet.
      if (packet === undefined && isAboutTheConnection(bytes, from, precondition === 'connect')) continue
      if (answers[i] !== expected) disagree.push(`${name}: ${expected} expected, ${answers[i]}`)
    }
    assert.deepEqual(disagree, [])
  })

  test('200,000 mutated inputs are decoded without a fault', async () => {
    assert.deepEqual(await run(example.program('fuzz-standalone'), ['200000', '7']), ['200000 runs'])
  })

  for (const kind of ['recado', 'mosquitto'] as const) onBroker(kind)

  function onBroker(kind: BrokerKind): void {
    suite(kind, { skip: kind === 'mosquitto' ? skipWithout('mosquitto') : false }, () => {
      let broker: Awaited<ReturnType<typeof startBroker>>
      before(async () => {
        broker = await startBroker(kind)
      })
      after(() => broker?.stop())

      test('eight threads publish over one connection at each QoS, and everything arrives once', async () => {
        const program = example.program('mqtt-by-hand-sanitized')
        const port = String(broker.port)
        const { child, lines } = await subscribe([program], ['-p', port, '-t', 'many/+', '-q', '2', '-n', '1200'])
        for (const qos of ['0', '1', '2']) {
          await run(program, ['pub', '-p', port, '-t', `many/${qos}`, '-m', 'm', '-q', qos, '-n', '50', '-j', '8'])
        }
        assert.equal((await child.exited).code, 0)
        assert.equal(new Set(lines).size, 1200)
        assertInOrder(lines)
      })

      const cuts: readonly [string, Direction, PacketName][] = [
        ['1', 'to broker', 'PUBLISH'],
        ['1', 'to client', 'PUBACK'],
        ['2', 'to broker', 'PUBLISH'],
        ['2', 'to client', 'PUBREC'],
        ['2', 'to broker', 'PUBREL'],
        ['2', 'to client', 'PUBCOMP'],
      ]
      for (const [qos, direction, name] of cuts) {
        test(`QoS ${qos} goes on after a connection that was lost at ${name} ${direction}`, async () => {
          const program = example.program('mqtt-by-hand-sanitized')
          const proxy = await CutProxy.start(broker.port)
          try {
            const topic = `cut/${qos}/${name}`
            const { child, arrivals } = await subscribe([program], ['-p', String(broker.port), '-t', topic, '-q', '2'])
            proxy.cutAt(direction, name)
            const publisher = ['pub', '-c', '-i', `cut-${name}-${qos}`, '-p', String(proxy.port), '-t', topic]
            await Promise.all([run(program, [...publisher, '-m', 'm', '-q', qos, '-n', '20']), proxy.cut()])
            await run(program, ['pub', '-p', String(broker.port), '-t', topic, '-m', 'end', '-q', '2'])
            const received = await untilLine(arrivals, `${topic} end`)
            child.signal('SIGTERM')
            assert.equal((await child.exited).code, 0)
            assert.equal(new Set(received).size, 20)
            if (qos === '2') assert.equal(received.length, 20)
          } finally {
            await proxy.stop()
          }
        })

        if (direction === 'to broker' && name !== 'PUBREL') continue
        const mirrored: Direction = direction === 'to client' ? 'to broker' : 'to client'
        test(`a subscriber at QoS ${qos} goes on after its ${name} ${mirrored} was lost`, async () => {
          const program = example.program('mqtt-by-hand-sanitized')
          const proxy = await CutProxy.start(broker.port)
          try {
            const topic = `lost/${qos}/${name}`
            const id = `lost-${name}-${qos}`
            const { child, arrivals } = await subscribe(
              [program],
              ['-c', '-i', id, '-p', String(proxy.port), '-t', topic, '-q', qos],
            )
            proxy.cutAt(mirrored, name)
            const publisher = ['pub', '-p', String(broker.port), '-t', topic, '-m', 'm', '-q', qos, '-n', '20']
            await Promise.all([run(program, publisher), proxy.cut()])
            await run(program, ['pub', '-p', String(broker.port), '-t', topic, '-m', 'end', '-q', qos])
            const received = await untilLine(arrivals, `${topic} end`)
            child.signal('SIGTERM')
            assert.equal((await child.exited).code, 0)
            // At QoS 1 messages whose PUBACK was lost come twice; at QoS 2 none does.
            assert.equal(new Set(received).size, 20)
            if (qos === '2') assert.equal(received.length, 20)
          } finally {
            await proxy.stop()
          }
        })
      }

      test('a session that waits gets what was published meanwhile', async () => {
        const program = example.program('mqtt-by-hand-sanitized')
        const session = ['-p', String(broker.port), '-c', '-i', 'away', '-t', 'away/+', '-q', '1']
        const { child } = await subscribe([program], session)
        child.signal('SIGTERM')
        await child.exited
        await run(program, ['pub', '-p', String(broker.port), '-t', 'away/a', '-m', 'm', '-q', '1', '-n', '5'])
        const lines = await run(program, ['sub', ...session, '-n', '5'])
        assert.deepEqual(
          lines,
          [0, 1, 2, 3, 4].map((i) => `away/a m0/${i}`),
        )
      })
    })
  }

  test('valgrind finds no fault and no leak', { skip: skipWithout('valgrind') }, async () => {
    const broker = await startBroker()
    const port = String(broker.port)
    const valgrind = ['--quiet', '--leak-check=full', '--error-exitcode=9', example.program('mqtt-by-hand')]
    try {
      const { child, lines } = await subscribe(
        [peerPath('valgrind'), ...valgrind],
        ['-p', port, '-t', 'v/#', '-q', '2', '-n', '4'],
      )
      const publish = ['pub', '-p', port, '-t', 'v/x', '-m', 'm', '-q', '2', '-r', '-n', '2', '-j', '2']
      await run(peerPath('valgrind'), [...valgrind, ...publish])
      assert.equal((await child.exited).code, 0)
      assert.equal(new Set(lines).size, 4)
    } finally {
      await broker.stop()
    }
  })

  test('wrong arguments and a refused login are told in words', async () => {
    const program = example.program('mqtt-by-hand-sanitized')
    await assert.rejects(run(program, ['pub', '-t', 'a/+', '-m', 'x']), /not a Topic Name: a\/\+/)
    await assert.rejects(
      run(program, ['pub', '-t', 'a', '-m', 'x', '-q', '3']),
      /-q must be a number from 0 to 2, not '3'/,
    )
    await assert.rejects(run(program, ['sub', '-t', 'a', '-c']), /-c needs -i/)
    const broker = await startBroker('recado', { config: ['allow_anonymous false'] })
    await assert.rejects(
      run(program, ['pub', '-v', '-p', String(broker.port), '-t', 'a', '-m', 'x', '-q', '1']),
      /refused: not authorized[\s\S]*not every message was published/,
    )
    await broker.stop()
  })
})

/** A running `mqtt-by-hand sub`: the lines so far, and the same lines one by one. */
interface Subscriber {
  readonly child: Child
  readonly lines: readonly string[]
  readonly arrivals: Inbox<string>
}

/** Returns the lines that come before `last`. */
async function untilLine(arrivals: Inbox<string>, last: string): Promise<string[]> {
  const lines: string[] = []
  for (let line = await arrivals.next(); line !== last; line = await arrivals.next()) lines.push(line)
  return lines
}

/** True when the refusal is not about the bytes of this packet alone, which is all that `check-wire` sees. */
function isAboutTheConnection(bytes: Uint8Array, from: 'client' | 'server', isConnected: boolean): boolean {
  const type = (bytes[0] ?? 0) >> 4
  const byClient = [1, 3, 4, 5, 6, 7, 8, 10, 12, 14]
  const byServer = [2, 3, 4, 5, 6, 7, 9, 11, 13]
  if (!(from === 'client' ? byClient : byServer).includes(type)) return true
  return type === (from === 'client' ? 1 : 2) ? isConnected : !isConnected
}

/** Per topic and thread the numbers rise: lines are `topic mTHREAD/NUMBER`. */
function assertInOrder(lines: readonly string[]): void {
  const last = new Map<string, number>()
  for (const line of lines) {
    const [flow, number] = [line.slice(0, line.lastIndexOf('/')), Number(line.slice(line.lastIndexOf('/') + 1))]
    assert.ok(number > (last.get(flow) ?? -1), line)
    last.set(flow, number)
  }
}
