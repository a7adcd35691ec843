/**
 * Opens what the configuration says about who may connect and do what: password files, ACL files.
 *
 * `serve.ts` calls it before the broker is made. The invariants: a file that several listeners name is read once; one that cannot be
 * read or understood stops the start; on SIGHUP it stays as it was.
 */
import {
  type AuthenticationSource,
  type AuthorizeHooks,
  aclFile,
  type EnhancedAuthenticationHook,
  passwordFile,
  scram,
} from '@recado/broker'
import type { Access } from './config/admission.ts'
import type { Config } from './config/config.ts'
import type { Reloadable } from './reload.ts'

export interface OpenedAccess extends Access {
  /** What SIGHUP reads again; `recheck` of the broker is to be called afterwards. */
  readonly reloadables: readonly Reloadable[]
  /** Of the files, one line each. */
  readonly warnings: readonly string[]
}

/** @throws MqttError ERR_MQTT_ACL_FILE, ERR_MQTT_PASSWORD_FILE */
export async function openAccess({ listeners }: Config): Promise<OpenedAccess> {
  const logins = new Map<string, AuthenticationSource>()
  const rights = new Map<string, AuthorizeHooks>()
  const exchanges = new Map<string, EnhancedAuthenticationHook>()
  const passwords = new Files((path) => passwordFile({ path }))
  const acls = new Files((path) => aclFile({ path }))
  for (const { name, access } of listeners) {
    if (access.passwordFile !== null) {
      const file = await passwords.open(access.passwordFile)
      logins.set(name, file)
      exchanges.set(name, scram(file))
    }
    if (access.aclFile !== null) rights.set(name, await acls.open(access.aclFile))
  }
  return {
    logins,
    rights,
    exchanges,
    reloadables: [...passwords.reloadables('password file'), ...acls.reloadables('ACL file')],
    warnings: [...passwords.warnings, ...acls.warnings],
  }
}

interface AccessFile {
  readonly path: string
  readonly warnings: readonly string[]
  reload(): Promise<void>
}

/** Files of one kind, each opened once. */
class Files<T extends AccessFile> {
  readonly #open: (path: string) => Promise<T>
  readonly #files: Map<string, T> = new Map()

  constructor(open: (path: string) => Promise<T>) {
    this.#open = open
  }

  async open(path: string): Promise<T> {
    const file = this.#files.get(path) ?? (await this.#open(path))
    this.#files.set(path, file)
    return file
  }

  get warnings(): string[] {
    return [...this.#files.values()].flatMap(({ warnings }) => warnings)
  }

  reloadables(what: string): Reloadable[] {
    return [...this.#files.values()].map((file) => ({
      what: `${what} ${file.path}`,
      reload: async () => {
        await file.reload()
        return file.warnings
      },
    }))
  }
}
