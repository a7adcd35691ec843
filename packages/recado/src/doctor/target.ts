/**
 * The server that `recado doctor` examines: its address, how to log in, and streams to it.
 *
 * Made by `doctor.ts` of the command line; all checks use it. The invariant: a stream that is not open in time is destroyed.
 */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { type Client, type ConnectOptions, createClient } from '@recado/client'
import { createWebSocketStream, WebSocket } from 'ws'
import { ToolError } from '../command-table.ts'

export type Scheme = 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix'

export interface Target {
  readonly scheme: Scheme
  /** Without user name and password. */
  readonly href: string
  readonly host: string
  readonly port: number
  /** Path of a WebSocket, or of the unix-domain socket. */
  readonly path: string
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** Certificates, and what may be said about TLS. */
  readonly tls: ConnectionOptions
  /** Whether a server without a trusted certificate of its name is refused. Otherwise the login goes to any server. */
  readonly isCertificateChecked: boolean
  readonly topic: string
  /** Time for one check. */
  readonly timeoutMs: number
}

const ports: Record<string, number> = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 }

/** @throws ToolError */
export function addressOf(
  url: string,
): Pick<Target, 'scheme' | 'href' | 'host' | 'port' | 'path' | 'isTls' | 'username' | 'password'> {
  const given = /^[\w+]+:/.test(url) && !/^[^/]*:\d+$/.test(url) ? url : `mqtt://${url}`
  let parsed: URL
  try {
    parsed = new URL(given)
  } catch {
    throw new ToolError(
      `${url} is no address; expected one like mqtt://host:1883, mqtts://host, wss://host/mqtt or mqtt+unix:/path`,
    )
  }
  const scheme = parsed.protocol.slice(0, -1)
  if (scheme === 'mqtt+unix' || scheme === 'unix') {
    const path = decodeURIComponent(parsed.pathname)
    return {
      scheme: 'unix',
      href: `mqtt+unix:${path}`,
      host: '',
      port: 0,
      path,
      isTls: false,
      username: undefined,
      password: undefined,
    }
  }
  if (!Object.hasOwn(ports, scheme))
    throw new ToolError(`${scheme}: is not a protocol for MQTT; use mqtt, mqtts, ws, wss or mqtt+unix`)
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  if (host === '') throw new ToolError(`${url} has no host: write for example mqtt://HOST:PORT`)
  const port = parsed.port === '' ? ports[scheme]! : Number(parsed.port)
  const isWebSocket = scheme.startsWith('ws')
  const path = isWebSocket ? `${parsed.pathname}${parsed.search}` : ''
  const username = parsed.username === '' ? undefined : decodeURIComponent(parsed.username)
  const password = parsed.password === '' ? undefined : decodeURIComponent(parsed.password)
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const isTls = scheme === 'mqtts' || scheme === 'wss'
  return {
    scheme: scheme as Scheme,
    href: `${scheme}://${authority}${path}`,
    host,
    port,
    path,
    isTls,
    username,
    password,
  }
}

/** Within the time of a check, else an error that says so. */
export async function within<Value>(ms: number, what: string, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Codes of Node for a certificate that is refused here, and the beginning of those for an alert of the server. */
const CERTIFICATE_CODES = /CERT|CRL|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH/
const ALERTS = 'ERR_SSL'

/**
 * Returns a stream on which MQTT can be spoken byte by byte. Certificates are refused here, and judged in `network.ts`.
 *
 * @throws ToolError when the server's certificate is refused; other errors as Node has them
 */
export async function openStream(target: Target): Promise<Duplex> {
  try {
    return await openAny(target)
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (code.startsWith(ALERTS) || !CERTIFICATE_CODES.test(code)) throw error
    throw new ToolError(
      `the certificate of ${target.host} is not trusted, and nothing was sent: ${message}; give its authority with --cafile, or --insecure where anybody may read along`,
    )
  }
}

async function openAny(target: Target): Promise<Duplex> {
  const { scheme, host, port, path, href, timeoutMs } = target
  const secure = { ...target.tls, rejectUnauthorized: target.isCertificateChecked }
  if (scheme === 'ws' || scheme === 'wss') {
    const socket = new WebSocket(href, ['mqtt'], { ...secure, perMessageDeflate: false, handshakeTimeout: timeoutMs })
    const stream = createWebSocketStream(socket)
    stream.on('error', () => {})
    await within(timeoutMs, 'WebSocket', once(socket, 'open'))
    return stream
  }
  const socket = target.isTls
    ? connectTls({ host, port, ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }), ...secure })
    : connectTcp(scheme === 'unix' ? { path } : { host, port, autoSelectFamily: true })
  const opened = once(socket, target.isTls ? 'secureConnect' : 'connect')
  try {
    await within(timeoutMs, 'connection', opened)
  } catch (error) {
    socket.destroy()
    throw error
  }
  socket.on('error', () => {})
  return socket
}

/** Returns a client of this server. It refuses certificates as `openStream` does. */
export function clientOf(target: Target, options: ConnectOptions = {}): Client {
  const { scheme, href, isTls, path, timeoutMs } = target
  const { ca, cert, key, passphrase } = target.tls as {
    ca?: Buffer[]
    cert?: Buffer
    key?: Buffer
    passphrase?: string
  }
  const tls = {
    rejectUnauthorized: target.isCertificateChecked,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
  return createClient({
    url: scheme === 'unix' ? `mqtt+unix:${encodeURI(path)}` : href,
    protocolVersion: 5,
    reconnect: false,
    connectTimeoutMs: timeoutMs,
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(isTls ? { tls } : {}),
    ...options,
  })
}
