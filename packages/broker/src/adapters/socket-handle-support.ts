/**
 * Support for transports that work straight on Node's socket handle: whether this Node allows it, and how to get at the
 * handles of a server.
 *
 * The listener asks once per kind of socket. The answer is no, with a reason, unless the version is one that the suite
 * has run on, everything that `HandleTransport` uses is there, and a connection to ourselves behaves: bytes in both
 * directions, a write taken at once, a write that has to wait, the end. A no is never an error: `net.Socket` can do all
 * of it.
 *
 * The version matters because a changed internal may answer a wrong argument by aborting the process, which no
 * self-test survives.
 */
import { randomBytes } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { createConnection, createServer, type OnReadOpts, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HandleInternals, HandleTransport, type StreamHandle, type StreamWrap } from './socket-handle-transport.ts'

export type SocketKind = 'tcp' | 'pipe'
export interface HandleSupport {
  /** Internals of Node; null when they cannot be used. */
  readonly internals: HandleInternals | null
  /** Reason why they cannot be used. */
  readonly reason: string
}

/** Major versions of Node on which the suite of transports passes. */
const TESTED = { from: 20, to: 26 } as const
const METHODS = ['useUserBuffer', 'readStart', 'readStop', 'writeBuffer', 'writev', 'shutdown', 'close'] as const
const SELF_TEST_MS = 2_000
/** Size in bytes that exceeds what any kernel takes before the other side reads. */
const SELF_TEST_BYTES_MAX = 64 * 1024 * 1024
const BLOCK_BYTES = 64 * 1024

interface ListeningHandle extends Pick<StreamHandle, 'setNoDelay' | 'setKeepAlive'> {
  onconnection?: (this: unknown, error: number, handle: StreamHandle | undefined) => void
  getAsyncId?: unknown
}

/** Options of TCP sockets. */
export interface TcpOptions {
  readonly noDelay: boolean
  /** 0: no keep-alive. */
  readonly keepAliveSeconds: number
}

let loaded: HandleSupport | null = null
const answers: Map<SocketKind, Promise<HandleSupport>> = new Map()

/** Tests the support. `isForced` allows untested versions of Node, too. */
export function handleSupport(kind: SocketKind, isForced: boolean): Promise<HandleSupport> {
  const major = Number.parseInt(process.versions.node, 10)
  const isNode = process.versions['bun'] === undefined && process.versions['deno'] === undefined
  if (!isForced && !(isNode && major >= TESTED.from && major <= TESTED.to)) {
    return Promise.resolve({ internals: null, reason: `not tested on Node ${process.versions.node}` })
  }
  let answer = answers.get(kind)
  if (answer === undefined) {
    answer = findOut(kind)
    answers.set(kind, answer)
  }
  return answer
}

/**
 * Sends the server's connections to `onHandle` from now on, without a `net.Socket`. Returns false when this is not
 * possible (a worker of a cluster, an internal that has moved); nothing has changed then.
 */
export function takeHandles(server: Server, onHandle: (handle: StreamHandle) => void): boolean {
  const listening = (server as unknown as { _handle?: ListeningHandle | null })._handle
  const original = listening?.onconnection
  // A cluster's worker has a substitute for a handle.
  if (listening == null || typeof original !== 'function' || typeof listening.getAsyncId !== 'function') return false
  listening.onconnection = (error, handle) => {
    if (error === 0 && handle !== undefined) onHandle(handle)
    else original.call(listening, error, handle)
  }
  return true
}

/**
 * Sets the options of the sockets that this server accepts from now on, once for all: on Linux they have those of the
 * socket that listens. That is five system calls less for each connection. Returns false where it is not so; then each
 * accepted socket has to be given them.
 */
export function setForAccepted(server: Server, { noDelay, keepAliveSeconds }: TcpOptions): boolean {
  const listening = (server as unknown as { _handle?: ListeningHandle | null })._handle
  if (process.platform !== 'linux' || typeof listening?.setNoDelay !== 'function') return false
  if (typeof listening.setKeepAlive !== 'function') return false
  if (noDelay && listening.setNoDelay(true) !== 0) return false
  return keepAliveSeconds === 0 || listening.setKeepAlive(true, keepAliveSeconds) === 0
}

async function findOut(kind: SocketKind): Promise<HandleSupport> {
  loaded ??= load()
  const { internals } = loaded
  if (internals === null) return loaded
  const failure = await selfTest(kind, internals)
  return failure === null ? loaded : { internals: null, reason: failure }
}

function load(): HandleSupport {
  const no = (reason: string): HandleSupport => ({ internals: null, reason })
  let wrap: Partial<StreamWrap>
  try {
    const { binding } = process as unknown as { binding?: (name: string) => Partial<StreamWrap> }
    if (typeof binding !== 'function') return no('process.binding is missing')
    wrap = binding.call(process, 'stream_wrap')
  } catch (error) {
    // This happens under Node's permission model.
    return no(`process.binding: ${(error as Error).message}`)
  }
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = wrap
  if (typeof WriteWrap !== 'function' || typeof ShutdownWrap !== 'function') return no('a request class is missing')
  if (!(streamBaseState instanceof Int32Array)) return no('streamBaseState is missing')
  for (const index of [kReadBytesOrError, kLastWriteWasAsync]) {
    if (typeof index !== 'number' || !(index < streamBaseState.length))
      return no('an index of streamBaseState is missing')
  }
  return { internals: new HandleInternals(wrap as StreamWrap), reason: '' }
}

/** Returns the name of a method that this handle lacks; null when it has all that are used. */
function missingIn(handle: StreamHandle): string | null {
  for (const name of METHODS) if (typeof handle[name] !== 'function') return `handle.${name} is missing`
  if (typeof handle.writeQueueSize !== 'number') return 'handle.writeQueueSize is missing'
  if (!('onread' in handle)) return 'handle.onread is missing'
  return null
}

/** Tests a connection to ourselves. Resolves with the fault, or null. */
async function selfTest(kind: SocketKind, internals: HandleInternals): Promise<string | null> {
  const path = kind === 'tcp' ? null : socketPath()
  const server = createServer((socket) => socket.destroy())
  let transport: HandleTransport | null = null
  let peer: Socket | null = null
  let onPeerData: (chunk: Uint8Array) => void = () => {}
  // One buffer for all reads: one for each would leave megabytes of garbage in the heap of a broker that has just begun.
  const onread: OnReadOpts = {
    buffer: Buffer.alloc(BLOCK_BYTES),
    callback(length, buffer) {
      onPeerData(buffer.subarray(0, length))
      return true
    },
  }
  const result = await new Promise<string | null>((resolve) => {
    const timeout = setTimeout(() => resolve('the self-test did not come to its end'), SELF_TEST_MS)
    const finish = (failure: string | null): void => {
      clearTimeout(timeout)
      resolve(failure)
    }
    server.on('error', (error) => finish(`the self-test cannot listen: ${error.message}`))
    server.listen(path === null ? { port: 0, host: '127.0.0.1' } : { path }, () => {
      const isTaken = takeHandles(server, (handle) => {
        const missing = missingIn(handle)
        if (missing === null) {
          transport = new HandleTransport(handle, '', internals)
          onPeerData = converse(transport, handle, peer!, finish)
        } else {
          handle.close?.(() => {})
          finish(missing)
        }
      })
      if (!isTaken) {
        finish('the handle of the server is not as expected')
        return
      }
      // Connections are of the same class. Our own end of one reads into a buffer too, and Node throws where it cannot.
      const missing = missingIn((server as unknown as { _handle: StreamHandle })._handle)
      if (missing !== null) {
        finish(missing)
        return
      }
      const address = server.address()
      peer = createConnection(
        path === null && address !== null && typeof address === 'object'
          ? { port: address.port, host: '127.0.0.1', onread }
          : { path: path!, onread },
      )
      peer.on('error', (error) => finish(`the self-test cannot connect: ${error.message}`))
    })
  })
  ;(transport as HandleTransport | null)?.destroy()
  ;(peer as Socket | null)?.destroy()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  // Closing the server has removed the file, unless it was never made.
  if (path !== null && process.platform !== 'win32') await unlink(path).catch(() => undefined)
  return result
}

/**
 * Runs the conversation: the peer says hello; we answer until a write has to wait; the peer reads it all and ends. Returns
 * the function for what the peer reads.
 */
function converse(
  transport: HandleTransport,
  handle: StreamHandle,
  peer: Socket,
  finish: (failure: string | null) => void,
): (chunk: Uint8Array) => void {
  const hello = 'hello'
  const block = Buffer.alloc(BLOCK_BYTES)
  const expected = Buffer.alloc(block.length)
  let sent = 0
  let arrived = 0
  let checks = true
  let drains = 0
  const pump = (): void => {
    for (let value = 0; sent < SELF_TEST_BYTES_MAX; value = (value + 1) & 0xff) {
      // One block for all: bytes that have been taken may be overwritten.
      block.fill(value)
      const isTaken =
        sent % (2 * block.length) === 0
          ? transport.write(block)
          : transport.writeAll([block.subarray(0, 1), block.subarray(1)])
      sent += block.length
      if (isTaken) {
        // This must be detected here: another write with a request that is in use aborts the process.
        if (handle.writeQueueSize === 0) continue
        finish('a write that waits says that it is done')
        return
      }
      if (transport.bufferedBytes === 0) finish('a write that waits is not counted')
      peer.resume()
      return
    }
    finish('no write had to wait')
  }
  peer.pause()
  transport.start({
    onData(chunk) {
      if (chunk.length !== hello.length || String.fromCharCode(...chunk) !== hello) {
        finish('what was read is not what was sent')
        return
      }
      try {
        pump()
      } catch (error) {
        finish(`a write failed: ${(error as Error).message}`)
      }
    },
    onDrain() {
      drains++
    },
    onClose(error) {
      if (error !== null) finish(error.message)
      else if (!checks || arrived !== sent) finish('what was written is not what arrived')
      else if (drains !== 1) finish('a write that waited did not complete once')
      else finish(null)
    },
  })
  peer.write(hello)
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const offset = arrived % block.length
      if (offset === 0) expected.fill((arrived / block.length) & 0xff)
      const end = Math.min(chunk.length, at + block.length - offset)
      // Block by block and not byte by byte: a loop over megabytes would have V8 load its optimizing compilers.
      if (expected.compare(chunk, at, end, offset, offset + end - at) !== 0) checks = false
      arrived += end - at
      at = end
    }
    if (arrived === sent) peer.end()
  }
}

function socketPath(): string {
  const name = `recado-${process.pid}-${randomBytes(6).toString('hex')}`
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`)
}
