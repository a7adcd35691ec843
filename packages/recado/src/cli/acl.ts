/**
 * `recado acl check`: the decision of an ACL file about one client and one topic, and the line that decides. No broker
 * is asked.
 *
 * Called by `main.ts`. Invariant: the answer is that of the broker, because it is the same code (`AclFile.explain`).
 */
import { type AclFile, type AclRule, aclFile } from '@recado/broker'
import { isTopicFilter, isTopicName, parseShare } from '@recado/protocol'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { loadConfig } from '../config/config.ts'
import type { ListenerConfig } from '../config/listeners.ts'
import type { Io } from '../io.ts'
import { runTool } from './store-folder.ts'

export const command: Command = {
  name: 'acl check',
  summary: 'may this client do that, and which line of the ACL file says so?',
  usage: [
    '[-c FILE [--listener NAME] | --acl-file FILE] [--client ID] [--user NAME] publish TOPIC',
    '...                                                                       subscribe FILTER',
  ],
  operands: [{ name: 'publish or subscribe', completes: ['publish', 'subscribe'] }, { name: 'a topic' }],
  groups: [
    {
      options: [
        {
          names: ['-c', '--config-file'],
          value: 'FILE',
          help: "the broker's configuration, which names the ACL file",
          completes: 'file',
        },
        {
          names: ['--listener'],
          value: 'NAME',
          help: 'with per_listener_settings: of the listener on this port, address:port or path',
        },
        { names: ['--acl-file'], value: 'FILE', help: 'the ACL file itself', completes: 'file' },
        {
          names: ['-i', '--client'],
          value: 'ID',
          help: 'Client Identifier of the client (default: none that a pattern would match)',
        },
        { names: ['-u', '--user'], value: 'NAME', help: 'its user name (default: it gives none)' },
        { names: ['--json'], help: 'one JSON object: {"allowed", "reason", "lines"}' },
        helpRow,
      ],
    },
  ],
  notes: `A subscription is granted to everybody, as in Mosquitto; what counts is which messages come through it. For a filter with wildcards
every line that has a say is shown.

Exit code: 0 when it is allowed (of a filter: when anything may come through), 1 when it is denied, 2 when it cannot be said.`,
}

interface Question {
  readonly configFile: string | null
  readonly aclPath: string | null
  readonly listener: string | null
  readonly clientId: string
  readonly username: string | undefined
  readonly action: 'publish' | 'subscribe'
  readonly topic: string
}

export async function runAcl(argv: readonly string[], io: Io): Promise<number> {
  const [subcommand = '', ...rest] = argv
  if (subcommand !== 'check' && !['-h', '--help'].includes(subcommand)) {
    const why = subcommand === '' || subcommand.startsWith('-') ? 'check is missing' : `unknown command "${subcommand}"`
    io.stderr.write(`recado acl: ${why}${SEE}\n`)
    return CANNOT_BE_SAID
  }
  const code = await runTool(command, subcommand === 'check' ? rest : argv, io, async (parsed) => {
    const question = questionOf(parsed)
    const acl = await aclFile({ path: question.aclPath ?? pathFrom(question) })
    const { isAllowed, lines } = question.action === 'publish' ? published(acl, question) : received(acl, question)
    const [reason = '', ...rest] = lines
    if (isGiven(parsed, '--json')) {
      io.stdout.write(`${JSON.stringify({ allowed: isAllowed, reason, lines: rest.map((each) => each.trim()) })}\n`)
    } else io.stdout.write(`${[`${isAllowed ? 'allow' : 'deny'}: ${reason}`, ...rest].join('\n')}\n`)
    return isAllowed ? 0 : DENIED
  })
  // Exit code 1 of `runTool` means that the question cannot be answered.
  return code === DENIED ? 1 : code === 0 ? 0 : CANNOT_BE_SAID
}

const CANNOT_BE_SAID = 2
const DENIED = -1

/** Reads the question from the arguments. @throws ToolError */
function questionOf(parsed: ParsedCommand): Question {
  const [action = '', topic = ''] = parsed.operands
  if (action !== 'publish' && action !== 'subscribe') throw new ToolError(`say publish or subscribe${SEE}`)
  const isValid = action === 'publish' ? isTopicName(topic) : isTopicFilter(topic)
  if (!isValid) throw new ToolError(`"${topic}" is not a Topic ${action === 'publish' ? 'Name' : 'Filter'}`)
  const configFile = valueIn(parsed, '--config-file') ?? null
  const aclPath = valueIn(parsed, '--acl-file') ?? null
  if ((configFile === null) === (aclPath === null)) throw new ToolError(`give either -c or --acl-file${SEE}`)
  return {
    configFile,
    aclPath,
    listener: valueIn(parsed, '--listener') ?? null,
    clientId: valueIn(parsed, '--client') ?? '',
    username: valueIn(parsed, '--user'),
    action,
    topic,
  }
}

const SEE = ', see recado acl --help'

/** Returns the path of the ACL file in a configuration. @throws ToolError when it does not name exactly one */
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
  // A deny that covers the whole subscription leaves nothing, whatever else is allowed.
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
