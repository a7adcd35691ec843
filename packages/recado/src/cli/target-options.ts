/**
 * Options that `recado doctor` and `recado learn` have in common: the login, whom to trust, and the topic below which they publish.
 */
import { readFileSync } from 'node:fs'
import { isTopicName } from '@recado/protocol'
import { type OptionRow, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Target } from '../doctor/target.ts'

export const caRow: OptionRow = {
  names: ['--cafile'],
  value: 'FILE',
  help: 'trusted certificate authorities (PEM; default: those of Node)',
  completes: 'file',
}

export const insecureRow: OptionRow = {
  names: ['--insecure'],
  help: 'send user name and password whatever the certificate of the server is: only for tests',
}

/** Content of the file that an option names; undefined without it. */
export function fileOf(parsed: ParsedCommand, name: string): Buffer | undefined {
  const path = valueIn(parsed, name)
  return path === undefined ? undefined : readFileSync(path)
}

type Login = Pick<Target, 'username' | 'password'>

/** Login of the options, else of the URL; the password may be in RECADO_PASSWORD where there is a user name. */
export function loginOf(parsed: ParsedCommand, address: Login): Login {
  const username = valueIn(parsed, '--username') ?? address.username
  const secret = username === undefined ? undefined : process.env['RECADO_PASSWORD']
  return { username, password: valueIn(parsed, '--pw') ?? address.password ?? secret }
}

/** Topic of --topic. @throws ToolError for one that has no room for levels below it */
export function topicOf(parsed: ParsedCommand, byDefault: string): string {
  const topic = valueIn(parsed, '--topic') ?? byDefault
  if (!isTopicName(topic) || topic.length > 100)
    throw new ToolError(`--topic ${topic}: not a Topic Name of at most 100 characters`)
  return topic
}
