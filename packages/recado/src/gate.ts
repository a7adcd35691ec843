/**
 * The gate before every login: who is banned by a file, and who comes more often than allowed.
 *
 * `access.ts` makes one for each configuration, `config/broker-options.ts` puts it before the logins. Invariants: addresses
 * are counted with every CONNECT, user names and Client Identifiers only with logins that succeed, so that nobody can have
 * somebody else banned by using his name with a wrong password; what is counted is bounded; bans that were begun outlive a
 * SIGHUP.
 */
import { readFile } from 'node:fs/promises'
import { BlockList, isIP } from 'node:net'
import type {
  AuthenticationSource,
  ClientInfo,
  ConnectDecision,
  ConnectRequest,
  EnhancedAuthenticationHook,
} from '@recado/broker'
import { MqttError, ReasonCode } from '@recado/protocol'
import { type BanKind, banKinds, type ManualBans } from './manual-bans.ts'

/** Connects that are allowed per minute, by kind; 0: any number. */
export type ConnectLimits = Readonly<Record<BanKind, number>>

const MINUTE_MS = 60_000
/** Names and addresses that are counted; the one that was first seen goes. */
const COUNTED_MAX = 10_000
const BANNED: ConnectDecision = { reasonCode: ReasonCode.Banned, reasonString: 'banned' }

interface Count {
  sinceMs: number
  connects: number
  bannedUntilMs: number
}

/** Counts connects by kind and name. */
export class ConnectCounts {
  readonly #counts: Map<string, Count> = new Map()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  isBanned(kind: BanKind, name: string): boolean {
    return this.#nowMs() < (this.#counts.get(`${kind} ${name}`)?.bannedUntilMs ?? 0)
  }

  /** Counts a connect. Returns true when it is one too many in a minute: from now on the name is banned for `banMs`. */
  note(kind: BanKind, name: string, most: number, banMs: number): boolean {
    const key = `${kind} ${name}`
    const nowMs = this.#nowMs()
    const count = this.#counts.get(key)
    if (count === undefined || nowMs - count.sinceMs >= MINUTE_MS) {
      this.#counts.delete(key)
      if (this.#counts.size >= COUNTED_MAX) this.#counts.delete(this.#counts.keys().next().value!)
      this.#counts.set(key, { sinceMs: nowMs, connects: 1, bannedUntilMs: 0 })
      return false
    }
    count.connects++
    if (count.connects <= most) return false
    count.bannedUntilMs = nowMs + banMs
    return true
  }
}

/** Lines `address ADDRESS[/PREFIX]`, `clientid NAME`, `username NAME`; a name may end in `*`. */
export class BanFile {
  readonly path: string
  #addresses: BlockList = new BlockList()
  #names: ReadonlyMap<BanKind, readonly string[]> = new Map()
  readonly warnings: readonly string[] = []

  private constructor(path: string) {
    this.path = path
  }

  /** @throws MqttError ERR_RECADO_BAN_FILE */
  static async open(path: string): Promise<BanFile> {
    const file = new BanFile(path)
    await file.reload()
    return file
  }

  /** Reads the file again. @throws MqttError ERR_RECADO_BAN_FILE, and then everything stays as it was */
  async reload(): Promise<void> {
    const addresses = new BlockList()
    const names = new Map<BanKind, string[]>(banKinds.map((kind) => [kind, []]))
    for (const [index, raw] of (await textOf(this.path)).split('\n').entries()) {
      const line = raw.trim()
      if (line === '' || line.startsWith('#')) continue
      const end = line.search(/[ \t]/)
      const [word, name] = [line.slice(0, Math.max(0, end)), line.slice(end + 1).trim()]
      const kind = banKinds.find((each) => each === word)
      const isGood = kind === 'address' ? addAddress(addresses, name) : kind !== undefined && name !== ''
      if (!isGood) {
        const text = `${this.path}:${index + 1}: the line is not "address ADDRESS[/PREFIX]", "clientid NAME" or "username NAME"`
        throw new MqttError('ERR_RECADO_BAN_FILE', text)
      }
      if (kind !== 'address') names.get(kind!)!.push(name)
    }
    this.#addresses = addresses
    this.#names = names
  }

  bansAddress(address: string): boolean {
    const version = isIP(address)
    return version !== 0 && this.#addresses.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }

  bansName(kind: BanKind, name: string): boolean {
    return this.#names.get(kind)!.some((banned) => {
      return banned.endsWith('*') ? name.startsWith(banned.slice(0, -1)) : name === banned
    })
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const text = `${path} cannot be read: ${(error as Error).message}`
    throw new MqttError('ERR_RECADO_BAN_FILE', text, { cause: error })
  }
}

/** Returns false for what is no address or network. */
function addAddress(list: BlockList, text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return false
  const family = version === 6 ? 'ipv6' : 'ipv4'
  if (prefix === undefined) list.addAddress(address, family)
  else if (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 6 ? 128 : 32))
    list.addSubnet(address, Number(prefix), family)
  else return false
  return true
}

export interface GateOptions {
  readonly limits: ConnectLimits
  readonly banMs: number
  readonly file: BanFile | null
  readonly counts: ConnectCounts
  /** Bans that were begun by hand. */
  readonly manual: ManualBans
  /** Told when a ban begins. */
  readonly onBan: (text: string) => void
}

/** Address without port and brackets; '' for a unix socket. */
function addressOf(remoteAddress: string): string {
  const address = remoteAddress.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  return isIP(mapped) === 4 ? mapped : address
}

export class Gate {
  readonly #options: GateOptions

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Puts itself before a source of logins. */
  before(source: AuthenticationSource): AuthenticationSource {
    return {
      authenticate: (request) => {
        if (this.#refuses(request)) return BANNED
        const answer = source.authenticate(request)
        return answer instanceof Promise
          ? answer.then((late) => this.#checked(request, late))
          : this.#checked(request, answer)
      },
      isStillValid: (client, credential) =>
        !this.#isBannedByName(addressOf(client.remoteAddress), client.clientId, client.username) &&
        (source.isStillValid?.(client, credential) ?? true),
      ...(source.isKnown === undefined ? {} : { isKnown: (client: ClientInfo) => source.isKnown!(client) }),
    }
  }

  /** Puts itself before an exchange of AUTH packets. */
  beforeExchange(hook: EnhancedAuthenticationHook): EnhancedAuthenticationHook {
    return {
      ...hook,
      methods: hook.methods,
      step: async (step) => {
        if (step.phase === 'connect' && this.#refuses(step.request)) return BANNED
        const answer = await hook.step(step)
        const isEnd = (answer.reasonCode ?? ReasonCode.Success) === ReasonCode.Success
        return isEnd && step.phase !== 're-authenticate' ? this.#checked(step.request, answer) : answer
      },
      isStillValid: (client, credential) => hook.isStillValid?.(client, credential) ?? true,
    }
  }

  #refuses({ remoteAddress, clientId, connect }: ConnectRequest): boolean {
    const { limits, counts } = this.#options
    const address = addressOf(remoteAddress)
    if (this.#isBannedByName(address, clientId, connect.username)) return true
    if (limits.address > 0 && address !== '') {
      if (counts.isBanned('address', address) || this.#isTooMany('address', address)) return true
    }
    if (limits.clientid > 0 && counts.isBanned('clientid', clientId)) return true
    return limits.username > 0 && connect.username !== undefined && counts.isBanned('username', connect.username)
  }

  /** Whether one of these is banned by the file, or by hand. */
  #isBannedByName(address: string, clientId: string, username: string | undefined): boolean {
    const { file, manual } = this.#options
    if (manual.isBanned(address, clientId, username)) return true
    if (file === null) return false
    if (file.bansAddress(address) || file.bansName('clientid', clientId)) return true
    return username !== undefined && file.bansName('username', username)
  }

  /** Returns the answer to a login, unless it is one too many. */
  #checked<T extends boolean | ConnectDecision | null>(request: ConnectRequest, answer: T): T | ConnectDecision {
    if (answer === false || answer === null) return answer
    const decision: ConnectDecision = answer === true ? {} : (answer as ConnectDecision)
    if ((decision.reasonCode ?? ReasonCode.Success) !== ReasonCode.Success) return answer
    const username = decision.username ?? request.identity ?? request.connect.username
    const { limits } = this.#options
    // Both are counted, whatever comes of the first.
    const isTooManyIds = limits.clientid > 0 && request.clientId !== '' && this.#isTooMany('clientid', request.clientId)
    const isTooManyUsers = limits.username > 0 && !!username && this.#isTooMany('username', username)
    return isTooManyIds || isTooManyUsers ? BANNED : answer
  }

  #isTooMany(kind: BanKind, name: string): boolean {
    const { limits, banMs, counts, onBan } = this.#options
    if (!counts.note(kind, name, limits[kind], banMs)) return false
    onBan(
      `${kind} ${name} has connected more than ${limits[kind]} times within a minute: banned for ${banMs / 1_000} s`,
    )
    return true
  }
}
