/**
 * Looks for risks in a configuration, and for settings without effect.
 *
 * `recado config lint` calls it with a configuration that could be read. It opens files, and no socket. Invariant: each
 * finding has the line that it is about, or the file when there is no such line.
 */
import { isIP } from 'node:net'
import { filterCovers } from '@recado/protocol'
import { hasLogins } from '../config/admission.ts'
import type { Config } from '../config/config.ts'
import type { ListenerConfig } from '../config/listeners.ts'
import type { Block, Setting } from '../config/parse.ts'
import { bridgeFindings } from './bridges.ts'
import { fileFindings } from './files.ts'
import type { LintName } from './table.ts'

export interface Finding {
  readonly name: LintName
  /** File; null for the default configuration. */
  readonly file: string | null
  /** Line number; 0 for the file as a whole. */
  readonly line: number
  /** Text, a sentence. */
  readonly text: string
}

/** Function that reports a finding: with the line of a setting, or of the listener when no line is about it. */
export type Tell = (name: LintName, setting: Setting | null | undefined, text: string) => void

const YEAR_SECONDS = 366 * 86_400

/**
 * Findings in the order of files and lines. `nowMs` is the time for the expiry of certificates; `others` are the
 * configurations of other brokers, for bridges that go round.
 */
export function lint(config: Config, nowMs: number = Date.now(), others: readonly Config[] = []): Finding[] {
  const findings: Finding[] = []
  const tell: Tell = (name, setting, text) => {
    findings.push({ name, file: setting?.file ?? config.file, line: setting?.line ?? 0, text })
  }
  for (const listener of config.listeners) lintListener(listener, config, tell)
  lintLimits(config, tell)
  lintTopics(config, tell)
  lintBroker(config, tell)
  lintEffects(config, findings)
  bridgeFindings(config, others, tell)
  fileFindings(config, nowMs, tell)
  const order = config.source.files
  const rank = ({ file }: Finding): number => (file === null ? -1 : order.indexOf(file))
  return unique(findings).sort((a, b) => rank(a) - rank(b) || a.line - b.line)
}

/** Removes repetitions: two listeners on two addresses of a line have the same findings. */
function unique(findings: readonly Finding[]): Finding[] {
  const byText = new Map(findings.map((each) => [JSON.stringify(each), each]))
  return [...byText.values()]
}

const last = (block: Block, name: string): Setting | undefined =>
  block.settings.filter(({ option }) => option.name === name).at(-1)

/** Line that a listener's setting comes from; without one the line of the listener. */
function lineOf({ block }: ListenerConfig, { source: { global } }: Config, ...names: string[]): Setting | undefined {
  for (const name of names) {
    const found = last(block, name) ?? last(global, name)
    if (found !== undefined) return found
  }
  return block.head ?? last(global, 'port') ?? last(global, 'bind_address')
}

function isPublic({ path, host }: ListenerConfig): boolean {
  if (path !== null) return false
  if (host === null) return true
  if (host === 'localhost' || host === '::1') return false
  return !(isIP(host) === 4 && host.startsWith('127.'))
}

function lintListener(listener: ListenerConfig, config: Config, tell: Tell): void {
  const { name, allowAnonymous, tls, access, refusesTopics, transport } = listener
  const isOpen = isPublic(listener)
  // A client without a certificate of ours is refused, whatever else is configured.
  const requiresCertificate = tls?.settings.get('require_certificate')?.value === true || tls?.psk != null
  if (isOpen && allowAnonymous && !requiresCertificate) {
    const line = lineOf(listener, config, 'listener_allow_anonymous', 'allow_anonymous')
    tell('anonymous-public', line, `${name} can be reached from other machines and lets everybody in.`)
  }
  const isBehindTls = transport.proxyProtocol?.requireTls === true
  if (isOpen && tls === null && !isBehindTls) {
    const line = lineOf(listener, config)
    tell('no-tls', line, `${name} can be reached from other machines and has no TLS.`)
    if (hasLogins(listener)) {
      const by = lineOf(
        listener,
        config,
        'password_file',
        'jwt_key_file',
        'jwt_secret_file',
        'jwt_jwks_url',
        'webhook_login_url',
        'plugin',
      )
      tell('passwords-in-clear', by, `Clients of ${name} send their passwords in the clear.`)
    }
  }
  const decidesRights =
    refusesTopics || access.aclFile !== null || access.webhook?.rightsUrl != null || access.jwt !== null
  const hasOtherRights = 'dynamicSecurity' in access && access.dynamicSecurity !== null
  if (!allowAnonymous && !decidesRights && !hasOtherRights) {
    tell('no-acl', lineOf(listener, config), `Whoever has logged in on ${name} may publish and receive everything.`)
  }
  if (isOpen && transport.proxyProtocol !== null) {
    const line = lineOf(listener, config, 'enable_proxy_protocol')
    tell('proxy-protocol-public', line, `${name} believes whoever reaches it which address he has.`)
  }
}

function lintLimits({ source: { global } }: Config, tell: Tell): void {
  const zero = (name: string): Setting | null => {
    const setting = last(global, name)
    return setting?.value === 0 ? setting : null
  }
  const [messages, bytes, stored] = [zero('max_queued_messages'), zero('max_queued_bytes'), zero('max_stored_bytes')]
  if (messages !== null && bytes !== null) {
    tell(
      'queue-unbounded',
      bytes,
      'max_queued_messages and max_queued_bytes are both 0: the queue of a session has no limit.',
    )
  }
  if (stored !== null) tell('queue-unbounded', stored, 'max_stored_bytes is 0: what waits on the disk has no limit.')
  const inMemory = zero('max_memory_queued_bytes')
  if (inMemory !== null)
    tell('queue-unbounded', inMemory, 'max_memory_queued_bytes is 0: what waits in memory has no limit.')
  const delayed = zero('max_delayed_bytes')
  if (delayed !== null) tell('queue-unbounded', delayed, 'max_delayed_bytes is 0: delayed messages have no limit.')
  const retained = zero('max_retained_bytes')
  if (retained !== null)
    tell('retained-unbounded', retained, 'max_retained_bytes is 0: retained messages have no limit.')
  const memory = zero('memory_limit')
  if (memory !== null) tell('memory-unbounded', memory, 'memory_limit is 0: the memory has no limit.')
}

function lintTopics({ source: { global }, sparkplugAware, retainAvailable }: Config, tell: Tell): void {
  for (const setting of global.settings) {
    if (setting.option.name !== 'auto_subscribe') continue
    const [topicFilter = ''] = setting.value as readonly string[]
    if (filterCovers(topicFilter.replace(/^\$share\/[^/]*\//, ''), '#'))
      tell('auto-subscribe-all', setting, `auto_subscribe ${topicFilter} gives every client every message.`)
  }
  if (sparkplugAware && !retainAvailable) {
    const text = 'sparkplug_aware has no effect: retain_available is false, so no birth certificate is kept.'
    tell('no-effect', last(global, 'sparkplug_aware'), text)
  }
}

function lintBroker(config: Config, tell: Tell): void {
  const { global } = config.source
  const { sessionExpirySecondsMax, durability, user } = config
  if (sessionExpirySecondsMax > YEAR_SECONDS) {
    tell('sessions-for-ever', last(global, 'persistent_client_expiration'), 'Sessions are kept for more than a year.')
  }
  const line = last(global, 'durability') ?? last(global, 'persistence')
  if (durability === 'memory') tell('nothing-kept', line, 'Sessions and messages are gone when the broker ends.')
  if (durability === 'os') tell('survives-no-power-cut', line, 'What is acknowledged may be lost in a power cut.')
  if (user === 'root') tell('runs-as-root', last(global, 'user'), 'The broker stays root.')
}

const PLACE = /^(.+?):(\d+): (.+)$/s

/** Findings for the warnings of the configuration: each is a line without its effect. */
function lintEffects({ warnings, source, file }: Config, findings: Finding[]): void {
  for (const warning of warnings) {
    const [, ofFile, line, text = warning] = PLACE.exec(warning) ?? []
    const isPlace = ofFile !== undefined && source.files.includes(ofFile)
    findings.push({
      name: 'no-effect',
      file: isPlace ? ofFile : file,
      line: isPlace ? Number(line) : 0,
      text: `${isPlace ? text : warning}${/[.!?]$/.test(warning) ? '' : '.'}`,
    })
  }
}
