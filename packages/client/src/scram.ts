/**
 * `scram({ username, password })`: SCRAM-SHA-256 (RFC 5802, RFC 7677) for the option `authentication` of `connect`.
 *
 * The password is not sent, and the server must prove that it knows it too. Web Crypto does the work, so it runs in
 * browsers (on secure pages) and in Node. It has an entry point of its own, `@recado/client/scram`, so that only its
 * users load it.
 */
import { check, checkOptions, MqttError, type Rules, text } from '@recado/protocol'
import type { Authentication } from './options.ts'

/** Argument of `scram`. */
export interface ScramCredentials {
  username: string
  password: string
}

/**
 * Least and greatest number of iterations that we accept: less is too weak (RFC 7677), and with more a server would
 * keep us busy.
 */
const ITERATIONS_MIN = 4_096
const ITERATIONS_MAX = 1_000_000
const HEADER = 'n,,'

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))
const fromBase64 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0))

function refused(what: string): MqttError {
  return new MqttError('ERR_MQTT_SCRAM', `SCRAM-SHA-256: ${what}`)
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const imported = await crypto.subtle.importKey('raw', key, algorithm, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, utf8(text)))
}

async function saltedPassword(
  password: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', utf8(password.normalize('NFKC')), 'PBKDF2', false, ['deriveBits'])
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations }, key, 256))
}

const scramRules: Rules<ScramCredentials> = { username: text, password: text }

/**
 * Makes the `authentication` of `connect(url, { authentication: scram({ username, password }) })`. Also answers a
 * re-authentication.
 */
export function scram(credentials: ScramCredentials): Authentication {
  checkOptions(credentials, scramRules, '', 'the credentials')
  const { username, password } = credentials
  check('username', username, text)
  check('password', password, text)
  let firstBare = ''
  let nonce = ''
  let serverSignature = ''

  const first = (): Uint8Array => {
    nonce = base64(crypto.getRandomValues(new Uint8Array(18)))
    serverSignature = ''
    const name = username.normalize('NFKC').replaceAll('=', '=3D').replaceAll(',', '=2C')
    firstBare = `n=${name},r=${nonce}`
    return utf8(HEADER + firstBare)
  }

  const final = async (data: Uint8Array): Promise<Uint8Array> => {
    const serverFirst = new TextDecoder().decode(data)
    const [, combined, salt, count] = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,7})(?:,.*)?$/s.exec(serverFirst) ?? []
    if (combined === undefined || !combined.startsWith(nonce) || combined === nonce) {
      throw refused('the answer of the server is not a message of SCRAM')
    }
    const iterations = Number(count)
    if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX) {
      throw refused(`the server asks for ${iterations} iterations; ${ITERATIONS_MIN} to ${ITERATIONS_MAX} are allowed`)
    }
    const salted = await saltedPassword(password, fromBase64(salt!), iterations)
    const clientKey = await hmac(salted, 'Client Key')
    const storedKey = new Uint8Array(await crypto.subtle.digest('SHA-256', clientKey))
    const withoutProof = `c=${btoa(HEADER)},r=${combined}`
    const authMessage = `${firstBare},${serverFirst},${withoutProof}`
    const signature = await hmac(storedKey, authMessage)
    serverSignature = base64(await hmac(await hmac(salted, 'Server Key'), authMessage))
    return utf8(`${withoutProof},p=${base64(clientKey.map((byte, i) => byte ^ signature[i]!))}`)
  }

  return {
    method: 'SCRAM-SHA-256',
    respond: (data) => (data === undefined ? first() : final(data)),
    finish(data) {
      const isProven = serverSignature !== '' && new TextDecoder().decode(data) === `v=${serverSignature}`
      serverSignature = ''
      if (!isProven) throw refused('the server has not proven that it knows the password')
    },
  }
}
