/**
 * A client on a real socket, for the tests of listeners and of the `Broker` as a whole. Waits for packets and for the
 * end, never for time.
 */
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  encode,
  type Packet,
  type ProtocolVersion,
} from '@recado/protocol'

export type SocketAddress = { port: number; host?: string } | { path: string }

export class SocketClient {
  readonly socket: Socket
  readonly version: ProtocolVersion
  readonly #decoder: Decoder
  readonly #packets: Packet[] = []
  #wake: () => void = () => {}
  #isClosed = false

  private constructor(socket: Socket, version: ProtocolVersion) {
    this.socket = socket
    this.version = version
    this.#decoder = new Decoder({ role: 'client', protocolVersion: version })
    socket.on('data', (chunk: Uint8Array) => {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) this.#packets.push(packet)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  /** Opens a connection; nothing is sent. */
  static async open(address: SocketAddress, version: ProtocolVersion = 5): Promise<SocketClient> {
    const socket = createConnection('path' in address ? address : { host: '127.0.0.1', ...address })
    const client = new SocketClient(socket, version)
    await once(socket, 'connect')
    return client
  }

  /** Opens a connection, sends CONNECT and waits for CONNACK. */
  static async connect(
    address: SocketAddress,
    options: Partial<ConnectOptions> = {},
  ): Promise<SocketClient & { connack: Connack }> {
    const client = await SocketClient.open(address, options.protocolVersion ?? 5)
    client.send(
      new Connect({
        protocolVersion: client.version,
        cleanStart: true,
        keepAliveSeconds: 60,
        clientId: '',
        ...options,
      }),
    )
    return Object.assign(client, { connack: await client.next(Connack) })
  }

  send(...packets: Packet[]): void {
    for (const packet of packets) this.socket.write(encode(packet, this.version))
  }

  /** Returns the next packet, which must be of this type. */
  async next<T extends Packet>(type: abstract new (...args: never[]) => T): Promise<T> {
    while (this.#packets.length === 0) {
      if (this.#isClosed) throw new Error(`closed while waiting for ${type.name}`)
      await this.#change()
    }
    const packet = this.#packets.shift()!
    if (packet instanceof type) return packet
    throw new Error(`expected ${type.name}, got ${packet.constructor.name} ${JSON.stringify(packet)}`)
  }

  /** The broker has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#change()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
