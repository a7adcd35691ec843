/**
 * Findings about the files that a configuration names: their readers and writers, and the expiry of certificates.
 *
 * `lint.ts` calls it. Invariant: a file that cannot be read is no finding; `--test-config` reports that it is missing.
 */
import { X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import type { Block, Setting } from '../config/parse.ts'
import type { Tell } from './lint.ts'

const OTHERS_READ = 0o004
const OTHERS_WRITE = 0o002
const SOON_MS = 30 * 86_400_000
const DAY_MS = 86_400_000

/** Options whose files hold secrets, with the name of the secret. */
const secrets: Readonly<Record<string, string>> = {
  keyfile: 'the private key',
  bridge_keyfile: 'the private key',
  password_file: 'the password hashes',
  psk_file: 'the pre-shared keys',
  jwt_secret_file: 'the secret that signs tokens',
  webhook_header_file: 'what webhooks are sent',
}
/** Options whose files decide about logins. */
const deciding = [
  'password_file',
  'psk_file',
  'acl_file',
  'jwt_key_file',
  'jwt_secret_file',
  'cafile',
  'crlfile',
  'certfile',
  'keyfile',
]
const certificates = ['certfile', 'cafile', 'bridge_certfile', 'bridge_cafile']

export function fileFindings(config: Config, nowMs: number, tell: Tell): void {
  const { global, defaultListener, listeners, bridges } = config.source
  for (const { settings } of [global, defaultListener, ...listeners, ...bridges] as Block[]) {
    for (const setting of settings) {
      const { name } = setting.option
      if (name in secrets || deciding.includes(name)) modeFindings(setting, tell)
      if (certificates.includes(name)) certificateFindings(setting, [String(setting.value)], nowMs, tell)
      if (name === 'capath') certificateFindings(setting, filesIn(String(setting.value)), nowMs, tell)
      if (name === 'password_file') hashFindings(setting, tell)
    }
  }
  ownFindings(config, tell)
}

/** Findings about the configuration itself, when it has secrets. */
function ownFindings({ source: { global, bridges, files } }: Config, tell: Tell): void {
  const inFile = (file: string): Setting | undefined =>
    [global, ...bridges]
      .flatMap(({ settings }) => settings)
      .find((each) => each.option.secret === true && each.file === file)
  for (const file of files) {
    const secret = inFile(file)
    if (secret !== undefined && hasMode(file, OTHERS_READ)) {
      tell(
        'file-readable',
        secret,
        `Every user of the machine can read ${file}, which has a secret in it (${secret.name}).`,
      )
    }
  }
}

function modeFindings(setting: Setting, tell: Tell): void {
  const { name } = setting.option
  const path = String(setting.value)
  const secret = secrets[name]
  if (secret !== undefined && hasMode(path, OTHERS_READ)) {
    tell('file-readable', setting, `Every user of the machine can read ${secret} in ${path}.`)
  }
  if (deciding.includes(name) && hasMode(path, OTHERS_WRITE)) {
    tell('file-writable', setting, `Every user of the machine can write ${path} (${setting.name}).`)
  }
}

function hasMode(path: string, bits: number): boolean {
  try {
    return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & bits) !== 0
  } catch {
    // A folder above it that we may not enter: nor may others, as far as can be seen.
    return false
  }
}

function certificateFindings(setting: Setting, paths: readonly string[], nowMs: number, tell: Tell): void {
  for (const path of paths) {
    for (const { subject, validTo } of certificatesIn(path)) {
      const leftMs = Date.parse(validTo) - nowMs
      if (leftMs > SOON_MS) continue
      const days = Math.floor(Math.abs(leftMs) / DAY_MS)
      const when = leftMs < 0 ? `expired ${days} days ago` : `expires in ${days} days`
      const whose = subject.replaceAll('\n', ', ')
      tell(
        'certificate-expires',
        setting,
        `The certificate ${whose} in ${path} ${when} (${new Date(nowMs + leftMs).toISOString().slice(0, 10)}).`,
      )
    }
  }
}

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

function certificatesIn(path: string): X509Certificate[] {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch {
    return []
  }
  // Not by a pattern: the check that patterns are linear needs a quarter of a minute for such a long one.
  const [, ...rest] = text.split(BEGIN)
  return rest.flatMap((part) => {
    try {
      return [new X509Certificate(`${BEGIN}${part.slice(0, part.indexOf(END))}${END}`)]
    } catch {
      return []
    }
  })
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}

function hashFindings(setting: Setting, tell: Tell): void {
  let lines: string[]
  try {
    lines = readFileSync(String(setting.value), 'utf8').split('\n')
  } catch {
    return
  }
  const old = lines.filter((line) => !line.startsWith('#') && isQuick(line)).length
  if (old === 0) return
  const whose = old === 1 ? 'A password' : `${old} passwords`
  tell(
    'old-password-hash',
    setting,
    `${whose} in ${String(setting.value)} can be guessed quickly ($6$, or $7$ with few rounds).`,
  )
}

/** Smallest number of PBKDF2 rounds: fewer cost an attacker nothing. */
const ROUNDS_MIN = 1000

function isQuick(line: string): boolean {
  const [, kind, rounds] = /:\$([67])\$(\d*)/.exec(line) ?? []
  return kind === '6' || (kind === '7' && Number(rounds) < ROUNDS_MIN)
}
