/**
 * Values of the command line that `recado doctor` and `recado learn` have in common: the login, and the topic below which they publish.
 */
import { isTopicName } from '@recado/protocol'
import { type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Target } from '../doctor/target.ts'

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
