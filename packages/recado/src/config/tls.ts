/**
 * The options about TLS of one listener, and the files that they name as options of `@recado/broker`.
 *
 * `config.ts` calls `tlsFrom` for each listener, `serve.ts` calls `readTls` when it opens one, and again on SIGHUP.
 * Invariants: a fault in an option or in a file that it names is an error with the option's line; an option about TLS
 * never stands on a listener that stays without it.
 */
import { readFileSync } from 'node:fs'
import { checkTls, TlsError, type TlsOptions, tlsWarnings, type UsernameSource } from '@recado/broker'
import { parsePskFile } from '../psk-file.ts'
import { certificatesIn } from './certificates.ts'
import { type Block, ConfigError, type OptionFault, type Setting, unreadable } from './parse.ts'

/** Settings as they were given; each knows its line. */
export interface TlsConfig {
  readonly certificate: { readonly cert: Setting; readonly key: Setting } | null
  /** Pre-shared keys; `file` is null when no client has a key. */
  readonly psk: { readonly hint: Setting; readonly file: Setting | null } | null
  readonly settings: ReadonlyMap<string, Setting>
}

const ofTls = ({ name, value }: Pick<Setting, 'name' | 'value'>): OptionFault => ({
  kind: 'tls',
  name,
  value: String(value),
})

const OPTIONS: readonly string[] = [
  'certfile',
  'keyfile',
  'cafile',
  'capath',
  'crlfile',
  'ciphers',
  'ciphers_tls1.3',
  'dhparamfile',
  'tls_version',
  'require_certificate',
  'use_identity_as_username',
  'use_subject_as_username',
  'psk_hint',
  'tls_alpn_strict',
]
/** Options that a proxy can satisfy for a listener without TLS of its own. */
const BY_PROXY: readonly string[] = ['require_certificate', 'use_identity_as_username']
/**
 * Options that leave a listener without TLS no more open than it was meant to be: a warning, since Mosquitto accepts
 * them.
 */
const NEUTRAL: readonly string[] = [
  'crlfile',
  'ciphers',
  'ciphers_tls1.3',
  'dhparamfile',
  'tls_version',
  'tls_alpn_strict',
]
/** Names in `TlsOptions`, and the option that each comes from. */
const optionOf: Partial<Record<keyof TlsOptions, string>> = {
  cert: 'certfile',
  key: 'keyfile',
  ca: 'cafile',
  crl: 'crlfile',
  ciphers: 'ciphers',
  ciphersTls13: 'ciphers_tls1.3',
  dhparam: 'dhparamfile',
}

/**
 * Reads the options; null when the listener has no TLS. `pskFile` is the `psk_file` that applies to it. @throws
 * ConfigError for options that do not go together
 */
export function tlsFrom(block: Block, pskFile: Setting | undefined, warnings: string[]): TlsConfig | null {
  const settings = new Map<string, Setting>()
  for (const setting of block.settings)
    if (OPTIONS.includes(setting.option.name)) settings.set(setting.option.name, setting)
  const fail = (setting: Setting, what: string): never => {
    throw new ConfigError(setting.file, setting.line, `${setting.name} ${what}`)
  }
  const isTrue = (name: string): boolean => settings.get(name)?.value === true
  const cert = settings.get('certfile')
  const key = settings.get('keyfile')
  const hint = settings.get('psk_hint')
  if (cert !== undefined && key === undefined) return fail(cert, 'needs keyfile as well')
  if (key !== undefined && cert === undefined) return fail(key, 'needs certfile as well')
  if (cert === undefined && hint === undefined) {
    const proxied = block.settings.some(({ option, value }) => option.name === 'enable_proxy_protocol' && value === 2)
    const orphans = [...settings.values()].filter(
      ({ option, value }) => String(value) !== option.default && !(proxied && BY_PROXY.includes(option.name)),
    )
    for (const orphan of orphans) {
      if (!NEUTRAL.includes(orphan.name))
        fail(orphan, 'needs certfile and keyfile, or psk_hint: without them there is no TLS')
    }
    for (const { file, line, name } of orphans) {
      warnings.push(
        `${file}:${line}: ${name} has no effect: the listener has no TLS (certfile and keyfile, or psk_hint)`,
      )
    }
    return null
  }
  if (hint !== undefined && cert === undefined && pskFile === undefined) {
    warnings.push(`${hint.file}:${hint.line}: psk_hint without psk_file: nobody has a key, so nobody gets in`)
  }
  if (hint !== undefined && cert !== undefined) {
    warnings.push(`${hint.file}:${hint.line}: psk_hint has no effect beside certfile. As in Mosquitto`)
  }
  if (isTrue('require_certificate')) {
    const required = settings.get('require_certificate')!
    if (cert === undefined) fail(required, 'needs certfile and keyfile')
    if (!settings.has('cafile') && !settings.has('capath')) fail(required, 'needs cafile or capath')
  } else {
    const warn = ({ file, line, name }: Setting, what: string): void => {
      warnings.push(`${file}:${line}: ${name} ${what}`)
    }
    const crl = settings.get('crlfile')
    if (crl !== undefined) warn(crl, 'has no effect without require_certificate true: clients are asked for none')
    for (const name of ['use_identity_as_username', 'use_subject_as_username']) {
      const setting = settings.get(name)
      if (setting?.value !== true || (name === 'use_identity_as_username' && cert === undefined)) continue
      warn(setting, 'refuses every client without require_certificate true: nobody shows a certificate')
    }
  }
  return {
    certificate: cert === undefined ? null : { cert, key: key! },
    psk: hint === undefined || cert !== undefined ? null : { hint, file: pskFile ?? null },
    settings,
  }
}

/** Returns the source of the user name, by the options of a listener. */
export function usernameSourceOf(block: Block): UsernameSource {
  const isTrue = (name: string): boolean =>
    block.settings.some(({ option, value }) => option.name === name && value === true)
  if (isTrue('use_subject_as_username')) return 'subject'
  return isTrue('use_identity_as_username') ? 'identity' : 'connect'
}

export interface ReadTls {
  readonly options: TlsOptions
  /** Warnings, one line each, with the option's place. */
  readonly warnings: readonly string[]
}

/** Reads the files. @throws ConfigError for one that cannot be read or used */
export function readTls({ certificate, psk, settings }: TlsConfig): ReadTls {
  const options: TlsOptions = {}
  const warnings: string[] = []
  if (certificate !== null) {
    options.cert = contentOf(certificate.cert)
    options.key = contentOf(certificate.key)
  }
  if (psk !== null) {
    const keys =
      psk.file === null ? new Map<string, Buffer>() : parsePskFile(contentOf(psk.file), psk.file.value as string)
    options.psk = (identity) => keys.get(identity) ?? null
    options.pskHint = psk.hint.value as string
  }
  const requiresCertificate = settings.get('require_certificate')?.value === true
  options.clientCertificate = requiresCertificate ? 'required' : 'none'
  // Also without client certificates: an intermediate in it is sent with our own certificate, as OpenSSL does it.
  if (certificate !== null && (settings.has('cafile') || settings.has('capath'))) options.ca = authoritiesFrom(settings)
  const crl = settings.get('crlfile')
  // Read in any case: a file that is missing is a mistake, also where it would have no effect.
  const revoked = crl === undefined ? null : contentOf(crl)
  if (revoked !== null && requiresCertificate) options.crl = revoked
  const dhparam = settings.get('dhparamfile')
  if (dhparam !== undefined) options.dhparam = contentOf(dhparam)
  const ciphers = settings.get('ciphers')
  if (ciphers !== undefined) options.ciphers = ciphers.value as string
  const suites = settings.get('ciphers_tls1.3')
  if (suites !== undefined) options.ciphersTls13 = suites.value as string
  if (settings.get('tls_alpn_strict')?.value === true) options.alpnStrict = true
  const version = settings.get('tls_version')
  if (version !== undefined) options.minVersion = versionFrom(version, warnings)
  for (const { option, what } of located(settings, () => {
    checkTls(options)
    return tlsWarnings(options)
  })) {
    const { file, line, name } = placeOf(settings, option)
    warnings.push(`${file}:${line}: ${name}: ${what}`)
  }
  return { options, warnings }
}

/** Calls `use`, and converts its error about an option of `@recado/broker` to one with the line of ours. */
export function located<T>(settings: ReadonlyMap<string, Setting>, use: () => T): T {
  try {
    return use()
  } catch (error) {
    if (!(error instanceof TlsError)) throw error
    const { file, line, name, value } = placeOf(settings, error.option)
    throw new ConfigError(file, line, `${name} ${String(value)}: ${error.message}`, ofTls({ name, value }))
  }
}

function placeOf(settings: ReadonlyMap<string, Setting>, option: keyof TlsOptions): Setting {
  const name = optionOf[option] ?? ''
  const found = settings.get(name) ?? (option === 'ca' ? settings.get('capath') : undefined)
  return found ?? settings.get('certfile') ?? settings.get('psk_hint')!
}

function contentOf(setting: Setting): string {
  try {
    return readFileSync(setting.value as string, 'latin1')
  } catch (error) {
    const what = `${setting.name} ${setting.value} ${unreadable(error)}`
    throw new ConfigError(setting.file, setting.line, what, setting.name === 'psk_file' ? null : ofTls(setting))
  }
}

/** Authorities of `cafile`, and of every file in `capath` that has any. */
function authoritiesFrom(settings: ReadonlyMap<string, Setting>): string[] {
  const file = settings.get('cafile')
  const texts = file === undefined ? [] : [contentOf(file)]
  const folder = settings.get('capath')
  if (folder === undefined) return texts
  const path = folder.value as string
  try {
    texts.push(...certificatesIn(path))
  } catch (error) {
    throw new ConfigError(folder.file, folder.line, `capath ${path} ${unreadable(error)}`, ofTls(folder))
  }
  if (texts.length === 0) {
    const what = `capath ${path} has no certificate: put PEM files there`
    throw new ConfigError(folder.file, folder.line, what, ofTls(folder))
  }
  return texts
}

function versionFrom({ file, line, name, value }: Setting, warnings: string[]): 'TLSv1.2' | 'TLSv1.3' {
  switch (String(value).toLowerCase()) {
    case 'tlsv1.3':
      return 'TLSv1.3'
    case 'tlsv1.2':
      return 'TLSv1.2'
    case 'tlsv1.1':
    case 'tlsv1':
      warnings.push(
        `${file}:${line}: tls_version ${value} is not offered any more (RFC 8996): clients need TLS 1.2 or 1.3`,
      )
      return 'TLSv1.2'
    default:
      throw new ConfigError(
        file,
        line,
        `tls_version must be tlsv1.2 or tlsv1.3, not "${value}"`,
        ofTls({ name, value }),
      )
  }
}
