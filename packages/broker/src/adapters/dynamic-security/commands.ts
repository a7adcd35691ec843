/**
 * The payload of a message to `$CONTROL/dynamic-security/v1`: a list of commands, carried out one after the other, and
 * the list of answers.
 *
 * `dynamic-security.ts` calls it for each request. Invariants: a command that fails changes nothing and does not keep
 * the next one from being carried out; a value that is no command ends the list, as in Mosquitto 2.1; the commands of a
 * message and the bytes of its answer are bounded, for all clients wait meanwhile.
 */
import {
  addClientRole,
  createClient,
  deleteClient,
  disableClient,
  enableClient,
  getClient,
  listClients,
  modifyClient,
  removeClientRole,
  setClientId,
  setClientPassword,
} from './client-commands.ts'
import { Command, type CommandContext, CommandError } from './command.ts'
import {
  addGroupClient,
  addGroupRole,
  createGroup,
  deleteGroup,
  getAnonymousGroup,
  getGroup,
  listGroups,
  modifyGroup,
  removeGroupClient,
  removeGroupRole,
  setAnonymousGroup,
} from './group-commands.ts'
import {
  flagMember,
  givenText,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  member,
  parseJson,
  textMember,
} from './json.ts'
import { accessTypes, wordOf } from './model.ts'
import { addRoleAcl, createRole, deleteRole, getRole, listRoles, modifyRole, removeRoleAcl } from './role-commands.ts'

/** Most commands of one message. */
export const COMMANDS_MAX: number = 1_000
/** Size of the answer to one message, in bytes, from which on nothing more of it is carried out. */
const ANSWER_BYTES_MAX = 4_194_304

type Handler = (command: Command) => void | Promise<void>

const handlers: Readonly<Record<string, Handler>> = {
  setDefaultACLAccess,
  getDefaultACLAccess,
  getDetails,
  createClient,
  deleteClient,
  getClient,
  listClients,
  modifyClient,
  setClientPassword,
  setClientId,
  addClientRole,
  removeClientRole,
  enableClient,
  disableClient,
  addGroupClient,
  createGroup,
  deleteGroup,
  getGroup,
  listGroups,
  modifyGroup,
  removeGroupClient,
  addGroupRole,
  removeGroupRole,
  setAnonymousGroup,
  getAnonymousGroup,
  createRole,
  getRole,
  listRoles,
  modifyRole,
  deleteRole,
  addRoleACL: addRoleAcl,
  removeRoleACL: removeRoleAcl,
}
const handlersByWord = new Map(Object.entries(handlers).map(([name, handler]) => [name.toLowerCase(), handler]))

/** All commands that there are. */
export const commandNames: readonly string[] = Object.keys(handlers)

const UNKNOWN = 'Unknown command'
const refused = (context: CommandContext, error: string, name: string = UNKNOWN): Command => {
  const command = new Command(context, {}, name, undefined)
  command.refuse(error)
  return command
}

/** Returns the commands of a payload, each with its answer. Rejects when a handler has a fault. */
export async function carryOut(payload: Uint8Array, context: CommandContext): Promise<Command[]> {
  let tree: Json
  try {
    tree = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    return [refused(context, 'Payload not valid JSON')]
  }
  const list = member(tree, 'commands')
  if (!isArray(list)) return [refused(context, 'Invalid/missing commands')]
  if (list.length > COMMANDS_MAX) {
    const error = `Too many commands: ${list.length}, of at most ${COMMANDS_MAX} in a message`
    sayRefused(context, error)
    return [refused(context, error)]
  }
  const commands: Command[] = []
  let bytes = 0
  for (const json of list) {
    const command = await carryOutOne(json, context)
    commands.push(command)
    if (command.isLast) break
    bytes += Buffer.byteLength(command.responseText())
    if (bytes <= ANSWER_BYTES_MAX) continue
    const left = list.length - commands.length
    const error = `Answer larger than ${ANSWER_BYTES_MAX} bytes: ask for less, by count and offset; ${left} commands after this one were not carried out`
    sayRefused(context, error)
    // A change stays, and so does its answer.
    if (!command.isChange) command.refuse(error)
    else if (left > 0) commands.push(refused(context, error))
    break
  }
  return commands
}

const sayRefused = ({ sender, log }: CommandContext, error: string): void =>
  log(`dynsec: ${sender} | refused: ${error}`)

async function carryOutOne(json: Json, context: CommandContext): Promise<Command> {
  if (!isObject(json)) return last(refused(context, 'Command not an object'))
  const name = givenText(json, 'command')
  if (name === undefined) return last(refused(context, 'Missing command'))
  const correlationData = textMember(json, 'correlationData')
  if (correlationData === null) return last(refused(context, 'Invalid correlationData data type.', name))
  const command = new Command(context, json, name, correlationData)
  const handler = handlersByWord.get(name.toLowerCase())
  try {
    if (handler === undefined) throw new CommandError(UNKNOWN)
    await handler(command)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    command.refuse(error.message)
  }
  return command
}

function last(command: Command): Command {
  command.isLast = true
  return command
}

function setDefaultACLAccess(command: Command): void {
  const list = member(command.json, 'acls')
  if (!isArray(list)) throw new CommandError('Missing/invalid actions array')
  for (const each of list) {
    const word = givenText(each, 'acltype')
    const allow = flagMember(each, 'allow')
    if (word === undefined || typeof allow !== 'boolean') continue
    const type = wordOf(accessTypes, word)
    if (type !== undefined) command.model.defaultAccess[type] = allow
    command.log(`acltype=${word}`, `allow=${allow}`)
  }
  command.changed()
}

function getDefaultACLAccess(command: Command): void {
  const { defaultAccess } = command.model
  const acls = accessTypes.map((acltype): JsonObject => ({ acltype, allow: defaultAccess[acltype] }))
  command.answer('getDefaultACLAccess', { acls })
  command.log()
}

function getDetails(command: Command): void {
  const { clients, groups, roles, changeIndex } = command.model
  command.answer('getDetails', {
    clientCount: clients.size,
    groupCount: groups.size,
    roleCount: roles.size,
    changeIndex,
  })
  command.log()
}
