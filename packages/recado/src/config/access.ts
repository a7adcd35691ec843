/**
 * The options about who may connect and do what, of one listener. `config.ts` calls it for each; `../access.ts` opens what they name.
 */

export interface AccessConfig {
  /** null: none. */
  readonly passwordFile: string | null
  readonly aclFile: string | null
}

/** `security`: the value of an option for this listener, its own or the broker's; undefined where it is not given. */
export function accessFrom(security: (name: string) => unknown): AccessConfig {
  const text = (name: string): string | null => (security(name) as string | undefined) ?? null
  return { passwordFile: text('password_file'), aclFile: text('acl_file') }
}
