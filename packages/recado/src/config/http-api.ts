/**
 * The options of the HTTP API (`protocol http_api`): roles of users, and the file of tokens.
 *
 * `config.ts` calls it. Invariant: a line that gives nobody a role is an error, not a user without rights.
 */
import type { Role } from '@recado/admin'
import { given, settingsOf, valueOrDefault } from './block-values.ts'
import { type Block, ConfigError } from './parse.ts'

const roles: readonly Role[] = ['viewer', 'operator', 'admin']

export interface HttpApiConfig {
  /** Role of each user who has one. */
  readonly roles: ReadonlyMap<string, Role>
  /** File of tokens; null: `api-tokens.json` in the data folder. */
  readonly tokenFile: string | null
  /** Drops and refusals that are remembered. */
  readonly decisionsMax: number
}

/** @throws ConfigError */
export function httpApiFrom(global: Block): HttpApiConfig {
  const byUser = new Map<string, Role>()
  for (const { file, line, value } of settingsOf(global, 'http_api_role')) {
    const text = String(value)
    const end = text.search(/[ \t]/)
    const [word, user] = [text.slice(0, Math.max(0, end)), text.slice(end + 1).trim()]
    const role = roles.find((each) => each === word)
    if (end === -1 || role === undefined || user === '') {
      throw new ConfigError(file, line, `http_api_role must be ${roles.join(', ')} and a user name, not "${text}"`)
    }
    byUser.set(user, role)
  }
  return {
    roles: byUser,
    tokenFile: given<string>(global, 'http_api_token_file') ?? null,
    decisionsMax: valueOrDefault(global, 'http_api_decisions') as number,
  }
}
