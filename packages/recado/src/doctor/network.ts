/**
 * The way to the server, for `recado doctor`: names, addresses, TLS and its certificates, the clock.
 *
 * Called by `doctor.ts` first of all. `judgeCertificates` is pure, so that its tests choose the time.
 */
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { connect as connectTcp, isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  type DetailedPeerCertificate,
  type TLSSocket,
} from 'node:tls'
import type { Findings } from './findings.ts'
import { type Target, within } from './target.ts'

const DAY_MS = 86_400_000
const EXPIRES_SOON_DAYS = 30
const ADDRESSES_MAX = 8
/** Before this program was made no clock can be right. */
const EARLIEST = Date.UTC(2025, 0, 1)

export function checkClock(findings: Findings, now: number = Date.now()): void {
  if (now >= EARLIEST) return
  findings.add('clock', 'fault', `this machine says that it is ${new Date(now).toISOString()}`, {
    remedy: 'set the clock (NTP): certificates are judged by it, and expiry intervals',
  })
}

/** Whether the server can be reached. */
export async function checkNetwork(target: Target, findings: Findings): Promise<boolean> {
  if (target.scheme === 'unix') return checkAddress(target, { path: target.path }, target.path, findings)
  let addresses: { address: string; family: number }[]
  const before = performance.now()
  try {
    addresses =
      isIP(target.host) === 0
        ? await within(target.timeoutMs, `name ${target.host}`, lookup(target.host, { all: true }))
        : [{ address: target.host, family: isIP(target.host) }]
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    findings.add('network', 'fault', `the name ${target.host} has no address (${code ?? message})`, {
      remedy: 'check the name, and /etc/resolv.conf',
    })
    return false
  }
  const ms = performance.now() - before
  if (isIP(target.host) === 0) {
    const slow = ms > 1_000
    findings.add(
      'network',
      slow ? 'warning' : 'ok',
      `${target.host} is ${addresses.map(({ address }) => address).join(', ')} (${ms.toFixed(0)} ms)`,
      slow ? { remedy: 'the name server is slow' } : {},
    )
  }
  const results: boolean[] = []
  for (const { address } of addresses.slice(0, ADDRESSES_MAX)) {
    results.push(
      await checkAddress(
        target,
        { host: address, port: target.port },
        `${address} port ${target.port}`,
        findings,
        addresses.length > 1,
      ),
    )
  }
  return results.includes(true)
}

async function checkAddress(
  target: Target,
  to: { host: string; port: number } | { path: string },
  name: string,
  findings: Findings,
  hasOthers: boolean = false,
): Promise<boolean> {
  const socket = connectTcp(to)
  socket.on('error', () => {})
  const before = performance.now()
  try {
    await within(target.timeoutMs, `connection to ${name}`, once(socket, 'connect'))
    findings.add('network', 'ok', `${name} takes connections (${(performance.now() - before).toFixed(1)} ms)`)
    return true
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    findings.add('network', hasOthers ? 'warning' : 'fault', `${name}: ${code ?? message}`, {
      remedy: hasOthers
        ? 'clients that take this address wait in vain: let the server listen there, or take the address out of the DNS'
        : 'is the server running, does it listen on this address and port, does a firewall forbid it?',
    })
    return false
  } finally {
    socket.destroy()
  }
}

/** @param secure options of the connection that differ from the usual ones */
async function handshake(target: Target, secure: ConnectionOptions): Promise<TLSSocket> {
  const { host, port, timeoutMs } = target
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = connectTls({ host, port, ...servername, ...target.tls, rejectUnauthorized: false, ...secure })
  socket.on('error', () => {})
  try {
    await within(timeoutMs, 'TLS handshake', once(socket, 'secureConnect'))
  } catch (error) {
    socket.destroy()
    throw error
  }
  return socket
}

/** Verdict on the server's TLS: none can be spoken, or whether its certificate is trusted and has its name. */
export type TlsVerdict = 'none' | 'untrusted' | 'trusted'

export async function checkTls(target: Target, findings: Findings): Promise<TlsVerdict> {
  let socket: TLSSocket
  try {
    socket = await handshake(target, {})
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    findings.add('tls', 'fault', `no TLS: ${message} ${code === undefined ? '' : `(${code})`}`.trim(), {
      remedy: 'is this the port for TLS? Does the server want a certificate of ours (--cert, --key)?',
    })
    return 'none'
  }
  const { name } = socket.getCipher()
  findings.add('tls', 'ok', `${socket.getProtocol()}, ${name}`)
  judgeCertificates(
    socket.getPeerCertificate(true),
    { host: target.host, authorizationError: socket.authorizationError },
    findings,
  )
  const verdict = socket.authorized ? 'trusted' : 'untrusted'
  socket.destroy()
  await checkOldTls(target, findings)
  return verdict
}

async function checkOldTls(target: Target, findings: Findings): Promise<void> {
  try {
    const old: ConnectionOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    const socket = await handshake(target, old)
    const version = socket.getProtocol()
    socket.destroy()
    findings.add('tls', 'warning', `${version} is accepted`, {
      remedy: 'let the server ask for TLS 1.2 at least: what is older is broken (RFC 8996)',
    })
  } catch {
    findings.add('tls', 'ok', 'nothing older than TLS 1.2 is accepted')
  }
}

export interface Presented {
  readonly host: string
  /** Verdict of Node on the chain. */
  readonly authorizationError: Error | string | null | undefined
  readonly now?: number
}

/** The chain that the server presents. */
export function judgeCertificates(
  certificate: DetailedPeerCertificate,
  { host, authorizationError, now = Date.now() }: Presented,
  findings: Findings,
): void {
  const chain = chainOf(certificate)
  if (chain.length === 0) {
    findings.add('tls', 'note', 'the server presents no certificate (pre-shared keys)')
    return
  }
  const nameError = checkServerIdentity(host, certificate)
  if (nameError !== undefined) {
    findings.add(
      'tls',
      'fault',
      `the certificate is not for ${host}: it has ${certificate.subjectaltname ?? certificate.subject?.CN ?? 'no names'}`,
      {
        remedy: 'connect by a name that the certificate has, or make one with this name',
      },
    )
  }
  for (const each of chain) {
    const subject = nameOf(each)
    const days = (Date.parse(each.valid_to) - now) / DAY_MS
    const begins = Date.parse(each.valid_from)
    if (begins > now) {
      findings.add('tls', 'fault', `${subject} is valid only from ${new Date(begins).toISOString()} on`, {
        remedy: 'is the clock of this machine right, and that of who made it?',
      })
    } else if (days < 0) {
      findings.add('tls', 'fault', `${subject} has expired ${Math.ceil(-days)} days ago`, {
        remedy: 'make a new certificate, and send the broker SIGHUP',
      })
    } else if (days < EXPIRES_SOON_DAYS) {
      findings.add('tls', 'warning', `${subject} expires in ${Math.floor(days)} days`, {
        remedy: 'make a new certificate soon',
      })
    } else findings.add('tls', 'ok', `${subject} is valid for ${Math.floor(days)} days`)
    const { bits, asn1Curve } = each as { bits?: number; asn1Curve?: string }
    if (bits !== undefined && asn1Curve === undefined && bits < 2_048) {
      findings.add('tls', 'warning', `the RSA key of ${subject} has only ${bits} bits`, {
        remedy: 'make a key of 2048 bits, or an elliptic one',
      })
    }
  }
  const error = String((authorizationError as Error | undefined)?.message ?? authorizationError ?? '')
  // Names and dates have been said.
  if (error === '' || /expired|not yet valid|ALTNAME|Hostname/i.test(error)) return
  const isOwn = /self.signed/i.test(error)
  findings.add('tls', 'fault', `the chain of certificates is not trusted: ${error}`, {
    remedy: isOwn
      ? 'give the certificate of the authority with --cafile'
      : 'let the server present the certificates between its own and the root (cat server.crt intermediate.crt), or give the authority with --cafile',
  })
}

/** Returns the certificate and its issuers, as far as they are known. */
function chainOf(certificate: DetailedPeerCertificate): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = []
  let each: DetailedPeerCertificate | undefined = certificate
  while (each?.valid_to !== undefined && !chain.includes(each) && chain.length < 10) {
    chain.push(each)
    each = each.issuerCertificate
  }
  return chain
}

const nameOf = ({ subject }: DetailedPeerCertificate): string => {
  const name = subject?.CN ?? subject?.O ?? 'a certificate without a name'
  return `the certificate "${Array.isArray(name) ? name[0] : name}"`
}
