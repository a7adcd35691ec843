/**
 * Clients (users with a password), groups and roles of dynamic security, and their relations: the contents of the
 * plugin's file.
 *
 * `Model.parse` reads that file, `toJson` is its inverse; the commands change the model in between. The invariants are
 * the plugin's: clients, groups and roles are listed by name; the roles of a client and its groups by priority, the
 * highest first, and then by name; the rules of a role by priority, and then in the order of their addition. Removing
 * an object removes its relations.
 */
import {
  flagMember,
  givenText,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  member,
  objectOf,
  wholeMember,
} from './json.ts'

/** Priority of entries that are listed without one: the plugin writes none for them. */
export const NO_PRIORITY = -1
const PRIORITY_MAX = 100_000

export const aclTypes = [
  'publishClientSend',
  'publishClientReceive',
  'subscribeLiteral',
  'subscribePattern',
  'unsubscribeLiteral',
  'unsubscribePattern',
] as const
export type AclType = (typeof aclTypes)[number]

/** Accesses with a default that applies where no rule does. */
export const accessTypes = ['publishClientSend', 'publishClientReceive', 'subscribe', 'unsubscribe'] as const
export type AccessType = (typeof accessTypes)[number]

/** Finds a word as Mosquitto compares such words: without regard to case. */
export function wordOf<T extends string>(words: readonly T[], text: string): T | undefined {
  const lower = text.toLowerCase()
  return words.find((word) => word.toLowerCase() === lower)
}

export interface Acl {
  readonly topic: string
  readonly priority: number
  readonly allow: boolean
}

/** Stored password. `hash` belongs to the checker. */
export interface StoredPassword {
  readonly username: string
  /** Text as in a password file: `$7$…`, `$argon2id$…`. */
  readonly text: string
  readonly hash: unknown
  /** Digest of the password that was right. */
  known: string | null
}

interface Named {
  textName: string | undefined
  textDescription: string | undefined
}

/** Roles of a client or a group, with their priorities. */
export type RoleList = Map<Role, number>

export interface Role extends Named {
  readonly name: string
  allowWildcardSubscriptions: boolean
  readonly acls: Record<AclType, Acl[]>
}

export interface Group extends Named {
  readonly name: string
  roles: RoleList
  readonly clients: Map<Client, number>
}

export interface Client extends Named {
  readonly name: string
  /** Password; null when logging in is impossible. */
  password: StoredPassword | null
  /** Only Client Identifier that may log in; undefined for any. */
  clientId: string | undefined
  isDisabled: boolean
  roles: RoleList
}

/** Function that parses a stored password; a text describes why it cannot be used. */
export type ParsePassword = (text: string) => { readonly hash: unknown } | string

export const noAcls = (): Record<AclType, Acl[]> => ({
  publishClientSend: [],
  publishClientReceive: [],
  subscribeLiteral: [],
  subscribePattern: [],
  unsubscribeLiteral: [],
  unsubscribePattern: [],
})

/** In the order of their bytes, as strcmp has it. */
export function compareNames(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
}

export const priorityOf = (object: Json, otherwise: number): number =>
  Math.max(-PRIORITY_MAX, Math.min(PRIORITY_MAX, wholeMember(object, 'priority', otherwise)))

/** Adds a rule at its place; returns false when there is one for that topic. */
export function addAcl(list: Acl[], acl: Acl): boolean {
  if (list.some(({ topic }) => topic === acl.topic)) return false
  const at = list.findIndex(({ priority }) => priority < acl.priority)
  list.splice(at === -1 ? list.length : at, 0, acl)
  return true
}

/** Returns rules in a list of JSON; a value that is no rule is skipped, as by the plugin. */
export function aclsFrom(list: readonly Json[]): Record<AclType, Acl[]> {
  const acls = noAcls()
  for (const each of list) {
    const type = wordOf(aclTypes, givenText(each, 'acltype') ?? '')
    const topic = givenText(each, 'topic')
    if (type === undefined || !topic) continue
    addAcl(acls[type], { topic, priority: priorityOf(each, 0), allow: flagMember(each, 'allow') ?? false })
  }
  return acls
}

/** Entries by priority, then by name. */
const inOrder = <T extends { readonly name: string }>(list: ReadonlyMap<T, number>): [T, number][] =>
  [...list].sort(([a, p], [b, q]) => q - p || compareNames(a.name, b.name))

export const rolesInOrder = (list: RoleList): Role[] => inOrder(list).map(([role]) => role)

const withPriority = (name: string, value: string, priority: number): JsonObject =>
  objectOf({ [name]: value, priority: priority === NO_PRIORITY ? undefined : priority })

export const roleListJson = (list: RoleList): JsonObject[] =>
  inOrder(list).map(([role, priority]) => withPriority('rolename', role.name, priority))

export function roleJson({ name, textName, textDescription, allowWildcardSubscriptions, acls }: Role): JsonObject {
  return objectOf({
    rolename: name,
    textname: textName,
    textdescription: textDescription,
    allowwildcardsubs: allowWildcardSubscriptions,
    acls: aclTypes.flatMap((acltype) =>
      acls[acltype].map(({ topic, priority, allow }) => ({ acltype, topic, priority, allow })),
    ),
  })
}

/** In the form of Mosquitto 2.0 where that knows the hash: 2.1 reads both. */
function passwordJson(password: StoredPassword | null): JsonObject {
  if (password === null) return {}
  const [, kind, iterations, salt, hash] = password.text.split('$')
  if (kind !== '7') return { encoded_password: password.text }
  return { password: hash!, salt: salt!, iterations: Number(iterations) }
}

export class Model {
  readonly clients: Map<string, Client> = new Map()
  readonly groups: Map<string, Group> = new Map()
  readonly roles: Map<string, Role> = new Map()
  readonly defaultAccess: Record<AccessType, boolean> = {
    publishClientSend: false,
    publishClientReceive: false,
    subscribe: false,
    unsubscribe: false,
  }
  anonymousGroup: Group | null = null
  /** Counts changes. */
  changeIndex = 0
  /** Warnings about unusable parts of the file, one line each. */
  readonly warnings: string[] = []

  /** Makes a model from the file; unusable entries are skipped with a warning. */
  static from(tree: Json, parsePassword: ParsePassword): Model {
    const model = new Model()
    model.changeIndex = Math.max(0, wholeMember(tree, 'changeIndex', 0))
    const access = member(tree, 'defaultACLAccess') ?? null
    for (const type of accessTypes) model.defaultAccess[type] = flagMember(access, type) ?? false
    for (const each of model.#list(tree, 'roles')) model.#readRole(each)
    for (const each of model.#list(tree, 'clients')) model.#readClient(each, parsePassword)
    for (const each of model.#list(tree, 'groups')) model.#readGroup(each)
    model.anonymousGroup = model.groups.get(givenText(tree, 'anonymousGroup') ?? '') ?? null
    return model
  }

  #list(tree: Json, name: string): readonly Json[] {
    const list = member(tree, name)
    if (isArray(list)) return list
    if (list !== undefined) this.warnings.push(`"${name}" is not a list, so it is ignored`)
    return []
  }

  /** Returns the name of an entry; null when it has none, or one that was there before. */
  #nameOf(each: Json, property: string, there: ReadonlyMap<string, unknown>): string | null {
    const name = isObject(each) ? givenText(each, property) : undefined
    if (!name) {
      this.warnings.push(`an entry has no "${property}", so it is ignored`)
      return null
    }
    if (!there.has(name)) return name
    this.warnings.push(`${property} ${JSON.stringify(name)} occurs twice; the first entry is used`)
    return null
  }

  #readRole(each: Json): void {
    const name = this.#nameOf(each, 'rolename', this.roles)
    if (name === null) return
    const acls = member(each, 'acls')
    this.roles.set(name, {
      name,
      textName: givenText(each, 'textname'),
      textDescription: givenText(each, 'textdescription'),
      allowWildcardSubscriptions: flagMember(each, 'allowwildcardsubs') ?? true,
      acls: isArray(acls) ? aclsFrom(acls) : noAcls(),
    })
  }

  #readClient(each: Json, parsePassword: ParsePassword): void {
    const name = this.#nameOf(each, 'username', this.clients)
    if (name === null) return
    this.clients.set(name, {
      name,
      textName: givenText(each, 'textname'),
      textDescription: givenText(each, 'textdescription'),
      clientId: givenText(each, 'clientid'),
      isDisabled: flagMember(each, 'disabled') ?? false,
      roles: this.#readRoles(each),
      password: this.#readPassword(name, each, parsePassword),
    })
  }

  #readPassword(username: string, each: Json, parsePassword: ParsePassword): StoredPassword | null {
    const [password, salt] = [givenText(each, 'password'), givenText(each, 'salt')]
    const iterations = wholeMember(each, 'iterations', 0)
    const isOld = password !== undefined && salt !== undefined && iterations > 0
    const text = givenText(each, 'encoded_password') ?? (isOld ? `$7$${iterations}$${salt}$${password}` : undefined)
    if (text === undefined) return null
    const parsed = parsePassword(text)
    if (typeof parsed !== 'string') return { username, text, hash: parsed.hash, known: null }
    this.warnings.push(`the password of user ${JSON.stringify(username)} ${parsed}; this user cannot log in`)
    return null
  }

  #readRoles(each: Json): RoleList {
    const list: RoleList = new Map()
    const roles = member(each, 'roles')
    for (const entry of isArray(roles) ? roles : []) {
      const role = this.roles.get(givenText(entry, 'rolename') ?? '')
      if (role !== undefined && !list.has(role)) list.set(role, priorityOf(entry, NO_PRIORITY))
    }
    return list
  }

  #readGroup(each: Json): void {
    const name = this.#nameOf(each, 'groupname', this.groups)
    if (name === null) return
    const clients = new Map<Client, number>()
    const list = member(each, 'clients')
    for (const entry of isArray(list) ? list : []) {
      const client = this.clients.get(givenText(entry, 'username') ?? '')
      if (client !== undefined && !clients.has(client)) clients.set(client, priorityOf(entry, NO_PRIORITY))
    }
    this.groups.set(name, {
      name,
      textName: givenText(each, 'textname'),
      textDescription: givenText(each, 'textdescription'),
      roles: this.#readRoles(each),
      clients,
    })
  }

  /** Entries by name. */
  sorted<T extends { readonly name: string }>(all: ReadonlyMap<string, T>): T[] {
    return [...all.values()].sort((a, b) => compareNames(a.name, b.name))
  }

  groupsOf(client: Client): [Group, number][] {
    const list = new Map<Group, number>()
    for (const group of this.groups.values()) {
      const priority = group.clients.get(client)
      if (priority !== undefined) list.set(group, priority)
    }
    return inOrder(list)
  }

  groupListJson(client: Client): JsonObject[] {
    return this.groupsOf(client).map(([group, priority]) => withPriority('groupname', group.name, priority))
  }

  /** Returns clients that belong to a group, by name. */
  members(group: Group): Client[] {
    return [...group.clients.keys()].sort((a, b) => compareNames(a.name, b.name))
  }

  #clientJson({ name, clientId, textName, textDescription, isDisabled, roles, password }: Client): JsonObject {
    return objectOf({
      username: name,
      clientid: clientId,
      textname: textName,
      textdescription: textDescription,
      disabled: isDisabled ? true : undefined,
      roles: roleListJson(roles),
      ...passwordJson(password),
    })
  }

  #groupJson(group: Group): JsonObject {
    return objectOf({
      groupname: group.name,
      textname: group.textName,
      textdescription: group.textDescription,
      roles: roleListJson(group.roles),
      clients: this.members(group).map((client) => withPriority('username', client.name, group.clients.get(client)!)),
    })
  }

  toJson(): JsonObject {
    return objectOf({
      changeIndex: this.changeIndex,
      defaultACLAccess: this.defaultAccess,
      clients: this.sorted(this.clients).map((client) => this.#clientJson(client)),
      groups: this.sorted(this.groups).map((group) => this.#groupJson(group)),
      anonymousGroup: this.anonymousGroup?.name,
      roles: this.sorted(this.roles).map(roleJson),
    })
  }
}
