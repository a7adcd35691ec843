/**
 * TLS of a bridge: its files and options as the client's options for a connection.
 *
 * `Bridge` reads them for each attempt, so that renewed certificates are used without a restart. @throws MqttError for
 * a file that cannot be read; the attempt has failed then, and the bridge tries again.
 */
import { readFileSync } from 'node:fs'
import type { DialOptions, TlsOptions } from '@recado/client/low-level'
import { MqttError } from '@recado/protocol'
import type { BridgeConfig, BridgeTls } from '../config/bridges.ts'
import { certificatesIn } from '../config/certificates.ts'

/** Returns options to connect with. @throws MqttError ERR_RECADO_BRIDGE_FILE */
export function dialOptionsOf({ bindAddress, tcpKeepAlive, tls }: BridgeConfig): DialOptions {
  return {
    ...(bindAddress === null ? {} : { localAddress: bindAddress }),
    ...(tcpKeepAlive === null ? {} : { keepAliveIdleMs: tcpKeepAlive.idleSeconds * 1000 }),
    ...(tls === null ? {} : { tls: tlsOptionsOf(tls) }),
  }
}

function tlsOptionsOf(tls: BridgeTls): TlsOptions {
  const options: TlsOptions = {}
  const ciphers = [tls.ciphersTls13, tls.ciphers].filter((each) => each !== null).join(':')
  if (ciphers !== '') options.ciphers = ciphers
  if (tls.version !== null) Object.assign(options, { minVersion: tls.version, maxVersion: tls.version })
  else options.minVersion = 'TLSv1.2'
  if (tls.alpn !== null) options.alpnProtocols = [tls.alpn]
  if (tls.psk !== null) {
    options.psk = { identity: tls.psk.identity, key: Uint8Array.from(Buffer.from(evenHex(tls.psk.key), 'hex')) }
    return options
  }
  const authorities = authoritiesOf(tls)
  if (authorities.length > 0) options.ca = authorities
  if (tls.certfile !== null) options.cert = contentOf('bridge_certfile', tls.certfile)
  if (tls.keyfile !== null) options.key = contentOf('bridge_keyfile', tls.keyfile)
  if (tls.isInsecure) options.checkServerIdentity = false
  return options
}

/** OpenSSL takes an odd number of digits as if a 0 stood before them. */
const evenHex = (digits: string): string => (digits.length % 2 === 0 ? digits : `0${digits}`)

function authoritiesOf({ cafile, capath, useOsCertificates }: BridgeTls): string[] {
  const texts: string[] = []
  if (cafile !== null) texts.push(authorityIn(cafile))
  if (capath !== null) texts.push(...authoritiesIn(capath))
  if (useOsCertificates) texts.push(...systemCertificates())
  return texts
}

/** Text of a file with certificates of authorities. Without one no server would be trusted, and nobody would say why. */
function authorityIn(path: string): string {
  const text = contentOf('bridge_cafile', path)
  if (/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(text)) return text
  throw new MqttError(
    'ERR_RECADO_BRIDGE_FILE',
    `bridge_cafile ${path} has no certificate: name a PEM file that has one`,
  )
}

function authoritiesIn(path: string): string[] {
  const texts = certificatesOf(path)
  if (texts.length === 0) {
    throw new MqttError('ERR_RECADO_BRIDGE_FILE', `bridge_capath ${path} has no certificate: put PEM files there`)
  }
  return texts
}

function certificatesOf(path: string): string[] {
  try {
    return certificatesIn(path)
  } catch (error) {
    throw unreadable('bridge_capath', path, error)
  }
}

/** Authorities of the system, where this Node can tell them; else those that it came with. */
function systemCertificates(): readonly string[] {
  const tls: typeof import('node:tls') & { getCACertificates?: (type: string) => string[] } =
    process.getBuiltinModule('node:tls')
  const found = tls.getCACertificates?.('system') ?? []
  return found.length > 0 ? found : tls.rootCertificates
}

function contentOf(option: string, path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    throw unreadable(option, path, error)
  }
}

function unreadable(option: string, path: string, error: unknown): MqttError {
  return new MqttError('ERR_RECADO_BRIDGE_FILE', `${option} ${path} cannot be read: ${(error as Error).message}`)
}
