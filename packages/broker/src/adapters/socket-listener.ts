/**
 * Listens on a TCP port or a unix socket and hands each connection over as a Transport: straight on Node's handle where
 * that works (`socket-handle-support.ts`), as a `net.Socket` everywhere else.
 *
 * The file of a unix socket without a listener (left by a crash) is removed first; one that is in use is an error.
 */
import { chmod, chown, lstat, unlink } from 'node:fs/promises'
import { createConnection, createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import { MqttError } from '@recado/protocol'
import type { Transport, TransportHandler } from '../ports.ts'
import { handleSupport, setForAccepted, takeHandles } from './socket-handle-support.ts'
import { type HandleInternals, HandleTransport, peerOf, type StreamHandle } from './socket-handle-transport.ts'
import { formatAddress, SocketTransport } from './socket-transport.ts'
import { WaitingRoom } from './socket-waiting-room.ts'

/**
 * Kind of transport: `net.Socket`, or the handle below it, which costs a third less CPU per message and less memory.
 */
export type TransportKind = 'socket' | 'handle'

const TCP_KEEP_ALIVE_SECONDS = 600

/** Address of a listener and options of its sockets. */
export interface SocketListenerOptions {
  /** Name for logs and policy. Default: the address that it listens on. */
  name?: string
  /** TCP port (0: any free one) and host (default: 127.0.0.1). */
  port?: number
  host?: string
  /**
   * Whether an IPv6 address takes IPv6 only, so that another listener may have the port on IPv4. Default false: both.
   */
  ipv6Only?: boolean
  /**
   * File descriptor of a socket that listens already, as a service manager passes it: of TCP, or of a unix socket when
   * `path` is given. It is used in place of one that would be opened at the address.
   */
  fd?: number
  /** Path of the unix socket's file, and its mode (default 0o600). A user who may write to the file may connect. */
  path?: string
  mode?: number
  /**
   * Numeric id of the user who will own the file. Default: the user who starts the broker. Needs the rights of root.
   */
  uid?: number
  gid?: number
  /**
   * Number of open connections of this listener; more are closed, unless another one closes within a moment. Default:
   * only the broker's limit.
   */
  connectionsMax?: number
  /** Whether to turn Nagle's algorithm off. Default true. */
  noDelay?: boolean
  /**
   * Silence in seconds after which the system asks the peer whether it is still there, so that a vanished peer is
   * noticed also when the client has no Keep Alive. 0 turns it off. Default 600 seconds.
   */
  tcpKeepAliveSeconds?: number
  /** Number of connections that the kernel may hold before they are accepted. Default 4096. */
  backlog?: number
  /**
   * Kind of transport. 'auto': 'handle' where a self-test passes, else 'socket'. Default: the environment variable
   * RECADO_TRANSPORT, else 'auto'.
   */
  transport?: 'auto' | TransportKind
}

/** Callback that takes an opened transport; `null` refuses it. */
export type Accept = (transport: Transport) => TransportHandler | null
/** Callback that takes a socket which needs more steps before it is a transport. */
export type TakeSocket = (socket: Socket) => void

interface Room {
  connectionsMax: number
}

export class SocketListener {
  readonly name: string
  /** `host:port` or the path of the unix socket, as it was bound. */
  readonly address: string
  readonly port: number
  readonly transport: TransportKind
  readonly #server: Server
  readonly #room: Room
  readonly #waitingRoom: WaitingRoom

  private constructor(
    server: Server,
    name: string,
    address: string,
    port: number,
    transport: TransportKind,
    room: Room,
    waitingRoom: WaitingRoom,
  ) {
    this.#server = server
    this.#room = room
    this.#waitingRoom = waitingRoom
    this.transport = transport
    this.name = name
    this.address = address
    this.port = port
  }

  /**
   * Opens a listener. With `takeSocket` all connections go there, as sockets that nothing reads yet, and none to
   * `accept`. `isFull` returns true when no more are wanted from an address at the moment. @throws MqttError
   * ERR_MQTT_LISTEN, with the system's error as cause
   */
  static async open(
    options: SocketListenerOptions,
    accept: Accept,
    takeSocket: TakeSocket | null = null,
    isFull: (remoteAddress: string) => boolean = () => false,
  ): Promise<SocketListener> {
    const {
      fd,
      path,
      host = '127.0.0.1',
      port = 1883,
      connectionsMax = Number.POSITIVE_INFINITY,
      noDelay = true,
    } = options
    const { tcpKeepAliveSeconds = TCP_KEEP_ALIVE_SECONDS } = options
    const keepAlive = tcpKeepAliveSeconds > 0
    const mode = options.mode ?? 0o600
    const wanted = path ?? formatAddress(host, port)
    const internals = takeSocket === null ? await handlesFor(options, wanted) : null
    let name = options.name ?? wanted
    const room: Room = { connectionsMax }
    let open = 0
    const waitingRoom = new WaitingRoom()
    const closed = (): void => {
      open--
      waitingRoom.noteRoom()
    }
    const hasRoom = (remoteAddress: string): boolean => open < room.connectionsMax && !isFull(remoteAddress)
    const server = createServer(
      { noDelay, keepAlive, keepAliveInitialDelay: tcpKeepAliveSeconds * 1000 },
      (socket: Socket) => {
        const remoteAddress = formatAddress(socket.remoteAddress, socket.remotePort)
        const refuse = (): void => {
          // Above the limit of its address the core refuses it, and reports that.
          if (open < room.connectionsMax) onSocket(socket)
          else socket.destroy()
        }
        if (hasRoom(remoteAddress)) {
          onSocket(socket)
          return
        }
        socket.on('error', () => {})
        waitingRoom.take({ hasRoom: () => hasRoom(remoteAddress), enter: () => onSocket(socket), refuse })
      },
    )
    const onSocket = (socket: Socket): void => {
      if (takeSocket !== null) {
        open++
        socket.once('close', closed)
        takeSocket(socket)
        return
      }
      const transport = new SocketTransport(socket, name)
      const handler = accept(transport)
      if (handler === null) {
        socket.destroy()
        return
      }
      open++
      socket.once('close', closed)
      transport.start(handler)
    }
    const onHandle = (handle: StreamHandle): void => {
      const remoteAddress = peerOf(handle)
      if (hasRoom(remoteAddress)) {
        enter(handle, remoteAddress)
        return
      }
      const refuse = (): void => {
        if (open < room.connectionsMax) enter(handle, remoteAddress)
        else handle.close(() => {})
      }
      waitingRoom.take({ hasRoom: () => hasRoom(remoteAddress), enter: () => enter(handle, remoteAddress), refuse })
    }
    let hasOptions = false
    const enter = (handle: StreamHandle, remoteAddress: string): void => {
      if (noDelay && !hasOptions) handle.setNoDelay?.(true)
      if (keepAlive && !hasOptions) handle.setKeepAlive?.(true, tcpKeepAliveSeconds)
      const transport = new HandleTransport(handle, name, internals!, closed, remoteAddress)
      // Before `accept`, because `onClosed` also follows a refusal.
      open++
      const handler = accept(transport)
      if (handler === null) transport.destroy()
      else transport.start(handler)
    }
    let transport: TransportKind = 'socket'
    try {
      if (path !== undefined && fd === undefined) await removeStaleSocket(path)
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        const backlog = options.backlog ?? 4096
        const { ipv6Only = false } = options
        const inherited: ListenOptions & { fd: number | undefined } = { fd, backlog }
        const socket = path === undefined ? { port, host, backlog, ipv6Only } : { path, backlog }
        listenAs(mode, server, fd === undefined ? socket : inherited, () => {
          server.off('error', reject)
          // Before the first connection: those come in a later turn of the event loop.
          if (internals !== null && takeHandles(server, onHandle)) transport = 'handle'
          // A socket that was passed to us may be that of other programs too.
          if (transport === 'handle' && path === undefined && fd === undefined)
            hasOptions = setForAccepted(server, { noDelay, keepAliveSeconds: tcpKeepAliveSeconds })
          resolve()
        })
      })
      if (path !== undefined && fd === undefined) {
        const { uid, gid } = options
        if (uid !== undefined || gid !== undefined) await chown(path, uid ?? -1, gid ?? -1)
        await chmod(path, mode)
      }
    } catch (cause) {
      server.close()
      throw new MqttError('ERR_MQTT_LISTEN', `cannot listen on ${wanted}: ${explain(cause)}`, { cause })
    }
    const bound = server.address()
    const isTcp = bound !== null && typeof bound === 'object'
    const address = isTcp ? formatAddress(bound.address, bound.port) : wanted
    name = options.name ?? address
    return new SocketListener(server, name, address, isTcp ? bound.port : 0, transport, room, waitingRoom)
  }

  /** Sets the number of open connections; more are closed at once. */
  set connectionsMax(connectionsMax: number) {
    this.#room.connectionsMax = connectionsMax
  }

  /** Takes no more connections; open ones stay. */
  close(): Promise<void> {
    // The callback of `close` waits for open connections; listening stops at once.
    this.#server.close()
    this.#waitingRoom.close()
    return Promise.resolve()
  }
}

/** Listens on the file of a unix socket, which never allows more than `mode`, not even at first. */
function listenAs(mode: number, server: Server, options: ListenOptions, listening: () => void): void {
  let umask = -1
  try {
    if (options.path !== undefined) umask = process.umask(~mode & 0o777)
  } catch {
    // A worker may not; the mode is set in a moment.
  }
  try {
    server.listen(options, listening)
  } finally {
    if (umask >= 0) process.umask(umask)
  }
}

/** Internals for transports on handles; null for `net.Socket`. */
export async function handlesFor(options: SocketListenerOptions, wanted: string): Promise<HandleInternals | null> {
  const choice = options.transport ?? process.env['RECADO_TRANSPORT'] ?? 'auto'
  if (choice === 'socket') return null
  if (choice !== 'auto' && choice !== 'handle') {
    throw new MqttError('ERR_MQTT_LISTEN', `RECADO_TRANSPORT is "${choice}"; it must be auto, socket or handle`)
  }
  const { internals, reason } = await handleSupport(options.path === undefined ? 'tcp' : 'pipe', choice === 'handle')
  if (internals === null && choice === 'handle') {
    throw new MqttError('ERR_MQTT_LISTEN', `cannot listen on ${wanted} with transport 'handle': ${reason}`)
  }
  return internals
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (!found.isSocket())
    throw new Error('a file of that name exists that is not a socket: remove it, or choose another path')
  const isInUse = await new Promise<boolean>((resolve) => {
    const probe = createConnection(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (!isInUse) await unlink(path)
}

function explain(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  switch (code) {
    case 'EADDRINUSE':
      return 'the address is in use by another program; choose another port, or stop that program'
    case 'EACCES':
      return 'permission denied; ports below 1024 need privileges'
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name cannot be resolved'
    default:
      return message
  }
}
