/**
 * The client for the arguments of mosquitto_pub and mosquitto_sub: address, session, Will, TLS files.
 *
 * `pub`, `sub`, `rr`, `tree` and `doctor` call `prepare` for values that must be looked up or typed, then `makeClient`.
 */
import type { SrvRecord } from 'node:dns'
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTo, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Client, type ConnectOptions, createClient, type DialStream, type TlsOptions } from '@recado/client'
import { bytesOf } from '../argument-bytes.ts'
import type { CliIo } from './io.ts'
import type { Manner } from './manner.ts'
import { readSecret } from './secret.ts'
import { isTerminal } from './terminal.ts'
import type { ProxyArguments, ToolOptions } from './tool-options.ts'

/** Error in the arguments that shows only when files are read. `message` is the text for stderr. */
export class ArgumentError extends Error {}

/** Makes the client; `extra` takes precedence. Throws `ArgumentError`. */
export function makeClient(options: ToolOptions, manner: Manner, extra: ConnectOptions): Client {
  const { properties, protocolVersion } = options
  if (options.id === '') throw new ArgumentError('Error: Invalid id and/or clean_session.\n')
  const tls = tlsOptions(options, manner)
  const dial = dialOf(options)
  const connect: ConnectOptions = {
    url: serverUrl(options, tls !== null),
    protocolVersion,
    clientId: options.idPrefix === undefined ? (options.id ?? '') : `${options.idPrefix}${process.pid}`,
    cleanStart: options.cleanSession,
    keepAliveSeconds: options.keepAliveSeconds,
    sessionExpiryIntervalSeconds: properties.connect.sessionExpiryIntervalSeconds ?? options.sessionExpirySeconds ?? 0,
    properties: properties.connect,
    inflightMax: options.inflightMax,
    // As in libmosquitto: so many messages on their way at once, and no aliases but where the command line asks for one.
    receiveMaximum: properties.connect.receiveMaximum ?? receiveMaximum(options),
    topicAliasMaximum: properties.connect.topicAliasMaximum ?? 0,
    topicAliases: properties.publish.topicAlias !== undefined,
    noDelay: options.noDelay,
    ...(options.bindAddress === undefined ? {} : { localAddress: options.bindAddress }),
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: bytesOf(options.password) }),
    ...(tls === null ? {} : { tls }),
    ...(dial === null ? {} : { dial }),
    ...extra,
  }
  if (options.password !== undefined && options.username === undefined && protocolVersion < 5) {
    // [MQTT-3.1.1:3.1.2-22]
    throw new ArgumentError('Error: Problem setting username and/or password.\n')
  }
  if (options.willTopic !== undefined) {
    connect.will = {
      topic: options.willTopic,
      qos: options.willQoS,
      retain: options.willRetain,
      properties: properties.will,
      ...(options.willPayload === undefined ? {} : { payload: bytesOf(options.willPayload) }),
    }
  }
  return createClient(connect)
}

/** Function that opens the stream where it is not a plain connection to the address; null where it is. */
function dialOf({ proxy, unixPath, webSocket }: ToolOptions): DialStream | null {
  if (unixPath !== undefined) return webSocket ? () => opened(unixPath) : null
  return proxy === undefined ? null : throughProxy(proxy)
}

function opened(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTo(path)
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

/** The proxy looks up names. */
function throughProxy({ host, port, username, password }: ProxyArguments): DialStream {
  return async (address, signal) => {
    const { SocksClient } = await import('socks')
    const proxy = {
      ...{ host, port, type: 5 as const },
      ...(username === undefined ? {} : { userId: username }),
      ...(password === undefined ? {} : { password }),
    }
    const { socket } = await SocksClient.createConnection({
      ...{ proxy, command: 'connect', destination: { host: address.host, port: address.port } },
    })
    if (signal.aborted) socket.destroy()
    return socket
  }
}

/**
 * Performs the slow work before there can be a client: SRV records, and the pass phrase of an encrypted key. @throws
 * ArgumentError
 */
export async function prepare(options: ToolOptions, io: CliIo): Promise<void> {
  if (options.multipath && !options.quiet) {
    io.stderr.write('Warning: --mptcp: Node has no Multipath TCP, the connection is one of plain TCP.\n')
  }
  if (options.srv) await findServer(options)
  await askForPassphrase(options, io)
}

/** Replaces the domain by the first server of its SRV records (RFC 2782). */
async function findServer(options: ToolOptions): Promise<void> {
  const service = wantsTls(options) ? '_secure-mqtt._tcp' : '_mqtt._tcp'
  // Loaded here only, as `node:tls` below: a shell's loop of `recado pub` would wait for it each time.
  const dns = await import('node:dns/promises')
  let records: SrvRecord[]
  try {
    records = await dns.resolveSrv(`${service}.${options.host ?? 'localhost'}`)
  } catch {
    throw new ArgumentError('Unable to connect (Lookup error.).\n')
  }
  const lowest = Math.min(...records.map(({ priority }) => priority))
  const candidates = records.filter(({ priority }) => priority === lowest)
  // The weights are shares of one whole; where all are 0 each has the same.
  const shares = candidates.map(({ weight }) => Math.max(weight, 0.001))
  let at = Math.random() * shares.reduce((sum, share) => sum + share, 0)
  const chosen = candidates.find((_, index) => {
    at -= shares[index]!
    return at <= 0
  })
  if (chosen === undefined) throw new ArgumentError('Unable to connect (Lookup error.).\n')
  options.host = chosen.name
  options.port = chosen.port
}

/** Reads the pass phrase from `--keypass-file`, else asks for it on a terminal. */
async function askForPassphrase({ tls }: ToolOptions, io: CliIo): Promise<void> {
  if (tls.keyFile === undefined || !/ENCRYPTED/.test(read(tls.keyFile).toString('latin1'))) return
  if (tls.keyPassFile !== undefined) {
    tls.passphrase = read(tls.keyPassFile).toString().split(/\r?\n/)[0]!
    return
  }
  if (!isTerminal(io.stdin)) {
    throw new ArgumentError(
      `Error: The key ${tls.keyFile} is encrypted: give its pass phrase in a file (--keypass-file), or on a terminal.\n`,
    )
  }
  tls.passphrase = await readSecret(io, 'Enter PEM pass phrase:', null)
}

function receiveMaximum({ count }: ToolOptions): number {
  // With `-C 3` no more than 3 are to come.
  return count > 0 && count < 20 ? count : 20
}

/** Mosquitto's path of a WebSocket. */
const WEBSOCKET_PATH = '/mqtt'

function serverUrl(options: ToolOptions, isTls: boolean): string {
  if (options.unixPath !== undefined && options.webSocket) return `ws://localhost${WEBSOCKET_PATH}`
  if (options.unixPath !== undefined)
    return `mqtt+unix:${encodeURI(options.unixPath).replace(/[?#]/g, encodeURIComponent)}`
  const host = options.host ?? 'localhost'
  const port = options.port ?? (isTls ? 8883 : 1883)
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if (options.webSocket) return `${isTls ? 'wss' : 'ws'}://${authority}${WEBSOCKET_PATH}`
  return `${isTls ? 'mqtts' : 'mqtt'}://${authority}`
}

/** Whether to use TLS, by Mosquitto's rules: an authority, a key, `mqtts://`, or port 8883. */
function wantsTls({ tls, port }: ToolOptions): boolean {
  if (tls.off) return false
  const isNamed = tls.caFile !== undefined || tls.caPath !== undefined || tls.psk !== undefined
  return isNamed || tls.useOsCerts === true || port === 8883
}

/** Options of TLS; `null` without TLS. */
function tlsOptions(options: ToolOptions, { mosquitto }: Manner): TlsOptions | null {
  const { tls } = options
  if (!wantsTls(options)) return null
  const result: TlsOptions = {}
  const authorities: (string | Uint8Array)[] = []
  if (tls.caFile !== undefined) authorities.push(read(tls.caFile))
  if (tls.caPath !== undefined) authorities.push(...readFolder(tls.caPath))
  if (tls.useOsCerts) authorities.push(...systemAuthorities())
  if (authorities.length > 0) result.ca = authorities
  if (tls.certFile !== undefined && tls.keyFile !== undefined) {
    result.cert = read(tls.certFile)
    result.key = read(tls.keyFile)
    if (tls.passphrase !== undefined) result.passphrase = tls.passphrase
  }
  if (tls.ciphers !== undefined) result.ciphers = tls.ciphers
  if (tls.alpn !== undefined) result.alpnProtocols = [tls.alpn]
  if (tls.insecure) {
    result.checkServerIdentity = false
    // Since 2.1 any certificate is accepted.
    if (mosquitto === '2.1') result.rejectUnauthorized = false
  }
  if (tls.keyLogFile !== undefined) result.keylog = keyLogTo(tls.keyLogFile)
  if (tls.version !== undefined) {
    const version = { 'tlsv1.3': 'TLSv1.3', 'tlsv1.2': 'TLSv1.2', 'tlsv1.1': 'TLSv1.1' }[tls.version] as
      | 'TLSv1.3'
      | 'TLSv1.2'
      | 'TLSv1.1'
      | undefined
    if (version === undefined) {
      throw new ArgumentError('Error: Problem setting TLS options, check the options are valid.\n')
    }
    result.minVersion = version
    result.maxVersion = version
  }
  if (tls.psk !== undefined) {
    result.psk = { identity: tls.pskIdentity ?? '', key: Uint8Array.from(Buffer.from(tls.psk, 'hex')) }
  }
  return result
}

/** Function that appends to a key log, which only the user may read, as other programs do that write such a file. */
function keyLogTo(file: string): (line: Uint8Array) => void {
  try {
    writeFileSync(file, '', { flag: 'a', mode: 0o600 })
  } catch (error) {
    throw new ArgumentError(
      `Error: Problem setting TLS options: ${file} cannot be written: ${(error as Error).message}.\n`,
    )
  }
  return (line) => appendFileSync(file, line)
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'File not found' : message
    throw new ArgumentError(`Error: Problem setting TLS options: ${why}.\n`)
  }
}

/** Certificates as `openssl rehash` leaves them (`1a2b3c4d.0`) and under their own names. */
function readFolder(folder: string): Buffer[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    throw new ArgumentError('Error: Problem setting TLS options: File not found.\n')
  }
  return names.filter((name) => /\.(?:crt|pem|\d)$/.test(name)).map((name) => read(join(folder, name)))
}

const SYSTEM_BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']

function systemAuthorities(): (string | Buffer)[] {
  const bundle = SYSTEM_BUNDLES.find((file) => existsSync(file))
  return bundle === undefined ? [...process.getBuiltinModule('node:tls').rootCertificates] : [read(bundle)]
}
