/**
 * A whole configuration as somebody has it, with what is needed to run it twice: its files, its ways in, and who is to try them.
 *
 * The tables are in `home-setups.ts`, `system-setups.ts` and `option-setups.ts`; `setups.ts` joins them. In lines and files FOLDER is a folder of the run
 * and P1 to P4 are free ports.
 */
import { pbkdf2Sync } from 'node:crypto'
import { TestAuthority } from '@recado/broker/testing'
import type { Login, Protocol } from './door.ts'

export interface Difference {
  /** Name of the observation, as the prober gives it; a * at its end stands for all with that beginning. */
  readonly what: string
  readonly mosquitto: string
  readonly recado: string
  readonly why: string
  /** Version of Mosquitto; absent for both. */
  readonly version?: '2.0' | '2.1'
}

export interface Setup {
  readonly name: string
  /** mosquitto.conf. */
  readonly lines: readonly string[]
  /** Other files, by their path below FOLDER. */
  readonly files?: Readonly<Record<string, string>>
  /** Behind `-c FILE`. */
  readonly arguments?: readonly string[]
  /** Doors by their names in observations. `at` is P1 to P4, or the name of a unix socket's file. */
  readonly doors: Readonly<Record<string, readonly [protocol: Protocol, at: string]>>
  /** Logins that are tried; by default a client without a user name. */
  readonly logins?: readonly Login[]
  /** Topics for the matrix of rights; by default none. */
  readonly topics?: readonly string[]
  readonly differences?: readonly Difference[]
}

const authority = new TestAuthority('authority')
const server = authority.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
const ada = authority.issue('ada', {
  subject: [
    ['O', 'Example'],
    ['CN', 'ada'],
  ],
})
const revoked = authority.issue('eve')
const stranger = new TestAuthority('stranger').issue('ada')

export const authorityCertificate: string = authority.cert

/** Files of every run with TLS. */
export const certificates: Readonly<Record<string, string>> = {
  'ca.pem': authority.cert,
  'cert.pem': server.cert,
  'key.pem': server.key,
  'crl.pem': authority.revocationList(revoked),
}
export const tls: readonly string[] = ['cafile FOLDER/ca.pem', 'certfile FOLDER/cert.pem', 'keyfile FOLDER/key.pem']

export const anybody: Login = { name: 'nobody' }
const login = (name: string, password: string, more: Partial<Login> = {}): Login => ({
  name,
  username: name,
  password,
  ...more,
})
type LoginName =
  | 'ada'
  | 'bob'
  | 'wrong'
  | 'unknown'
  | 'withoutPassword'
  | 'adaByCertificate'
  | 'eveByCertificate'
  | 'strangerByCertificate'

export const logins: Readonly<Record<LoginName, Login>> = {
  ada: login('ada', 'lovelace'),
  bob: login('bob', 'builder'),
  wrong: { ...login('ada', 'babbage'), name: 'ada with a wrong password' },
  unknown: login('mallory', 'x'),
  withoutPassword: { name: 'ada without a password', username: 'ada' },
  adaByCertificate: { name: 'the certificate of ada', cert: ada.cert, key: ada.key },
  eveByCertificate: { name: 'the revoked certificate of eve', cert: revoked.cert, key: revoked.key },
  strangerByCertificate: { name: 'a certificate of a stranger', cert: stranger.cert, key: stranger.key },
}

const ROUNDS = 101

/** Hash, salt and rounds as the JSON file of dynamic security has them. */
export function secretOf({ username = '', password = '' }: Login): {
  password: string
  salt: string
  iterations: number
} {
  const salt = Buffer.from(username.padEnd(12, '.').slice(0, 12))
  const hash = pbkdf2Sync(password, salt, ROUNDS, 64, 'sha512')
  return { password: hash.toString('base64'), salt: salt.toString('base64'), iterations: ROUNDS }
}

/** Password hash as mosquitto_passwd 2.0 writes it. */
function hashed(login: Login): string {
  const { password, salt } = secretOf(login)
  return `${login.username}:$7$${ROUNDS}$${salt}$${password}`
}

export const passwords = (...of: readonly Login[]): string => `${of.map(hashed).join('\n')}\n`
export const everybody: string = passwords(logins.ada, logins.bob)
