/**
 * `recado acl check`: what an ACL file says about one client and one topic, and which line of it decides. No broker is asked.
 *
 * Called by `main.ts`. The invariant: the answer is that of the broker, because it is the same code (`AclFile.explain`).
 */
import { type AclFile, type AclRule, aclFile } from '@recado/broker'
import { isTopicFilter, isTopicName, parseShare } from '@recado/protocol'
import { type ListenerConfig, loadConfig } from '../config/config.ts'
import { didYouMean } from '../config/suggest.ts'
import type { Io } from '../io.ts'
import { ToolError } from './store-arguments.ts'
import { runTool } from './store-folder.ts'

const help = `recado acl check: may this client do that, and which line of the ACL file says so?

Usage: recado acl check [-c FILE [--listener NAME] | --acl-file FILE] [--client ID] [--user NAME] publish TOPIC
       recado acl check ...                                                                       subscribe FILTER

  -c, --config-file FILE  the broker's configuration, which names the ACL file
      --listener NAME     with per_listener_settings: of the listener on this port, address:port or path
      --acl-file FILE     the ACL file itself
  -i, --client ID         Client Identifier of the client (default: none that a pattern would match)
  -u, --user NAME         its user name (default: it gives none)
  -h, --help              this text

A subscription is granted to everybody, as in Mosquitto; what counts is which messages come through it. For a filter with wildcards
every line that has a say is shown.

Exit code: 0 when it is allowed (of a filter: when anything may come through), 1 when it is denied, 2 when it cannot be said.
`

interface Question {
  readonly configFile: string | null
  readonly aclPath: string | null
  readonly listener: string | null
  readonly clientId: string
  readonly username: string | undefined
  readonly action: 'publish' | 'subscribe'
  readonly topic: string
}

const withValue: Record<string, string> = {
  '-c': '--config-file',
  '--config-file': '--config-file',
  '--listener': '--listener',
  '--acl-file': '--acl-file',
  '-i': '--client',
  '--client': '--client',
  '-u': '--user',
  '--user': '--user',
}

export async function runAcl(argv: readonly string[], io: Io): Promise<number> {
  const code = await runTool('acl', io, async () => {
    const question = parse(argv)
    if (question === null) {
      io.stdout.write(help)
      return 0
    }
    const acl = await aclFile({ path: question.aclPath ?? pathFrom(question) })
    const { isAllowed, lines } = question.action === 'publish' ? published(acl, question) : received(acl, question)
    io.stdout.write(`${[`${isAllowed ? 'allow' : 'deny'}: ${lines[0]}`, ...lines.slice(1)].join('\n')}\n`)
    return isAllowed ? 0 : DENIED
  })
  // Of `runTool` 1 is a question that cannot be answered.
  return code === DENIED ? 1 : code === 0 ? 0 : 2
}

const DENIED = -1

/** null: help is asked for. @throws ToolError */
function parse(argv: readonly string[]): Question | null {
  const values: Record<string, string | undefined> = {}
  const operands: string[] = []
  const rest = argv.flatMap((argument) => /^(--[\w-]+)=(.*)$/s.exec(argument)?.slice(1) ?? [argument])
  for (let index = 0; index < rest.length; index++) {
    const argument = rest[index]!
    const name = withValue[argument]
    if (argument === '-h' || argument === '--help') return null
    if (name !== undefined) {
      const value = rest[++index]
      if (value === undefined) throw new ToolError(`${argument} needs a value`)
      if (values[name] !== undefined) throw new ToolError(`${argument} may be given once`)
      values[name] = value
    } else if (argument.startsWith('-')) {
      throw new ToolError(`unknown option "${argument}"${didYouMean(argument, Object.keys(withValue)) || SEE}`)
    } else {
      operands.push(argument)
    }
  }
  const [command, action, topic, more] = operands
  if (command !== 'check')
    throw new ToolError(`${command === undefined ? 'check is missing' : `unknown command "${command}"`}${SEE}`)
  if (action !== 'publish' && action !== 'subscribe') throw new ToolError(`say publish or subscribe${SEE}`)
  if (topic === undefined) throw new ToolError(`a topic is missing${SEE}`)
  if (more !== undefined) throw new ToolError(`"${more}" is one argument too many${SEE}`)
  const isValid = action === 'publish' ? isTopicName(topic) : isTopicFilter(topic)
  if (!isValid) throw new ToolError(`"${topic}" is not a Topic ${action === 'publish' ? 'Name' : 'Filter'}`)
  const configFile = values['--config-file'] ?? null
  const aclPath = values['--acl-file'] ?? null
  if ((configFile === null) === (aclPath === null)) throw new ToolError(`give either -c or --acl-file${SEE}`)
  return {
    configFile,
    aclPath,
    listener: values['--listener'] ?? null,
    clientId: values['--client'] ?? '',
    username: values['--user'],
    action,
    topic,
  }
}

const SEE = ', see recado acl --help'

/** @throws ToolError when the configuration does not name one ACL file */
function pathFrom({ configFile, listener: wanted }: Question): string {
  const { listeners } = loadConfig({ configFile, dataFolder: null, ports: [], verbose: false, quiet: false })
  const isMeant = ({ name, port }: ListenerConfig): boolean =>
    wanted === null || name === wanted || String(port) === wanted
  const meant = listeners.filter(isMeant)
  if (meant.length === 0) {
    throw new ToolError(`there is no listener "${wanted}"; there are ${listeners.map(({ name }) => name).join(', ')}`)
  }
  const paths = new Set(meant.map(({ access }) => access.aclFile))
  const [path] = paths
  if (paths.size > 1) throw new ToolError('the listeners have different ACL files: say which with --listener')
  if (path === null || path === undefined) throw new ToolError(`${configFile} has no acl_file: everything is allowed`)
  return path
}

interface Answer {
  readonly isAllowed: boolean
  readonly lines: readonly string[]
}

function published(acl: AclFile, { clientId, username, topic }: Question): Answer {
  const { isAllowed, why } = acl.explain(clientId, username, topic, 'write')
  return { isAllowed, lines: [at(acl, why)] }
}

const at = ({ path }: AclFile, why: string): string =>
  why.startsWith('line ') ? why.replace(/^line (\d+)/, `${path}:$1`) : why

function received(acl: AclFile, { clientId, username, topic }: Question): Answer {
  const filter = parseShare(topic)?.topicFilter ?? topic
  if (!/[+#]/.test(filter)) {
    const { isAllowed, why } = acl.explain(clientId, username, filter, 'read')
    return { isAllowed, lines: [at(acl, why)] }
  }
  const rules = acl.rulesOf(clientId, username).overlapping(filter, 'read')
  const passing = rules.filter(({ rule }) => rule.bits !== 0)
  if (passing.length === 0) {
    return {
      isAllowed: false,
      lines: [`no line allows anything that ${filter} matches`, ...rules.map((each) => line(acl, each))],
    }
  }
  // A deny of everything that is asked for leaves nothing, whatever else is allowed.
  const all = rules.find(({ rule, coversAll }) => rule.bits === 0 && coversAll)
  if (all !== undefined) return { isAllowed: false, lines: [line(acl, all)] }
  return {
    isAllowed: true,
    lines: ['messages come through, in the order of these lines', ...rules.map((each) => line(acl, each))],
  }
}

function line({ path }: AclFile, { rule, topicFilter }: { rule: AclRule; topicFilter: string }): string {
  const named = topicFilter === rule.topicFilter ? '' : ` (for this client ${topicFilter})`
  return `  ${path}:${rule.line}: ${rule.text}${named}`
}
