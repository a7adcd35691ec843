/**
 * A broker on a disk that forgets everything that was not flushed, for the tests of the journal.
 *
 * `Disk` does nothing by itself: a test decides when a batch is done, when it fails, and when the power goes.
 */
import assert from 'node:assert/strict'
import { Suback, Subscribe } from '@recado/protocol'
import { type Change, MemoryStore } from '../../adapters/memory-store.ts'
import { subscriptionTo, type TestClient } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'

export class Disk extends MemoryStore {
  readonly #under: { changes: readonly Change[]; done: (error: Error | null) => void }[] = []
  /** Rows written since the beginning, removals not counted. */
  puts = 0

  override get isPersistent(): boolean {
    return true
  }

  protected override commit(changes: readonly Change[], done: (error: Error | null) => void): void {
    this.#under.push({ changes, done })
  }

  get isBusy(): boolean {
    return this.#under.length > 0
  }

  /** The batch under way is safe. */
  flush(): void {
    const batch = this.#under.shift()
    assert.ok(batch !== undefined, 'no batch is under way')
    this.puts += batch.changes.filter(({ value }) => value !== null).length
    this.tables.apply(batch.changes)
    batch.done(null)
  }

  step(): boolean {
    if (this.isBusy) this.flush()
    else return false
    return true
  }

  fail(error: Error): void {
    this.#under.shift()!.done(error)
  }

  rows(table: number): number {
    return this.tables.rows(table).length
  }

  /** The disk as it is after a power cut: what was under way is lost. */
  afterCrash(): Disk {
    const disk = new Disk()
    for (let table = 0; table < 8; table++) {
      const changes = this.tables.rows(table).map((row) => ({ ...row, table }))
      disk.tables.apply(changes)
    }
    return disk
  }
}

export const MESSAGES = 3
export const FLIGHTS = 4
export const RECEIVED = 5

export class DurableWorld extends World {
  readonly disk: Disk
  constructor(disk: Disk = new Disk(), options: WorldOptions = {}) {
    super({ ...options, store: disk })
    this.disk = disk
    this.run()
  }

  /** Writes all changes, and makes them safe. */
  settle(): this {
    for (let rounds = 0; rounds < 100; rounds++) {
      this.run()
      if (this.disk.isBusy) this.disk.flush()
      else this.advance(100)
      this.run()
      if (!this.disk.isBusy && rounds > 5) return this
    }
    throw new Error('the journal does not come to rest')
  }

  /** Flushes the batch that the turn has started. */
  flush(): this {
    this.disk.flush()
    this.run()
    return this
  }

  /** The power goes; the broker starts again, `laterMs` later. */
  restarted(laterMs = 0): DurableWorld {
    return new DurableWorld(this.disk.afterCrash(), { nowMs: this.clock.nowMs() + laterMs })
  }

  /** Connects `pub`, whose session ends with its connection. */
  publisher(): TestClient {
    const client = this.client('pub')
    client.connected()
    return client
  }

  /** Returns a durable session that is away, subscribed to `t/#`. */
  absent(clientId: string, qos: 0 | 1 | 2 = 2): TestClient {
    const client = this.durable(clientId)
    client.send(new Subscribe(1, [subscriptionTo('t/#', { qos })]))
    this.settle()
    client.take(Suback)
    client.drop()
    this.settle()
    return client
  }

  durable(clientId: string): TestClient {
    const client = this.client(clientId)
    client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    return client
  }

  back(clientId: string, receiveMaximum = 100): TestClient {
    const client = this.client(clientId)
    const connack = client.connected({
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: 1000, receiveMaximum },
    })
    assert.equal(connack.sessionPresent, true)
    return client
  }
}
