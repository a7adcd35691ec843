/**
 * Two checks of a soak run on promises that streams of messages do not show: the retained message of a topic is the
 * last one that was acknowledged, and a Will comes when its client is lost and only then. Used by `soak-broker.ts`;
 * both connect without the failing network, so that faults are the broker's.
 */
import { setTimeout as after } from 'node:timers/promises'
import { type Client, connect, createClient } from '@recado/client'
import type { Random } from '../random.ts'

export interface CheckOptions {
  port: number
  random: Random
  onViolation: (kind: 'retained' | 'will', what: string) => void
}

const TOPICS = 40
/** Longest time in milliseconds for retained messages to come. */
const RETAINED_MS = 20_000

/** Check of retained messages: sets and clears them one after the other, and reads them back. */
export class RetainedCheck {
  readonly #options: CheckOptions
  readonly #client: Client
  /** Value that each topic must have; a change that was asked for since and not acknowledged may be there as well. */
  readonly #kept: Map<string, string> = new Map()
  readonly #open: Map<string, Set<string>> = new Map()
  #number = 0
  #isBusy = false
  sets = 0
  clears = 0
  checks = 0

  constructor(options: CheckOptions) {
    this.#options = options
    this.#client = createClient(`mqtt://127.0.0.1:${options.port}`, {
      clientId: 'retained-check',
      cleanStart: false,
      sessionExpiryIntervalSeconds: 86_400,
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 500 },
    })
  }

  async start(): Promise<void> {
    await this.#client.connect()
  }

  async stop(): Promise<void> {
    await this.#client.close({ drainMs: 0 })
  }

  /** Sets or clears one, unless the last change is still on its way. */
  async change(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    const { random } = this.#options
    const topic = `kept/${random.between(0, TOPICS - 1)}`
    const isSet = random.chance(0.7)
    const value = isSet ? `${++this.#number} ${'x'.repeat(random.between(0, 500))}` : ''
    const open = this.#open.get(topic) ?? new Set()
    open.add(value)
    this.#open.set(topic, open)
    try {
      await this.#client.publish(topic, value, { qos: random.chance(0.5) ? 1 : 2, retain: true })
      if (isSet) this.sets++
      else this.clears++
      this.#kept.set(topic, value)
      this.#open.delete(topic)
    } finally {
      this.#isBusy = false
    }
  }

  /** Reads all of them, as a new subscriber does. Nothing may be changed meanwhile. */
  async check(): Promise<void> {
    const { port, onViolation } = this.#options
    const deadline = Date.now() + RETAINED_MS
    while (this.#isBusy && Date.now() < deadline) await after(20)
    const wanted = new Map([...this.#kept].filter(([topic, value]) => value !== '' && !this.#open.has(topic)))
    const seen = new Map<string, string>()
    const client = await connect(`mqtt://127.0.0.1:${port}`, { clientId: 'retained-check', reconnect: false })
    try {
      const subscription = client.subscribe('kept/#', { qos: 1 }, (message) => {
        seen.set(message.topic, message.text())
      })
      await subscription.ready
      while (Date.now() < deadline && [...wanted.keys()].some((topic) => !seen.has(topic))) await after(20)
      await after(100) // for messages that should not be there
    } finally {
      await client.close({ drainMs: 0 })
    }
    this.checks++
    for (const topic of new Set([...wanted.keys(), ...seen.keys()])) {
      if (this.#open.has(topic)) continue
      const [has, must] = [seen.get(topic) ?? '', wanted.get(topic) ?? '']
      if (has !== must) {
        const [hasNumber, mustNumber] = [has, must].map((text) => text.split(' ')[0] || 'none')
        onViolation('retained', `the retained message of ${topic} is ${hasNumber}, and ${mustNumber} was acknowledged`)
      }
    }
  }
}

/** Longest time in milliseconds that a Will may be late. */
const WILL_MS = 20_000

/** Check of Wills: connects with a Will and leaves, with DISCONNECT or without; watches which Wills come. */
export class WillCheck {
  readonly #options: CheckOptions
  readonly #watcher: Client
  readonly #subscription: { readonly ready: Promise<unknown> }
  /** Times since when Wills are due, by topic. */
  readonly #due: Map<string, number> = new Map()
  /** Wills that must not come: the client sent DISCONNECT. */
  readonly #revoked: Set<string> = new Set()
  #number = 0
  published = 0

  constructor(options: CheckOptions) {
    this.#options = options
    this.#watcher = createClient(`mqtt://127.0.0.1:${options.port}`, {
      clientId: 'will-watcher',
      cleanStart: false,
      sessionExpiryIntervalSeconds: 86_400,
      retryFirst: true,
      reconnect: { minMs: 20, maxMs: 500 },
    })
    this.#subscription = this.#watcher.subscribe('will/#', { qos: 2 }, ({ topic }) => {
      if (this.#due.delete(topic)) this.published++
      else if (this.#revoked.has(topic)) options.onViolation('will', `${topic} came after DISCONNECT`)
    })
  }

  async start(): Promise<void> {
    await this.#watcher.connect()
    await this.#subscription.ready
  }

  async stop(): Promise<void> {
    await this.#watcher.close({ drainMs: 0 })
  }

  async try(): Promise<void> {
    const { port, random } = this.#options
    const topic = `will/${this.#number++}`
    const client = await connect(`mqtt://127.0.0.1:${port}`, {
      clientId: `will-${this.#number}`,
      reconnect: false,
      protocolVersion: random.chance(0.5) ? 5 : 4,
      will: { topic, payload: 'lost', qos: random.between(0, 2) as 0 | 1 | 2 },
    })
    if (random.chance(0.5)) {
      this.#due.set(topic, Date.now())
      client.destroy()
    } else {
      this.#revoked.add(topic)
      await client.close({ drainMs: 0 })
      // Bounded: a Will that has not come soon does not come.
      if (this.#revoked.size > 500) this.#revoked.delete(this.#revoked.values().next().value ?? '')
    }
  }

  /** Reports Wills that are due and have not come. */
  judge(): void {
    for (const [topic, since] of this.#due) {
      if (Date.now() - since < WILL_MS) continue
      this.#due.delete(topic)
      this.#options.onViolation('will', `${topic} never came`)
    }
  }
}
