/**
 * One command to dynamic security with its result: the JSON that was sent, the answer, and the clients to disconnect
 * for it.
 *
 * `commands.ts` makes one for each command of a request, and the handlers of clients, groups and roles fill it in.
 * Invariant: each command is answered exactly once, in the words of Mosquitto's plugin (2.1), which consoles compare.
 */
import { hasDisallowedCodePoint } from '@recado/protocol'
import {
  flagMember,
  givenText,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  member,
  objectOf,
  textMember,
  wholeMember,
} from './json.ts'
import {
  type Client,
  type Group,
  type Model,
  NO_PRIORITY,
  priorityOf,
  type Role,
  type RoleList,
  type StoredPassword,
} from './model.ts'

/** Users whose connections are to be ended; `anonymous` includes clients without a user name. */
export interface Kicks {
  readonly usernames: Set<string>
  anonymous: boolean
}

/** Environment of commands. */
export interface CommandContext {
  readonly model: Model
  readonly kicks: Kicks
  /** Sender for the log: `clientId/username`. */
  readonly sender: string
  /** A new password of a user. Rejects for one that no hash can hold. */
  hash(username: string, password: string): Promise<StoredPassword>
  /** Addresses of connected clients, by user name; null: they are not told. */
  addresses(): ReadonlyMap<string, readonly string[]> | null
  /** A line for the log. */
  log(text: string): void
}

/** Error that ends a command, in the plugin's words. */
export class CommandError extends Error {}

/** Members that name something which clients send, with the plugin's words for them. */
const named: Readonly<Record<string, string>> = {
  username: 'Username',
  groupname: 'Group name',
  rolename: 'Role name',
  clientid: 'Client ID',
  topic: 'Topic',
}

/** @throws CommandError for a name with a code point that no client may send, in the plugin's words */
function mustBeFit(property: string, text: string): void {
  const what = Object.hasOwn(named, property) ? named[property] : undefined
  if (what !== undefined && hasDisallowedCodePoint(text)) throw new CommandError(`${what} not valid UTF-8`)
}

export class Command {
  readonly context: CommandContext
  readonly json: JsonObject
  /** Name as it was sent. */
  readonly name: string
  readonly correlationData: string | undefined
  /** Whether it has changed data that is to be saved. */
  isChange = false
  /** Nothing of the list comes after it. */
  isLast = false
  #answer: { readonly command: string; readonly data: JsonObject } | undefined
  #error: string | undefined
  #text: string | undefined

  constructor(context: CommandContext, json: JsonObject, name: string, correlationData: string | undefined) {
    this.context = context
    this.json = json
    this.name = name
    this.correlationData = correlationData
  }

  get model(): Model {
    return this.context.model
  }

  get isRefused(): boolean {
    return this.#error !== undefined
  }

  /** `command`: its name as the plugin writes it. */
  answer(command: string, data: JsonObject): void {
    this.#answer = { command, data }
  }

  refuse(error: string): void {
    this.#error = error
    this.#answer = undefined
    this.#text = undefined
  }

  /** Something has changed, and counts as one change. */
  changed(): void {
    this.isChange = true
    this.model.changeIndex++
  }

  /** The answer as JSON, made once: it is measured before it is sent. */
  responseText(): string {
    if (this.#text === undefined) {
      this.#text = JSON.stringify(this.#response())
      // The text is all that is needed from now on.
      this.#answer = undefined
    }
    return this.#text
  }

  #response(): JsonObject {
    const { correlationData } = this
    if (this.#error === undefined && this.#answer !== undefined) return objectOf({ ...this.#answer, correlationData })
    return objectOf({ command: this.name, error: this.#error, correlationData })
  }

  /** Logs the command with words such as `username=ada`. */
  log(...what: readonly string[]): void {
    const { sender, log } = this.context
    log([`dynsec: ${sender}`, this.name, ...what].join(' | '))
  }

  /** A member that must be there. */
  text(property: string, error: string = `Invalid/missing ${property}`): string {
    const text = textMember(this.json, property)
    if (typeof text !== 'string') throw new CommandError(error)
    mustBeFit(property, text)
    return text
  }

  /** A member that may be missing. */
  optionalText(property: string, error: string = `Invalid/missing ${property}`): string | undefined {
    const text = textMember(this.json, property)
    if (text === null) throw new CommandError(error)
    if (text !== undefined) mustBeFit(property, text)
    return text
  }

  client(): Client {
    const client = this.model.clients.get(this.text('username'))
    if (client === undefined) throw new CommandError('Client not found')
    return client
  }

  group(): Group {
    const group = this.model.groups.get(this.text('groupname'))
    if (group === undefined) throw new CommandError('Group not found')
    return group
  }

  role(error: string = 'Role not found'): Role {
    const role = this.model.roles.get(this.text('rolename'))
    if (role === undefined) throw new CommandError(error)
    return role
  }

  priority(): number {
    return priorityOf(this.json, NO_PRIORITY)
  }

  /** Roles in its list; null when it has none. `invalid` is the error for another value. */
  roles(invalid: string = "'roles' not an array or missing/invalid rolename"): RoleList | null {
    const list = member(this.json, 'roles')
    if (list === undefined) return null
    if (!isArray(list)) throw new CommandError(invalid)
    const roles: RoleList = new Map()
    for (const each of list) {
      const name = givenText(each, 'rolename')
      if (name === undefined) throw new CommandError(invalid)
      const role = this.model.roles.get(name)
      if (role === undefined) throw new CommandError('Role not found')
      if (!roles.has(role)) roles.set(role, priorityOf(each, NO_PRIORITY))
    }
    return roles
  }

  /** Objects in a list of it; null when there is no such list. */
  list(property: string): readonly Json[] | null {
    const list = member(this.json, property)
    return isArray(list) ? list.filter(isObject) : null
  }

  /** Whether its list is to have everything that is known of each, instead of the name. */
  get isVerbose(): boolean {
    return flagMember(this.json, 'verbose') ?? false
  }

  /** The part of a list that `offset` and `count` ask for; 0 is 1, as for the plugin. */
  page<T>(all: readonly T[]): readonly T[] {
    const offset = Math.max(0, wholeMember(this.json, 'offset', 0))
    const count = wholeMember(this.json, 'count', -1)
    return count < 0 ? all.slice(offset) : all.slice(offset, offset + Math.max(1, count))
  }

  kick(username: string): void {
    this.context.kicks.usernames.add(username)
  }

  kickGroup(group: Group): void {
    if (group === this.model.anonymousGroup) this.context.kicks.anonymous = true
    for (const client of group.clients.keys()) this.kick(client.name)
  }

  /** Notes all clients that have the role, by themselves or by a group. */
  kickRole(role: Role): void {
    for (const client of this.model.clients.values()) if (client.roles.has(role)) this.kick(client.name)
    for (const group of this.model.groups.values()) if (group.roles.has(role)) this.kickGroup(group)
  }
}
