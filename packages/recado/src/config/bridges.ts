/**
 * The `connection` sections of a configuration: bridges to other brokers, typed and checked whole.
 *
 * `config.ts` calls `bridgesFrom`. Invariants: every fault of every section is reported, each with its file and line;
 * a section with a fault is no bridge, and the others are; settings that Mosquitto accepts and would never connect with, or would subscribe to in vain,
 * are faults as well; defaults are those of the schema.
 */
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import type { Cloud, CloudName } from '../bridge/clouds/cloud.ts'
import type { SasSettings } from '../bridge/clouds/sas-token.ts'
import { type BridgeBatch, batchFrom } from './bridge-batch.ts'
import { checkCloud, cloudOf, cloudValues } from './bridge-cloud.ts'
import { type BridgeTopic, type Fault, topicsFrom } from './bridge-topics.ts'
import { type Block, ConfigError, type Setting } from './parse.ts'
import { findOption } from './schema.ts'

export interface BridgeAddress {
  readonly host: string
  readonly port: number
}

/** Pause before the next attempt: always the same, or at random up to a cap (decorrelated jitter). */
export type BridgeRestart =
  | { readonly kind: 'constant'; readonly seconds: number }
  /** `stableSeconds` is the duration after which a connection makes pauses begin at the base again. */
  | {
      readonly kind: 'jitter'
      readonly baseSeconds: number
      readonly capSeconds: number
      readonly stableSeconds: number
    }

export interface BridgeTls {
  readonly cafile: string | null
  readonly capath: string | null
  readonly certfile: string | null
  readonly keyfile: string | null
  readonly ciphers: string | null
  readonly ciphersTls13: string | null
  /** Version of TLS; null for 1.2 or 1.3. */
  readonly version: 'TLSv1.2' | 'TLSv1.3' | null
  readonly alpn: string | null
  /** Whether the name in the remote broker's certificate is not checked. */
  readonly isInsecure: boolean
  readonly useOsCertificates: boolean
  /** Pre-shared key instead of certificates; null for none. */
  readonly psk: { readonly identity: string; readonly key: string } | null
}

export interface BridgeConfig {
  /** Unique name. */
  readonly name: string
  readonly file: string
  /** Line number of the `connection` line. */
  readonly line: number
  /** Addresses, at least one. */
  readonly addresses: readonly BridgeAddress[]
  /** Topics, at least one. */
  readonly topics: readonly BridgeTopic[]
  /** Protocol level. */
  readonly protocolVersion: 3 | 4 | 5
  readonly cleanStart: boolean
  readonly localCleanStart: boolean
  readonly localClientId: string
  readonly remoteClientId: string
  /** Local user name; null for none. */
  readonly localUsername: string | null
  readonly localPassword: string | null
  readonly remoteUsername: string | null
  readonly remotePassword: string | null
  readonly keepAliveSeconds: number
  readonly startType: 'automatic' | 'lazy' | 'once'
  /** Idle timeout of a lazy bridge in seconds. */
  readonly idleTimeoutSeconds: number
  readonly threshold: number
  readonly restart: BridgeRestart
  readonly roundRobin: boolean
  /** Whether it sets the top bit of the protocol level, which marks a bridge; never with MQTT 5.0. */
  readonly tryPrivate: boolean
  readonly notifications: 'both' | 'local' | 'none'
  /** Topic of notifications; null for `$SYS/broker/connection/REMOTE_CLIENTID/state`. */
  readonly notificationTopic: string | null
  readonly attemptUnsubscribe: boolean
  readonly outgoingRetain: boolean
  /** Largest packet in bytes; 0 for no limit. */
  readonly maxPacketBytes: number
  /** Largest number of Topic Aliases in each direction. */
  readonly topicAliasMaximum: number
  /** Whether messages at QoS 0 wait while the remote broker is away; those of a lazy bridge always do. */
  readonly queueQoS0: boolean
  /** Treatment of the property that says over which brokers a message has come. */
  readonly path: 'keep' | 'strip' | 'off'
  /** Receive Maximum; null for `max_inflight_messages`. */
  readonly receiveMaximum: number | null
  /** Session Expiry Interval in seconds; null when the CONNECT has none. */
  readonly sessionExpirySeconds: number | null
  readonly reload: 'lazy' | 'immediate'
  readonly bindAddress: string | null
  readonly tcpKeepAlive: {
    readonly idleSeconds: number
    readonly intervalSeconds: number
    readonly count: number
  } | null
  readonly tcpUserTimeoutMs: number | null
  /** Options of TLS; null for none. */
  readonly tls: BridgeTls | null
  /** Cloud whose rules hold for it; null for none. */
  readonly cloud: CloudName | null
  /** Key that its passwords are made of, one for each connection; null for none. */
  readonly sas: SasSettings | null
  /** Largest number of messages a second to the remote broker; 0 for no limit. */
  readonly ratePerSecond: number
  readonly batch: BridgeBatch | null
}

const DEFAULT_PORT = 1883
const RESTART_SECONDS_MAX = 3600

export interface ReadBridges {
  /** Bridges without a fault. */
  readonly bridges: readonly BridgeConfig[]
  /** Faults of the others, in the order of the file. */
  readonly faults: readonly ConfigError[]
  /** Names of the others. */
  readonly faulty: readonly string[]
}

/** Reads all bridges of a configuration. `machine` is the name that Client Identifiers begin with. */
export function bridgesFrom(blocks: readonly Block[], warnings: string[], machine: string = hostname()): ReadBridges {
  const faults: ConfigError[] = []
  const wrong = new Set<Block>()
  const faultIn =
    (block: Block): Fault =>
    ({ file, line, name }, what, kind) => {
      // It may be in the line that could not be read.
      if ((block.faults?.length ?? 0) > 0 && (kind === 'no-address' || kind === 'no-topic')) return
      const fault = kind === undefined ? null : { kind, name, value: '' }
      faults.push(new ConfigError(file, line, `${name} ${what}`, fault))
      wrong.add(block)
    }
  for (const block of blocks) {
    if (block.faults === undefined || block.faults.length === 0) continue
    faults.push(...block.faults)
    wrong.add(block)
  }
  const bridges = blocks.map((block) => new Section(block, faultIn(block), warnings, machine).read())
  mustDiffer(bridges, blocks, (bridge) => bridge.name, faultIn, 'has the name of another,')
  mustDiffer(bridges, blocks, (bridge) => bridge.localClientId, faultIn, 'has the local_clientid of another,')
  const inOrder = faults.sort((a, b) => (a.file === b.file ? a.line - b.line : 0))
  return {
    bridges: bridges.filter((_, index) => !wrong.has(blocks[index]!)),
    faults: inOrder,
    faulty: bridges.flatMap(({ name }, index) => (wrong.has(blocks[index]!) ? [name] : [])),
  }
}

function mustDiffer(
  bridges: readonly BridgeConfig[],
  blocks: readonly Block[],
  key: (bridge: BridgeConfig) => string,
  faultIn: (block: Block) => Fault,
  what: string,
): void {
  const seen = new Map<string, BridgeConfig>()
  for (const [index, bridge] of bridges.entries()) {
    const before = seen.get(key(bridge))
    if (before === undefined) seen.set(key(bridge), bridge)
    // Reported by its name already.
    else if (before.name === bridge.name && what.includes('clientid')) continue
    else
      faultIn(blocks[index]!)(
        blocks[index]!.head!,
        `${bridge.name} ${what} ${before.name} at ${before.file}:${before.line}`,
      )
  }
}

/** Section that is being read. */
class Section {
  readonly #block: Block
  readonly #fault: Fault
  readonly #warnings: string[]
  readonly #machine: string
  readonly #cloud: Cloud | null

  constructor(block: Block, fault: Fault, warnings: string[], machine: string) {
    this.#block = block
    this.#fault = fault
    this.#warnings = warnings
    this.#machine = machine
    this.#cloud = cloudOf(block)
  }

  read(): BridgeConfig {
    const head = this.#block.head!
    const name = (head.value as readonly string[])[0]!
    const remoteClientId = this.#text('remote_clientid') ?? `${this.#machine}.${name}`
    const cleanStart = this.#truth('cleansession')
    const notifications = this.#truth('notifications')
    const addresses = this.#addresses(head)
    const written = topicsFrom(this.#all('topic'), head, this.#fault, this.#warnings)
    const read = { addresses, topics: written, remoteClientId, remoteUsername: this.#text('remote_username') }
    const ttlSeconds = this.#number('bridge_sas_ttl')
    const { topics, remoteUsername, sas } = cloudValues(this.#cloud, read, this.#text('bridge_sas_key'), ttlSeconds)
    const bridge: BridgeConfig = {
      ...{ name, file: head.file, line: head.line, remoteClientId, cleanStart, addresses, topics, remoteUsername, sas },
      cloud: this.#cloud?.name ?? null,
      ratePerSecond: this.#number('bridge_rate'),
      batch: this.#batch(topics, remoteClientId),
      protocolVersion: ({ mqttv31: 3, mqttv311: 4, mqttv50: 5 } as const)[
        this.#word('bridge_protocol_version') as 'mqttv31'
      ],
      localCleanStart: (this.#last('local_cleansession')?.value as boolean | undefined) ?? cleanStart,
      localClientId: this.#text('local_clientid') ?? `local.${remoteClientId}`,
      localUsername: this.#text('local_username'),
      localPassword: this.#text('local_password'),
      remotePassword: this.#text('remote_password'),
      keepAliveSeconds: this.#number('keepalive_interval'),
      startType: this.#word('start_type') as BridgeConfig['startType'],
      idleTimeoutSeconds: this.#number('idle_timeout'),
      threshold: this.#number('threshold'),
      restart: this.#restart(),
      roundRobin: this.#truth('round_robin'),
      tryPrivate: this.#truth('try_private'),
      notifications: !notifications ? 'none' : this.#truth('notifications_local_only') ? 'local' : 'both',
      notificationTopic: this.#notificationTopic(head, notifications, remoteClientId),
      attemptUnsubscribe: this.#truth('bridge_attempt_unsubscribe'),
      outgoingRetain: this.#truth('bridge_outgoing_retain'),
      maxPacketBytes: this.#number('bridge_max_packet_size'),
      topicAliasMaximum: this.#number('bridge_max_topic_alias'),
      path: this.#word('bridge_path') as BridgeConfig['path'],
      queueQoS0: this.#truth('bridge_queue_qos0'),
      receiveMaximum: this.#given('bridge_receive_maximum'),
      sessionExpirySeconds: this.#given('bridge_session_expiry_interval'),
      reload: this.#word('bridge_reload_type') as BridgeConfig['reload'],
      bindAddress: this.#text('bridge_bind_address'),
      tcpKeepAlive: this.#tcpKeepAlive(),
      tcpUserTimeoutMs: this.#given('bridge_tcp_user_timeout'),
      tls: this.#tls(addresses),
    }
    this.#checkCloud(bridge, head)
    return bridge
  }

  #batch(topics: readonly BridgeTopic[], remoteClientId: string): BridgeBatch | null {
    const topic = this.#text('bridge_batch_topic') ?? `batch/${remoteClientId}`
    const setting = this.#last('bridge_batch_topic')
    if (setting !== undefined && /[+#]/.test(topic)) this.#fault(setting, `${topic}: nobody can publish to it`)
    const payloadBytes = this.#cloud?.limits.payloadBytes ?? Number.POSITIVE_INFINITY
    return batchFrom(this.#last('bridge_batch'), topic, topics, payloadBytes, this.#fault)
  }

  #checkCloud(bridge: BridgeConfig, head: Setting): void {
    const cloud = this.#cloud
    if (cloud === null) {
      for (const name of ['bridge_sas_key', 'bridge_sas_ttl']) {
        const setting = this.#last(name)
        if (setting !== undefined) this.#fault(setting, 'needs bridge_preset azure-iot-hub as well')
      }
      return
    }
    checkCloud(
      cloud,
      bridge,
      (option) => this.#last(option) !== undefined,
      (where, what) => {
        const setting =
          typeof where === 'string'
            ? this.#last(where)
            : this.#all('topic').find(({ file, line }) => file === where.file && line === where.line)
        this.#fault(
          setting ?? head,
          setting === undefined && typeof where === 'string' && where !== 'connection' ? `: ${where} ${what}` : what,
        )
      },
    )
  }

  /** Value, as in a file, of an option that the section does not have. */
  #default(name: string): string {
    return this.#cloud?.defaults[name] ?? findOption(name)!.default
  }

  #all(name: string): Setting[] {
    return this.#block.settings.filter(({ option }) => option.name === name)
  }

  #last(name: string): Setting | undefined {
    return this.#all(name).at(-1)
  }

  #text(name: string): string | null {
    return (this.#last(name)?.value as string | undefined) ?? null
  }

  #word(name: string): string {
    return this.#text(name) ?? this.#default(name)
  }

  #truth(name: string): boolean {
    return (this.#last(name)?.value as boolean | undefined) ?? this.#default(name) === 'true'
  }

  #number(name: string): number {
    return (this.#last(name)?.value as number | undefined) ?? Number(this.#default(name))
  }

  #given(name: string): number | null {
    const byCloud = this.#cloud?.defaults[name]
    return (this.#last(name)?.value as number | undefined) ?? (byCloud === undefined ? null : Number(byCloud))
  }

  #addresses(head: Setting): BridgeAddress[] {
    const setting = this.#last('address')
    if (setting === undefined) {
      this.#fault(head, 'has no address: say address HOST:PORT below it', 'no-address')
      return []
    }
    const port = this.#cloud?.port ?? DEFAULT_PORT
    return (setting.value as readonly string[]).map((word) => {
      const address = addressOf(word, port)
      if (typeof address === 'string') this.#fault(setting, address)
      return typeof address === 'string' ? { host: word, port } : address
    })
  }

  #restart(): BridgeRestart {
    const setting = this.#last('restart_timeout')
    const words = (setting?.value as readonly string[] | undefined) ?? findOption('restart_timeout')!.default.split(' ')
    const [first = 0, cap, stable = 0] = words.slice(0, 3).map((word) => {
      if (/^[-+]?\d{1,10}$/.test(word)) return Number(word)
      this.#fault(setting!, `must be whole numbers of seconds, not "${word}"`)
      return 0
    })
    const within = (seconds: number): number => {
      const taken = Math.min(Math.max(seconds, 1), RESTART_SECONDS_MAX)
      const what = `is not from 1 to ${RESTART_SECONDS_MAX} seconds: ${taken} is taken`
      if (taken !== seconds)
        this.#warnings.push(`${setting!.file}:${setting!.line}: restart_timeout ${seconds} ${what}`)
      return taken
    }
    if (cap === undefined) return { kind: 'constant', seconds: within(first) }
    const [baseSeconds, capSeconds] = [first, cap].map(within)
    if (cap < first) this.#fault(setting!, `has a cap of ${cap} seconds below its base of ${first}`)
    return { kind: 'jitter', baseSeconds: baseSeconds!, capSeconds: capSeconds!, stableSeconds: Math.max(stable, 0) }
  }

  #notificationTopic(head: Setting, notifications: boolean, remoteClientId: string): string | null {
    const setting = this.#last('notification_topic')
    if (setting === undefined) {
      // It would be the topic of the Will as well, and every attempt to connect would fail.
      if (notifications && /[+#]/.test(remoteClientId)) {
        const remedy = 'say remote_clientid, notification_topic or notifications false below it'
        this.#fault(
          head,
          `has + or # in the topic of its state, $SYS/broker/connection/${remoteClientId}/state: ${remedy}`,
        )
      }
      return null
    }
    const topic = setting.value as string
    if (/[+#]/.test(topic)) this.#fault(setting, `${topic}: nobody can publish to a topic with + or #`)
    return topic
  }

  #tcpKeepAlive(): BridgeConfig['tcpKeepAlive'] {
    const setting = this.#last('bridge_tcp_keepalive')
    if (setting === undefined) return null
    const words = setting.value as readonly string[]
    const [idleSeconds, intervalSeconds, count] = words
      .slice(0, 3)
      .map((word) => (/^\d{1,9}$/.test(word) ? Number(word) : 0))
    if (!idleSeconds || !intervalSeconds || !count) {
      this.#fault(
        setting,
        `needs three numbers from 1: idle seconds, interval seconds, count; not "${words.join(' ')}"`,
      )
      return null
    }
    return { idleSeconds, intervalSeconds, count }
  }

  #tls(addresses: readonly BridgeAddress[]): BridgeTls | null {
    const [cafile, capath, certfile, keyfile] = ['cafile', 'capath', 'certfile', 'keyfile'].map((name) =>
      this.#last(`bridge_${name}`),
    )
    const [identity, key] = [this.#last('bridge_identity'), this.#last('bridge_psk')]
    // A preset trusts the system's authorities where the section names none.
    const isByDefault = this.#last('bridge_tls_use_os_certs') === undefined && (cafile ?? capath ?? key) !== undefined
    const useOsCertificates = !isByDefault && this.#truth('bridge_tls_use_os_certs')
    const certificates = cafile ?? capath ?? certfile ?? keyfile
    if (key !== undefined && identity === undefined) this.#fault(key, 'needs bridge_identity as well', 'no-identity')
    if (identity !== undefined && key === undefined) this.#fault(identity, 'needs bridge_psk as well', 'no-psk')
    if (key !== undefined && !/^[0-9a-fA-F]+$/.test(key.value as string)) {
      this.#fault(key, 'is not hex digits')
    }
    const psk = identity ?? key
    if (psk !== undefined && certificates !== undefined) {
      this.#fault(certificates, `and ${psk.name} exclude each other: certificates or a pre-shared key`)
    }
    if (certfile !== undefined && keyfile === undefined) this.#fault(certfile, 'needs bridge_keyfile as well')
    if (keyfile !== undefined && certfile === undefined) this.#fault(keyfile, 'needs bridge_certfile as well')
    const isOn = cafile !== undefined || capath !== undefined || useOsCertificates || psk !== undefined
    if (!isOn && certificates !== undefined) {
      this.#fault(
        certificates,
        'needs bridge_cafile, bridge_capath or bridge_tls_use_os_certs true: without them there is no TLS',
      )
    }
    const version = this.#tlsVersion()
    const ocsp = this.#last('bridge_require_ocsp')
    if (ocsp?.value === true) {
      this.#fault(ocsp, 'true asks for what is not checked here: take it out, and have the certificate renewed often')
    }
    if (!isOn) return null
    return {
      ...{ cafile: textOf(cafile), capath: textOf(capath), certfile: textOf(certfile), keyfile: textOf(keyfile) },
      ...{ version, useOsCertificates },
      ciphers: this.#text('bridge_ciphers'),
      ciphersTls13: this.#text('bridge_ciphers_tls1.3'),
      alpn: this.#text('bridge_alpn') ?? this.#cloud?.alpn?.(addresses[0]?.port ?? 0) ?? null,
      isInsecure: this.#truth('bridge_insecure'),
      psk: identity === undefined || key === undefined ? null : { identity: textOf(identity)!, key: textOf(key)! },
    }
  }

  #tlsVersion(): BridgeTls['version'] {
    const setting = this.#last('bridge_tls_version')
    if (setting === undefined) return null
    switch (setting.value) {
      case 'tlsv1.3':
        return 'TLSv1.3'
      case 'tlsv1.2':
        return 'TLSv1.2'
      case 'tlsv1.1':
      case 'tlsv1': {
        const { file, line, name, value } = setting
        this.#warnings.push(
          `${file}:${line}: ${name} ${value} is not spoken any more (RFC 8996): it will be TLS 1.2 or 1.3`,
        )
        return null
      }
      default:
        this.#fault(setting, `must be tlsv1.2 or tlsv1.3, not "${String(setting.value)}"`)
        return null
    }
  }
}

const textOf = (setting: Setting | undefined): string | null => (setting?.value as string | undefined) ?? null

/** Parses `HOST[:PORT]`, an address of IPv6 with or without brackets; returns a text for a fault. */
function addressOf(word: string, defaultPort: number): BridgeAddress | string {
  if (isIP(word) === 6) return { host: word, port: defaultPort }
  const [, host = '', portText] = /^(\[.*\]|[^:]*)(?::(.*))?$/s.exec(word) ?? []
  if (host === '') return `has no host in "${word}"`
  const port = portText === undefined ? defaultPort : /^\d{1,5}$/.test(portText) ? Number(portText) : 0
  if (port < 1 || port > 65_535) return `needs a port from 1 to 65535 in "${word}"`
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port }
}
