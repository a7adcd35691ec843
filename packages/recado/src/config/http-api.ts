/**
 * The options of the HTTP API (`protocol http_api`): roles of users, and the file of tokens.
 *
 * `config.ts` calls it. Invariant: a line that gives nobody a role is an error, not a user without rights.
 */
import type { OtlpOptions, Role } from '@recado/admin'
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
  /** Export by OTLP; null: none. */
  readonly otlp: OtlpOptions | null
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
    otlp: otlpFrom(global),
  }
}

/** @throws ConfigError */
function otlpFrom(global: Block): OtlpOptions | null {
  const setting = settingsOf(global, 'otlp_endpoint').at(-1)
  if (setting === undefined) return null
  const endpoint = String(setting.value)
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    const text = `otlp_endpoint must be an address such as http://127.0.0.1:4318, not "${endpoint}"`
    throw new ConfigError(setting.file, setting.line, text)
  }
  return {
    endpoint,
    intervalSeconds: valueOrDefault(global, 'otlp_interval') as number,
    hasSpans: valueOrDefault(global, 'otlp_traces') as boolean,
  }
}
