/**
 * The header of the PROXY protocol, versions 1 and 2, in which a proxy describes the client whose bytes follow.
 *
 * A listener reads it from the socket with `readProxyHeader`, before TLS and before MQTT. Invariants: only a whole,
 * valid header counts; the bytes after it are left in the socket; a header is of bounded length.
 *
 * Source: "The PROXY protocol", versions 1 and 2, of HAProxy (2020/03/05).
 */
import { isIPv6, type Socket } from 'node:net'
import { canonicalAddress, type Peer } from '../ports.ts'

/** Demands on the PROXY header of a connection. */
export interface ProxyOptions {
  /** Version that is expected. Default: either. */
  version?: 1 | 2
  /** Whether to refuse clients whose proxy does not say that they came by TLS. */
  requireTls?: boolean
  /** Whether to refuse clients whose proxy does not say that it has checked a certificate of theirs. */
  requireCertificate?: boolean
}

export interface ProxyHeader {
  /**
   * Address of the client, as in `192.0.2.1:50000`, '' for a unix socket; null when the proxy speaks for itself (a
   * health check) or does not know.
   */
  readonly remoteAddress: string | null
  readonly peer: Omit<Peer, 'proxyAddress'>
  /** Whether the proxy says that it has checked a certificate of the client, with any name. */
  readonly hasCertificate: boolean
}

export class ProxyError extends Error {}

const SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V1_BYTES_MAX = 107
const V2_START_BYTES = 16
/** Largest header in bytes. HAProxy sends some hundred bytes; the protocol allows 64 KiB. */
const HEADER_BYTES_MAX = 8_192
const Tlv = { Authority: 0x02, Crc32c: 0x03, Ssl: 0x20, SslVersion: 0x21, SslCommonName: 0x22 } as const
const Client = { Ssl: 1, Certificate: 2, Session: 4 } as const

const nobody: ProxyHeader['peer'] = {
  tlsVersion: null,
  commonName: null,
  certificate: null,
  pskIdentity: null,
  serverName: null,
}

const nothing: Omit<ProxyHeader, 'remoteAddress'> = { peer: nobody, hasCertificate: false }

/** Parses a header; returns null when more bytes are needed. @throws ProxyError */
export function parseProxyHeader(
  bytes: Buffer,
  options: ProxyOptions = {},
): { header: ProxyHeader; length: number } | null {
  const isV2 = bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE.subarray(0, bytes.length))
  const isV1 = 'PROXY '.startsWith(bytes.toString('latin1', 0, 6))
  if (bytes.length > 0 && !isV1 && !isV2) throw new ProxyError('the connection does not begin with one')
  if (isV1 && bytes.length > 0 && options.version === 2) throw new ProxyError('it has version 1; version 2 is expected')
  if (isV2 && bytes.length > 0 && options.version === 1) throw new ProxyError('it has version 2; version 1 is expected')
  const found = bytes.length === 0 ? null : isV2 ? parseV2(bytes) : parseV1(bytes)
  if (found === null) return null
  const { peer, hasCertificate, remoteAddress } = found.header
  const client = remoteAddress ? `the client ${remoteAddress}` : 'the client'
  if (options.requireTls && peer.tlsVersion === null) throw new ProxyError(`${client} came without TLS`)
  if (options.requireCertificate && !hasCertificate) throw new ProxyError(`${client} came without a certificate`)
  return found
}

function parseV1(bytes: Buffer): { header: ProxyHeader; length: number } | null {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n')
  if (end < 0) {
    if (bytes.length >= V1_BYTES_MAX) throw new ProxyError(`version 1 is longer than ${V1_BYTES_MAX} bytes`)
    return null
  }
  const length = end + 2
  // This holds behind UNKNOWN too, where anything may stand.
  if (bytes.subarray(0, end).some((byte) => byte < 0x20 || byte > 0x7e)) throw new ProxyError('version 1 is malformed')
  const words = bytes.toString('latin1', 0, end).split(' ')
  if (words[1] === 'UNKNOWN') return { header: { remoteAddress: null, ...nothing }, length }
  const [, family, source = '', target = '', sourcePort = '', targetPort = ''] = words
  const isAddress = family === 'TCP4' ? isV4 : isV6
  const isRight =
    words.length === 6 && (family === 'TCP4' || family === 'TCP6') && isAddress(source) && isAddress(target)
  if (!isRight || !isPort(sourcePort) || !isPort(targetPort)) throw new ProxyError('version 1 is malformed')
  return { header: { remoteAddress: addressOf(source, Number(sourcePort)), ...nothing }, length }
}

function parseV2(bytes: Buffer): { header: ProxyHeader; length: number } | null {
  if (bytes.length < V2_START_BYTES) return null
  const command = bytes[12]!
  const length = V2_START_BYTES + bytes.readUInt16BE(14)
  if (command >> 4 !== 2 || (command & 0x0f) > 1) throw new ProxyError('version 2 is malformed')
  if (length > HEADER_BYTES_MAX) throw new ProxyError(`version 2 is longer than ${HEADER_BYTES_MAX} bytes`)
  if (bytes.length < length) return null
  // The proxy speaks for itself: a health check.
  if ((command & 0x0f) === 0) return { header: { remoteAddress: null, ...nothing }, length }
  const family = bytes[13]! >> 4
  const addressBytes = [0, 12, 36, 216][family]
  if (addressBytes === undefined || length < V2_START_BYTES + addressBytes)
    throw new ProxyError('version 2 is malformed')
  const at = V2_START_BYTES
  let remoteAddress: string | null = null
  if (family === 1) {
    remoteAddress = addressOf([...bytes.subarray(at, at + 4)].join('.'), bytes.readUInt16BE(at + 8))
  } else if (family === 2) {
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i).toString(16))
    remoteAddress = addressOf(groups.join(':'), bytes.readUInt16BE(at + 32))
  } else if (family === 3) {
    remoteAddress = ''
  }
  const known = knownFrom(bytes.subarray(0, length), V2_START_BYTES + addressBytes)
  return { header: { remoteAddress, ...known }, length }
}

function knownFrom(header: Buffer, from: number): Omit<ProxyHeader, 'remoteAddress'> {
  let { tlsVersion, commonName, serverName } = nobody
  let hasCertificate = false
  for (const [type, value] of valuesIn(header, from)) {
    if (type === Tlv.Authority) serverName = value.toString('utf8')
    else if (type === Tlv.Crc32c) checkSum(header, value)
    else if (type === Tlv.Ssl) {
      if (value.length < 5) throw new ProxyError('version 2 is malformed')
      const flags = value[0]!
      if ((flags & Client.Ssl) === 0) continue
      tlsVersion = 'unknown'
      // 0: the proxy has found the certificate to be valid.
      hasCertificate = (flags & (Client.Certificate | Client.Session)) !== 0 && value.readUInt32BE(1) === 0
      for (const [subtype, text] of valuesIn(value, 5)) {
        if (subtype === Tlv.SslVersion) tlsVersion = text.toString('latin1')
        else if (subtype === Tlv.SslCommonName && hasCertificate) commonName = text.toString('utf8')
      }
    }
  }
  return { peer: { ...nobody, tlsVersion, commonName, serverName }, hasCertificate }
}

function valuesIn(bytes: Buffer, from: number): [type: number, value: Buffer][] {
  const values: [number, Buffer][] = []
  for (let at = from; at < bytes.length; ) {
    if (at + 3 > bytes.length) throw new ProxyError('version 2 is malformed')
    const end = at + 3 + bytes.readUInt16BE(at + 1)
    if (end > bytes.length) throw new ProxyError('version 2 is malformed')
    values.push([bytes[at]!, bytes.subarray(at + 3, end)])
    at = end
  }
  return values
}

/** Checks the checksum over the whole header, with zeros in its place. */
function checkSum(header: Buffer, value: Buffer): void {
  if (value.length !== 4) throw new ProxyError('version 2 is malformed')
  const at = value.byteOffset - header.byteOffset
  let crc = 0xffff_ffff
  for (let i = 0; i < header.length; i++) {
    crc ^= i >= at && i < at + 4 ? 0 : header[i]!
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0)
  }
  if ((crc ^ 0xffff_ffff) >>> 0 !== value.readUInt32BE(0)) throw new ProxyError('the checksum of version 2 is wrong')
}

/** Returns true for a port. No client has port 0, and a leading 0 means octal to some readers. */
const isPort = (word: string): boolean => /^[1-9]\d{0,4}$/.test(word) && Number(word) <= 65_535
const isV4 = (word: string): boolean => /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(word)
// Not parsed as a URL, which ignores tabs and line ends: the address goes into the log.
const isV6 = (word: string): boolean => isIPv6(word) && !word.includes('%')
function addressOf(text: string, port: number): string {
  const address = canonicalAddress(text)
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** Reads the header; later bytes stay in the socket, which is paused. Calls back once. */
export function readProxyHeader(
  socket: Socket,
  options: ProxyOptions,
  done: (header: ProxyHeader) => void,
  failed: (why: string) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0)
  const stop = (): void => {
    socket.off('data', onData)
    socket.off('close', onClose)
  }
  const fail = (why: string): void => {
    stop()
    failed(`PROXY header: ${why}`)
  }
  const onClose = (): void => fail('the connection was closed before its end')
  const onData = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    let found: ReturnType<typeof parseProxyHeader>
    try {
      found = parseProxyHeader(bytes, options)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      fail(error.message)
      return
    }
    if (found === null) return
    stop()
    socket.pause()
    if (found.length < bytes.length) socket.unshift(bytes.subarray(found.length))
    done(found.header)
  }
  socket.on('data', onData)
  socket.on('close', onClose)
}
