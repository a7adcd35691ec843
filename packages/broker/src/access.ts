/**
 * What an embedder chooses from to say who may connect and do what, for `createBroker`'s `authenticate` and `authorize`:
 *
 *     const acl = await aclFile({ path: 'acl' })
 *     const broker = createBroker({ authorize: acl })
 *
 * After `reload()` of one of them call `broker.recheck()`.
 */
import { AclFile, type AclFileOptions } from './adapters/acl/file.ts'

export type { AclDecision, AclRule } from './adapters/acl/rules.ts'
export type { AclFile, AclFileOptions }

/**
 * Mosquitto's `acl_file`, for `authorize`.
 * @throws MqttError ERR_MQTT_ACL_FILE when it cannot be read; the message names the line.
 */
export function aclFile(options: AclFileOptions): Promise<AclFile> {
  return AclFile.open(options)
}
