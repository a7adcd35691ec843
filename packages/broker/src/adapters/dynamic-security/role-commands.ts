/**
 * The commands about roles and their rules: `createRole`, `addRoleACL`, … `commands.ts` has the table. Errors and their
 * order are the plugin's.
 *
 * The invariant: everything is looked at before anything changes.
 */
import { type Command, CommandError } from './command.ts'
import { flagMember, givenText, isArray, member } from './json.ts'
import {
  type Acl,
  type AclType,
  aclsFrom,
  aclTypes,
  addAcl,
  noAcls,
  priorityOf,
  type Role,
  roleJson,
  wordOf,
} from './model.ts'
import { isRuleFilter } from './rights.ts'

export function createRole(command: Command): void {
  const { json, model } = command
  const name = command.text('rolename')
  if (name === '') throw new CommandError('Empty rolename')
  const textName = command.optionalText('textname')
  const textDescription = command.optionalText('textdescription')
  const allowWildcardSubscriptions = flagMember(json, 'allowwildcardsubs')
  if (allowWildcardSubscriptions === null) throw new CommandError('Invalid allowwildcardsubs')
  if (model.roles.has(name)) throw new CommandError('Role already exists')
  const list = member(json, 'acls')
  model.roles.set(name, {
    name,
    textName,
    textDescription,
    allowWildcardSubscriptions: allowWildcardSubscriptions ?? true,
    acls: isArray(list) ? aclsFrom(list) : noAcls(),
  })
  command.changed()
  command.log(`rolename=${name}`)
}

export function deleteRole(command: Command): void {
  const { model } = command
  const role = command.role()
  command.kickRole(role)
  for (const client of model.clients.values()) client.roles.delete(role)
  for (const group of model.groups.values()) group.roles.delete(role)
  model.roles.delete(role.name)
  command.changed()
  command.log(`rolename=${role.name}`)
}

export function modifyRole(command: Command): void {
  const { json } = command
  const role = command.role('Role does not exist')
  const textName = givenText(json, 'textname')
  const textDescription = givenText(json, 'textdescription')
  const allowWildcards = flagMember(json, 'allowwildcardsubs') ?? role.allowWildcardSubscriptions
  const list = member(json, 'acls')
  if (textName !== undefined) role.textName = textName
  if (textDescription !== undefined) role.textDescription = textDescription
  if (allowWildcards !== role.allowWildcardSubscriptions || isArray(list)) command.kickRole(role)
  role.allowWildcardSubscriptions = allowWildcards
  if (isArray(list)) Object.assign(role.acls, aclsFrom(list))
  command.changed()
  command.log(`rolename=${role.name}`)
}

/** Finds the role, the type and the list of rules that a command names, and the topic of its rule. */
function ruleOf(command: Command): { role: Role; type: AclType; list: Acl[]; topic: string } {
  const role = command.role()
  const type = wordOf(aclTypes, command.text('acltype'))
  if (type === undefined) throw new CommandError('Unknown acltype')
  const topic = command.text('topic')
  if (!isRuleFilter(topic)) throw new CommandError('Invalid ACL topic')
  return { role, type, list: role.acls[type], topic }
}

export function addRoleAcl(command: Command): void {
  const { role, type, list, topic } = ruleOf(command)
  const acl = { topic, priority: priorityOf(command.json, 0), allow: flagMember(command.json, 'allow') ?? false }
  if (!addAcl(list, acl)) throw new CommandError('ACL with this topic already exists')
  command.changed()
  command.kickRole(role)
  command.log(
    `rolename=${role.name}`,
    `acltype=${type}`,
    `topic=${topic}`,
    `priority=${acl.priority}`,
    `allow=${acl.allow}`,
  )
}

export function removeRoleAcl(command: Command): void {
  const { role, type, list, topic } = ruleOf(command)
  const at = list.findIndex((acl) => acl.topic === topic)
  if (at === -1) throw new CommandError('ACL not found')
  list.splice(at, 1)
  command.changed()
  command.kickRole(role)
  command.log(`rolename=${role.name}`, `acltype=${type}`, `topic=${topic}`)
}

export function getRole(command: Command): void {
  const role = command.role()
  command.answer('getRole', { role: roleJson(role) })
  command.log(`rolename=${role.name}`)
}

export function listRoles(command: Command): void {
  const { model, isVerbose } = command
  const page = command.page(model.sorted(model.roles))
  const roles = page.map((role) => (isVerbose ? roleJson(role) : role.name))
  command.answer('listRoles', { totalCount: model.roles.size, roles })
  command.log(`verbose=${isVerbose}`, `count=${roles.length}`)
}
