/**
 * The commands about clients, which are users with a password: `createClient`, `modifyClient`, … `commands.ts` has the
 * table. Errors and their order are the plugin's.
 *
 * The invariant: everything is looked at before anything changes.
 */
import { type Command, CommandError } from './command.ts'
import { givenText, type JsonObject, objectOf } from './json.ts'
import { type Client, type Group, NO_PRIORITY, priorityOf, roleListJson } from './model.ts'

export async function createClient(command: Command): Promise<void> {
  const { model } = command
  const name = command.text('username')
  if (name === '') throw new CommandError('Empty username')
  const password = command.optionalText('password')
  const clientId = command.optionalText('clientid', 'Invalid/missing client id')
  const textName = command.optionalText('textname')
  const textDescription = command.optionalText('textdescription')
  if (model.clients.has(name)) throw new CommandError('Client already exists')
  const roles = command.roles() ?? new Map()
  const groups = groupsFor(command)
  const stored = password === undefined ? null : await command.context.hash(name, password)
  const client: Client = {
    name,
    textName,
    textDescription,
    clientId: clientId || undefined,
    isDisabled: false,
    roles,
    password: stored,
  }
  model.clients.set(name, client)
  for (const [group, priority] of groups) group.clients.set(client, priority)
  command.changed()
  command.log(`username=${name}`, `password=${password === undefined ? 'no password' : '*****'}`)
}

/** Groups of a new client; a name in its list that is no group is skipped. */
function groupsFor(command: Command): Map<Group, number> {
  const groups = new Map<Group, number>()
  for (const each of command.list('groups') ?? []) {
    const name = givenText(each, 'groupname')
    if (name === undefined) continue
    const group = command.model.groups.get(name)
    if (group === undefined) throw new CommandError('Group not found')
    if (groups.has(group)) throw new CommandError('Internal error')
    groups.set(group, priorityOf(each, NO_PRIORITY))
  }
  return groups
}

export function deleteClient(command: Command): void {
  const { model } = command
  const client = command.client()
  for (const group of model.groups.values()) group.clients.delete(client)
  model.clients.delete(client.name)
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`)
}

export function enableClient(command: Command): void {
  const client = command.client()
  client.isDisabled = false
  command.changed()
  command.log(`username=${client.name}`)
}

export function disableClient(command: Command): void {
  const client = command.client()
  client.isDisabled = true
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`)
}

export function setClientId(command: Command): void {
  command.text('username')
  const clientId = command.optionalText('clientid', 'Invalid/missing client ID')
  const client = command.client()
  client.clientId = clientId || undefined
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`, `clientid=${client.clientId ?? '(null)'}`)
}

export async function setClientPassword(command: Command): Promise<void> {
  command.text('username')
  const password = command.text('password')
  if (password === '') throw new CommandError('Empty password is not allowed')
  const client = command.client()
  client.password = await command.context.hash(client.name, password)
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`, 'password=******')
}

export async function modifyClient(command: Command): Promise<void> {
  const client = command.client()
  const { json, model } = command
  const clientId = givenText(json, 'clientid')
  const password = givenText(json, 'password')
  const textName = givenText(json, 'textname')
  const textDescription = givenText(json, 'textdescription')
  const roles = command.roles()
  const groups = command.list('groups')?.map((each): [Group, number] => {
    const name = givenText(each, 'groupname')
    if (name === undefined) throw new CommandError("'groups' contains an object with an invalid 'groupname'")
    const group = model.groups.get(name)
    if (group === undefined)
      throw new CommandError("'groups' contains an object with a 'groupname' that does not exist")
    return [group, priorityOf(each, NO_PRIORITY)]
  })
  if (password) client.password = await command.context.hash(client.name, password)
  if (groups !== undefined) {
    for (const group of model.groups.values()) group.clients.delete(client)
    for (const [group, priority] of groups) if (!group.clients.has(client)) group.clients.set(client, priority)
  }
  if (clientId !== undefined) client.clientId = clientId || undefined
  if (textName !== undefined) client.textName = textName
  if (textDescription !== undefined) client.textDescription = textDescription
  if (roles !== null) client.roles = roles
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`)
}

export function addClientRole(command: Command): void {
  command.text('username')
  command.text('rolename')
  const [client, role] = [command.client(), command.role()]
  if (client.roles.has(role)) throw new CommandError('Internal error')
  client.roles.set(role, command.priority())
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`, `rolename=${role.name}`, `priority=${command.priority()}`)
}

export function removeClientRole(command: Command): void {
  command.text('username')
  command.text('rolename')
  const [client, role] = [command.client(), command.role()]
  client.roles.delete(role)
  command.changed()
  command.kick(client.name)
  command.log(`username=${client.name}`, `rolename=${role.name}`)
}

function clientJson(
  { model }: Command,
  { name, clientId, textName, textDescription, isDisabled, roles }: Client,
  addresses: ReadonlyMap<string, readonly string[]> | null,
): JsonObject {
  return objectOf({
    username: name,
    clientid: clientId,
    textname: textName,
    textdescription: textDescription,
    disabled: isDisabled ? true : undefined,
    roles: roleListJson(roles),
    groups: model.groupListJson(model.clients.get(name)!),
    connections: addresses === null ? undefined : (addresses.get(name) ?? []).map((address) => ({ address })),
  })
}

export function getClient(command: Command): void {
  const client = command.client()
  command.answer('getClient', { client: clientJson(command, client, command.context.addresses()) })
  command.log(`username=${client.name}`)
}

export function listClients(command: Command): void {
  const { model, isVerbose } = command
  const page = command.page(model.sorted(model.clients))
  const addresses = isVerbose ? command.context.addresses() : null
  const clients = page.map((client) => (isVerbose ? clientJson(command, client, addresses) : client.name))
  command.answer('listClients', { totalCount: model.clients.size, clients })
  command.log(`verbose=${isVerbose}`, `count=${clients.length}`)
}
