/**
 * Opens what the configuration says about who may connect and do what: password files, ACL files.
 *
 * `serve.ts` calls it before the broker is made. The invariants: a file that several listeners name is read once; one that cannot be
 * read or understood stops the start; on SIGHUP it stays as it was.
 */
import { type AclFile, type AuthorizeHooks, aclFile } from '@recado/broker'
import type { Access } from './config/admission.ts'
import type { Config } from './config/config.ts'
import type { Reloadable } from './reload.ts'

export interface OpenedAccess extends Access {
  /** What SIGHUP reads again; `recheck` of the broker is to be called afterwards. */
  readonly reloadables: readonly Reloadable[]
  /** Of the files, one line each. */
  readonly warnings: readonly string[]
}

/** @throws MqttError ERR_MQTT_ACL_FILE */
export async function openAccess({ listeners }: Config): Promise<OpenedAccess> {
  const rights = new Map<string, AuthorizeHooks>()
  const acls = new Map<string, AclFile>()
  const reloadables: Reloadable[] = []
  const warnings: string[] = []
  for (const { name, access } of listeners) {
    if (access.aclFile === null) continue
    let acl = acls.get(access.aclFile)
    if (acl === undefined) {
      const opened = await aclFile({ path: access.aclFile })
      acl = opened
      acls.set(access.aclFile, acl)
      warnings.push(...acl.warnings)
      reloadables.push({ what: `ACL file ${access.aclFile}`, reload: () => opened.reload() })
    }
    rights.set(name, acl)
  }
  return { logins: new Map(), rights, reloadables, warnings }
}
