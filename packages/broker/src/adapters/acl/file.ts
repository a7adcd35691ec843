/**
 * An ACL file as a broker's `authorize`: reads it, applies its rules, and reads it again when told.
 *
 * As in Mosquitto every subscription is granted, and the rules are applied to each topic that is published to; to a
 * Will when it is published, and to a retained message again when it is sent. A client's rights are worked out once and
 * kept in its `memo`.
 *
 * Invariant: `reload` takes the whole file or, with an error, nothing of it.
 */
import { readFile } from 'node:fs/promises'
import { MqttError } from '@recado/protocol'
import type { ClientInfo } from '../../ports.ts'
import { AclAccess, AclClient, type AclDecision, AclRules } from './rules.ts'

/** Options of `aclFile`. */
export interface AclFileOptions {
  /** Path of the file. */
  path: string
}

/** ACL file of Mosquitto's format, as `authorize` takes it. */
export class AclFile {
  /** Answers depend on client and topic alone until `reload`. */
  readonly isStable: boolean = true
  /** Path of the file. */
  readonly path: string
  #rules: AclRules

  private constructor(path: string, rules: AclRules) {
    this.path = path
    this.#rules = rules
  }

  /** Reads the file. @throws MqttError ERR_MQTT_ACL_FILE */
  static async open({ path }: AclFileOptions): Promise<AclFile> {
    return new AclFile(path, await read(path))
  }

  /** Warnings about lines that are probably mistakes, as `path:line: what`. */
  get warnings(): readonly string[] {
    return this.#rules.warnings
  }

  /**
   * Reads the file again; then call `broker.recheck()`. @throws MqttError ERR_MQTT_ACL_FILE; the rules then stay as
   * they were.
   */
  async reload(): Promise<void> {
    this.#rules = await read(this.path)
  }

  /** Whether the client may publish to this topic. */
  publish(client: ClientInfo, topic: string): boolean {
    return this.#of(client).may(topic, AclAccess.Write)
  }

  /** Allows every Will: it is judged when it is published, as in Mosquitto. */
  will(): boolean {
    return true
  }

  /** Allows every subscription: each message is judged when it is delivered. */
  subscribe(): boolean {
    return true
  }

  /** Whether the client may receive messages of this topic. */
  mayReceive(client: ClientInfo, topic: string): boolean {
    return this.#of(client).may(topic, AclAccess.Read)
  }

  /** Whether the client may still publish to this topic. */
  mayPublish(client: ClientInfo, topic: string): boolean {
    return this.#of(client).may(topic, AclAccess.Write)
  }

  /** Returns the decision for a client and the line that it comes from. */
  explain(clientId: string, username: string | undefined, topic: string, access: 'read' | 'write'): AclDecision {
    return this.#rules.of(clientId, username).explain(topic, access === 'read' ? AclAccess.Read : AclAccess.Write)
  }

  /** Returns rules as they apply to one client. */
  rulesOf(clientId: string, username: string | undefined): AclClient {
    return this.#rules.of(clientId, username)
  }

  #of(client: ClientInfo): AclClient {
    const { memo } = client
    if (memo instanceof AclClient && memo.rules === this.#rules) return memo
    const made = this.#rules.of(client.clientId, client.username)
    client.memo = made
    return made
  }
}

async function read(path: string): Promise<AclRules> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new MqttError('ERR_MQTT_ACL_FILE', `${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  return AclRules.parse(text, path)
}
