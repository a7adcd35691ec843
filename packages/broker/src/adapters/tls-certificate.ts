/**
 * X.509 certificates in the words of ports.ts: the facts that a client certificate states about its owner.
 *
 * `tls-server.ts` calls `clientCertificateOf` for a certificate that has been verified; nothing here verifies.
 * Invariant: a subject reads exactly as OpenSSL and Mosquitto write it (`XN_FLAG_RFC2253`), because ACL files name
 * users by it.
 *
 * Source: RFC 2253 (string form of distinguished names), as Mosquitto's `use_subject_as_username`.
 */
import type { X509Certificate } from 'node:crypto'
import type { ClientCertificate } from '../ports.ts'

export function clientCertificateOf(certificate: X509Certificate): ClientCertificate {
  const { serialNumber, fingerprint256, subject, issuer, subjectAltName, validTo } = certificate
  return {
    commonName: commonNameOf(subject),
    subject: distinguishedName(subject),
    issuer: distinguishedName(issuer),
    serialNumber,
    fingerprint256,
    subjectAltName: subjectAltName ?? '',
    validToMs: Date.parse(validTo),
  }
}

/**
 * Converts a name as Node writes it: one part per line, the most general first, values escaped as in RFC 2253 except
 * for text that is not ASCII; undefined for an empty name.
 */
export function distinguishedName(name: string | undefined): string {
  return partsOf(name)
    .reverse()
    .map((part) => part.replaceAll(' + ', '+').replace(/[^\x00-\x7f]+/gu, escapeBytes))
    .join(',')
}

/** Returns the first common name, without escapes. */
export function commonNameOf(name: string | undefined): string | undefined {
  for (const line of partsOf(name)) {
    for (const part of line.split(' + ')) if (part.startsWith('CN=')) return unescaped(part.slice(3))
  }
  return undefined
}

const partsOf = (name: string | undefined): string[] => (name === undefined || name === '' ? [] : name.split('\n'))

const hexPair = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0')

function escapeBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => `\\${hexPair(byte)}`).join('')
}

/**
 * Removes escapes: `\2C` and `\,` both stand for a comma. Bytes that are no UTF-8 become U+FFFD, which no operator
 * writes into a file.
 */
function unescaped(value: string): string {
  const bytes: number[] = []
  for (let i = 0; i < value.length; i++) {
    const hex = /^\\([0-9A-Fa-f]{2})/.exec(value.slice(i, i + 3))
    if (hex !== null) {
      bytes.push(Number.parseInt(hex[1]!, 16))
      i += 2
    } else if (value[i] === '\\' && i + 1 < value.length) {
      i++
      bytes.push(value.charCodeAt(i))
    } else {
      const character = String.fromCodePoint(value.codePointAt(i)!)
      bytes.push(...new TextEncoder().encode(character))
      i += character.length - 1
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes))
}
