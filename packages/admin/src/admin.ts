/**
 * The API of a broker as one object: `createAdmin` joins its parts and hands out a handler for HTTP listeners.
 *
 *     const admin = createAdmin(broker, { host })
 *     await broker.listen({ port: 9883, protocol: http(admin.handler, admin.serverOptions) })
 *
 * What a broker has to note from its start is here; operations, with their framework and schemas, are loaded by the first
 * request (`http/api.ts`), for most brokers are never asked and 25 MB are much for them.
 *
 * Invariant: nothing here is on the way of a message but what a sample of about a thousand a second costs.
 */
import type { ServerOptions } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Broker } from '@recado/broker'
import { AuditLog } from './access/audit.ts'
import { Identification } from './access/identify.ts'
import { Sessions } from './access/sessions.ts'
import type { TokenFile } from './access/tokens.ts'
import type { AdminHost } from './host.ts'
import type { Api } from './http/api.ts'
import { type Handler, RequestLimit } from './http/flood.ts'
import type { Operation } from './http/operation.ts'
import { pathOf } from './http/path.ts'
import { History } from './metrics/history.ts'
import { Latencies } from './metrics/latencies.ts'
import { ProcessSamples } from './metrics/process-samples.ts'
import { Watches } from './metrics/watches.ts'
import type { Parts } from './operations/parts.ts'
import { type Otlp, type OtlpOptions, startOtlp } from './otlp/otlp.ts'
import { Dashboard } from './pages/dashboard.ts'
import { Decisions } from './why/decisions.ts'

/** Decisions that are remembered. */
const DECISIONS_MAX = 10_000

/** Options of `createAdmin`. */
export interface AdminOptions {
  readonly host: AdminHost
  /** File of bearer tokens; absent: there are none. */
  readonly tokens?: TokenFile
  /** Drops and refusals that are remembered for `why`; 0: none, and nothing is observed. Default 10,000. */
  readonly decisionsMax?: number
  /** Serves the dashboard at `/`. Default true. */
  readonly dashboard?: boolean
  /** Requests of an address per second, and five times as many in a burst. Default 100. */
  readonly requestsPerSecond?: number
}

/** The API of a broker. */
export class Admin {
  /** Options for `http` of `@recado/broker`: bounds of time and size for requests. */
  readonly serverOptions: ServerOptions = {
    headersTimeout: 10_000,
    requestTimeout: 20_000,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 16_384,
    connectionsCheckingInterval: 2_000,
  }
  readonly handler: Handler
  readonly #sessions: Sessions = new Sessions()
  readonly #identification: Identification
  #dashboard: Dashboard | null = null
  #stopObserving: () => void = () => {}
  readonly #history: History
  readonly #samples: ProcessSamples = new ProcessSamples()
  readonly #latencies: Latencies = new Latencies()
  readonly #watches: Watches
  readonly #broker: Broker
  readonly #host: AdminHost
  #otlp: Otlp | null = null
  readonly #limit: RequestLimit
  readonly #loadApi: () => Promise<Api>
  #loaded: Promise<Api> | null = null

  constructor(broker: Broker, options: AdminOptions) {
    const { host, tokens, decisionsMax = DECISIONS_MAX, dashboard = true, requestsPerSecond } = options
    if (dashboard) this.#dashboard = new Dashboard(fileURLToPath(new URL('dashboard', import.meta.url)))
    const identification = new Identification({ host, tokens: tokens ?? null, sessions: this.#sessions })
    this.#identification = identification
    this.#history = new History(broker)
    const parts: Parts = {
      broker,
      host,
      tokens: tokens ?? null,
      sessions: this.#sessions,
      identification,
      audit: new AuditLog(host),
      history: this.#history,
      latencies: this.#latencies,
      startedAtMs: Date.now(),
    }
    this.#broker = broker
    this.#host = host
    const decisions = decisionsMax === 0 ? null : new Decisions(decisionsMax, () => broker.turnMs)
    this.#watches = new Watches(broker, this.#latencies, decisions)
    if (decisions !== null) this.#stopObserving = broker.observe(decisions.observer)
    this.#loadApi = async () => {
      const { createApi } = await import('./http/api.ts')
      return createApi(parts, decisions, this.#samples)
    }
    this.#limit = new RequestLimit(requestsPerSecond)
    this.handler = this.limited(async (request, response) => {
      const path = pathOf(request)
      if (this.hasPage(path)) this.#dashboard!.send(path, request, response)
      else await (await this.#api()).handler(request, response)
    })
  }

  /** Operations and their handler, which are loaded when the first request comes. */
  #api(): Promise<Api> {
    if (this.#loaded !== null) return this.#loaded
    const loaded = this.#loadApi()
    this.#loaded = loaded
    // The next request tries again.
    loaded.catch(() => {
      this.#loaded = null
    })
    return loaded
  }

  /** Loads the operations now: the first request that does it holds up the event loop for some 100 ms. */
  async load(): Promise<void> {
    await this.#api()
  }

  /** Returns all operations, for the page of the API. */
  async operations(): Promise<readonly Operation[]> {
    return (await this.#api()).operations
  }

  /** Makes a handler that is called for no more requests of an address than the API takes, those to the API included. */
  limited(handler: Handler): Handler {
    return this.#limit.within(handler)
  }

  /** Whether a page or a file of the dashboard is at this path. */
  hasPage(path: string): boolean {
    return this.#dashboard?.has(path) === true
  }

  /** Whether the API answers at this path; anything else may be a page, a file or another handler's. */
  answers(path: string): boolean {
    return path === '/metrics' || path === '/livez' || path === '/readyz' || path.startsWith('/api/v1/')
  }

  /**
   * Exports metrics, and spans, by OTLP as well, in the place of an export before; null: no more.
   * @throws OtlpError when a package of OpenTelemetry is missing
   */
  async exportBy(options: OtlpOptions | null): Promise<void> {
    await this.#otlp?.stop()
    this.#otlp = null
    this.#watches.spans = null
    if (options === null) return
    this.#otlp = await startOtlp(this.#broker, this.#latencies, this.#host, options)
    this.#watches.spans = this.#otlp.watch
  }

  /** Forgets logins and ends sessions: users, roles or rights have changed. */
  loginsChanged(): void {
    this.#identification.forget()
    this.#sessions.clear()
  }

  /** Stops what it measures. */
  async close(): Promise<void> {
    this.#samples.stop()
    this.#history.stop()
    this.#watches.stop()
    this.#stopObserving()
    await this.exportBy(null)
  }
}

/** Makes the API of a broker. */
export const createAdmin = (broker: Broker, options: AdminOptions): Admin => new Admin(broker, options)
