/**
 * The commands about groups of clients: `createGroup`, `addGroupClient`, … `commands.ts` has the table. Errors and
 * their order are the plugin's.
 *
 * The invariant: everything is looked at before anything changes.
 */
import { type Command, CommandError } from './command.ts'
import { givenText, type JsonObject, objectOf } from './json.ts'
import { type Client, type Group, type Model, NO_PRIORITY, priorityOf, roleListJson } from './model.ts'

export function createGroup(command: Command): void {
  const { model } = command
  const name = command.text('groupname')
  if (name === '') throw new CommandError('Empty groupname')
  const textName = command.optionalText('textname')
  const textDescription = command.optionalText('textdescription')
  if (model.groups.has(name)) throw new CommandError('Group already exists')
  const roles = command.roles('Internal error') ?? new Map()
  model.groups.set(name, { name, textName, textDescription, roles, clients: new Map() })
  command.changed()
  command.log(`groupname=${name}`)
}

export function deleteGroup(command: Command): void {
  const { model } = command
  const group = command.group()
  if (group === model.anonymousGroup) throw new CommandError('Deleting the anonymous group is forbidden')
  command.kickGroup(group)
  model.groups.delete(group.name)
  command.changed()
  command.log(`groupname=${group.name}`)
}

export function modifyGroup(command: Command): void {
  const { json, model } = command
  const group = command.group()
  const textName = givenText(json, 'textname')
  const textDescription = givenText(json, 'textdescription')
  const roles = command.roles()
  const clients = command.list('clients')?.map((each): [Client, number] => {
    const name = givenText(each, 'username')
    if (name === undefined) throw new CommandError("'clients' contains an object with an invalid 'username'")
    const client = model.clients.get(name)
    if (client === undefined)
      throw new CommandError("'clients' contains an object with a 'username' that does not exist")
    return [client, priorityOf(each, NO_PRIORITY)]
  })
  // The clients that were in it, and those that are.
  command.kickGroup(group)
  if (clients !== undefined) {
    group.clients.clear()
    for (const [client, priority] of clients) if (!group.clients.has(client)) group.clients.set(client, priority)
  }
  if (textName !== undefined) group.textName = textName
  if (textDescription !== undefined) group.textDescription = textDescription
  if (roles !== null) group.roles = roles
  command.kickGroup(group)
  command.changed()
  command.log(`groupname=${group.name}`)
}

export function addGroupClient(command: Command): void {
  command.text('username')
  command.text('groupname')
  const [client, group] = [command.client(), command.group()]
  if (group.clients.has(client)) throw new CommandError('Client is already in this group')
  group.clients.set(client, command.priority())
  command.changed()
  command.kick(client.name)
  command.log(`groupname=${group.name}`, `username=${client.name}`, `priority=${command.priority()}`)
}

export function removeGroupClient(command: Command): void {
  command.text('username')
  command.text('groupname')
  const [client, group] = [command.client(), command.group()]
  group.clients.delete(client)
  command.changed()
  command.kick(client.name)
  command.log(`groupname=${group.name}`, `username=${client.name}`)
}

export function addGroupRole(command: Command): void {
  command.text('groupname')
  command.text('rolename')
  const [group, role] = [command.group(), command.role()]
  if (group.roles.has(role)) throw new CommandError('Group is already in this role')
  group.roles.set(role, command.priority())
  command.changed()
  command.kickGroup(group)
  command.log(`groupname=${group.name}`, `rolename=${role.name}`, `priority=${command.priority()}`)
}

export function removeGroupRole(command: Command): void {
  command.text('groupname')
  command.text('rolename')
  const [group, role] = [command.group(), command.role()]
  group.roles.delete(role)
  command.changed()
  command.kickGroup(group)
  command.log(`groupname=${group.name}`, `rolename=${role.name}`)
}

export function setAnonymousGroup(command: Command): void {
  const group = command.group()
  command.model.anonymousGroup = group
  command.changed()
  command.context.kicks.anonymous = true
  command.log(`groupname=${group.name}`)
}

export function getAnonymousGroup(command: Command): void {
  command.answer('getAnonymousGroup', { group: { groupname: command.model.anonymousGroup?.name ?? '' } })
  command.log()
}

function groupJson(model: Model, group: Group): JsonObject {
  return objectOf({
    groupname: group.name,
    textname: group.textName,
    textdescription: group.textDescription,
    clients: model.members(group).map(({ name }) => ({ username: name })),
    roles: roleListJson(group.roles),
  })
}

export function getGroup(command: Command): void {
  const group = command.group()
  command.answer('getGroup', { group: groupJson(command.model, group) })
  command.log(`groupname=${group.name}`)
}

export function listGroups(command: Command): void {
  const { model, isVerbose } = command
  const page = command.page(model.sorted(model.groups))
  const groups = page.map((group) => (isVerbose ? groupJson(model, group) : group.name))
  command.answer('listGroups', { totalCount: model.groups.size, groups })
  command.log(`verbose=${isVerbose}`, `count=${groups.length}`)
}
