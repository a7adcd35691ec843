/**
 * A TCP proxy that cuts a connection at a chosen packet: a network that fails in the middle of a QoS flow, on command.
 *
 * It stands between a peer and the broker and knows of MQTT only the fixed header. Invariant: everything before the
 * chosen packet has been passed on; that packet is lost, and with it both halves of the connection, at once.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Inbox } from './inbox.ts'

export type Direction = 'to broker' | 'to client'

/** Types of the packets of a QoS flow. */
export const packetTypes = { PUBLISH: 3, PUBACK: 4, PUBREC: 5, PUBREL: 6, PUBCOMP: 7 } as const
export type PacketName = keyof typeof packetTypes

export class CutProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #cuts: Inbox<void> = new Inbox('packet at which to cut')
  #armed: { direction: Direction; type: number } | null = null

  static async start(brokerPort: number): Promise<CutProxy> {
    const proxy = new CutProxy(brokerPort)
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject)
      proxy.#server.listen(0, '127.0.0.1', resolve)
    })
    return proxy
  }

  constructor(brokerPort: number) {
    this.#server = createServer({ noDelay: true }, (client) => {
      const broker = connect({ port: brokerPort, host: '127.0.0.1', noDelay: true })
      const end = (): void => {
        client.destroy()
        broker.destroy()
      }
      for (const socket of [client, broker]) {
        this.#sockets.add(socket)
        // Either side may reset the connection at any time: that is the purpose.
        socket.on('error', end)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          end()
        })
      }
      this.#pass(client, broker, 'to broker', end)
      this.#pass(broker, client, 'to client', end)
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return address.port
  }

  /** Loses the next packet of that type in that direction, with its connection. */
  cutAt(direction: Direction, name: PacketName): void {
    this.#armed = { direction, type: packetTypes[name] }
  }

  /** Resolves when the cut has been made. */
  async cut(): Promise<void> {
    await this.#cuts.next()
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #pass(from: Socket, to: Socket, direction: Direction, end: () => void): void {
    let unread: Buffer = Buffer.alloc(0)
    from.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk])
      for (;;) {
        const size = packetSize(unread)
        if (size === null || unread.length < size) return
        if (this.#armed?.direction === direction && this.#armed.type === (unread[0] ?? 0) >> 4) {
          this.#armed = null
          // Earlier bytes go out first: the cut is after them, and takes only this packet.
          to.end()
          from.destroy()
          this.#cuts.push()
          return
        }
        to.write(unread.subarray(0, size))
        unread = unread.subarray(size)
      }
    })
    from.on('end', end)
  }
}

/** Returns the size of the packet at the start of `bytes`, or `null` when its fixed header is not complete. */
function packetSize(bytes: Buffer): number | null {
  let remainingLength = 0
  for (let i = 1; i < 5; i++) {
    const byte = bytes[i]
    if (byte === undefined) return null
    remainingLength += (byte & 127) * 128 ** (i - 1)
    if (byte < 128) return 1 + i + remainingLength
  }
  throw new Error('not a Remaining Length')
}
