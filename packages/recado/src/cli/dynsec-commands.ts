/**
 * Commands of `recado ctrl dynsec`: what each takes, what is asked of the broker, and how its answer is printed.
 *
 * Called by `ctrl.ts`. The names and fields are those of `$CONTROL/dynamic-security/v1`; the printed forms those of mosquitto_ctrl.
 */
import { ToolError } from '../command-table.ts'

/** Request as JSON, without its name. */
export type Request = Record<string, unknown>

export interface DynsecCommand {
  readonly name: string
  /** Arguments as the help writes them. */
  readonly takes: string
  readonly help: string
  /** Fields in the order of the arguments; those from `required` on may be absent. */
  readonly fields: readonly string[]
  readonly required: number
  /** Changes the fields before they are sent. @throws ToolError */
  readonly complete?: (request: Request, rest: readonly string[]) => Request
  /** Whether the arguments after `fields` are for `complete`. */
  readonly hasRest?: true
  /** Lines for the data of the answer; in 2.0 labels are narrower, and a client has no connections. */
  readonly print?: (data: Request, isOld: boolean) => string[]
  /** Whether a password is asked for when it is not given. */
  readonly asksPassword?: true
}

function wholeNumber(word: unknown, what: string): number {
  const text = String(word)
  if (!/^-?\d{1,9}$/.test(text)) throw new ToolError(`${what} needs a whole number, not "${text}"`)
  return Number(text)
}

const withPriority = (request: Request): Request =>
  request['priority'] === undefined
    ? request
    : { ...request, priority: wholeNumber(request['priority'], 'the priority') }

const counted = (request: Request): Request => ({
  verbose: false,
  ...(request['count'] === undefined ? {} : { count: wholeNumber(request['count'], 'the count') }),
  ...(request['offset'] === undefined ? {} : { offset: wholeNumber(request['offset'], 'the offset') }),
})

function allowed(word: string | undefined): boolean {
  const access = word?.toLowerCase()
  if (access !== 'allow' && access !== 'deny') {
    throw new ToolError(`access must be "allow" or "deny"${access === undefined ? '' : `, not "${access}"`}`)
  }
  return access === 'allow'
}

const aclTypes = [
  'publishClientSend',
  'publishClientReceive',
  'subscribeLiteral',
  'subscribePattern',
  'unsubscribeLiteral',
  'unsubscribePattern',
]
const defaultTypes = ['publishClientSend', 'publishClientReceive', 'subscribe', 'unsubscribe']

/** Checks the name of a kind of rule. @throws ToolError */
function checkType(request: Request, known: readonly string[]): Request {
  const type = String(request['acltype'])
  if (!known.some((each) => each.toLowerCase() === type.toLowerCase())) {
    throw new ToolError(`"${type}" is no ACLTYPE; there is ${known.join(', ')}`)
  }
  return request
}

const objects = (value: unknown): Request[] => (Array.isArray(value) ? (value as Request[]) : [])

/** Returns the lines of a list of names, which are alone or in objects. */
const names =
  (list: string, key: string) =>
  (data: Request): string[] =>
    objects(data[list]).map((each) => (typeof each === 'string' ? each : String(each[key])))

/** Returns lines with a label in front of the first. */
function labelled(width: number, label: string, list: unknown, key: string, hasPriority: boolean): string[] {
  const items = objects(list)
  if (!Array.isArray(list)) return [`${label}:`]
  return items.map((each, index) => {
    const head = index === 0 ? `${label}:` : ''
    const name = typeof each === 'string' ? each : String(each[key])
    const priority = hasPriority ? ` (priority: ${each['priority'] ?? -1})` : ''
    return `${head.padEnd(width)} ${name}${priority}`
  })
}

function clientLines(data: Request, isOld: boolean): string[] {
  const width = (isOld ? 'Username:' : 'Connections:').length
  const client = (data['client'] ?? {}) as Request
  const clientid = client['clientid']
  return [
    `${'Username:'.padEnd(width)} ${client['username']}`,
    clientid === undefined ? 'Clientid:' : `${'Clientid:'.padEnd(width)} ${clientid}`,
    ...(typeof client['disabled'] === 'boolean' ? [`${'Disabled:'.padEnd(width)} ${client['disabled']}`] : []),
    ...labelled(width, 'Roles', client['roles'], 'rolename', true),
    ...labelled(width, 'Groups', client['groups'], 'groupname', true),
    ...(isOld ? [] : labelled(width, 'Connections', client['connections'], 'address', false)),
  ]
}

const GROUP_WIDTH = 'Groupname:'.length

function groupLines(data: Request): string[] {
  const group = (data['group'] ?? {}) as Request
  return [
    `Groupname: ${group['groupname']}`,
    ...labelled(GROUP_WIDTH, 'Roles', group['roles'], 'rolename', true),
    ...labelled(GROUP_WIDTH, 'Clients', group['clients'], 'username', false),
  ]
}

function roleLines(data: Request): string[] {
  const role = (data['role'] ?? {}) as Request
  const acls = objects(role['acls']).map((acl, index) => {
    const head = index === 0 ? 'ACLs:    ' : '         '
    const access = acl['allow'] === true ? 'allow' : 'deny '
    return `${head} ${String(acl['acltype']).padEnd(20)} : ${access} : ${acl['topic']} (priority: ${acl['priority'] ?? -1})`
  })
  return [`Rolename: ${role['rolename']}`, ...acls]
}

const accessLines = (data: Request): string[] =>
  objects(data['acls']).map(
    ({ acltype, allow }) => `${String(acltype).padEnd(20)} : ${allow === true ? 'allow' : 'deny'}`,
  )

const simple = (name: string, takes: string, help: string, ...fields: string[]): DynsecCommand => {
  return { name, takes, help, fields, required: fields.length }
}

const prioritised = (name: string, takes: string, help: string, ...fields: string[]): DynsecCommand => ({
  ...{ name, takes: `${takes} [PRIORITY]`, help, fields: [...fields, 'priority'], required: fields.length },
  complete: withPriority,
})

const listing = (name: string, help: string, list: string, key: string): DynsecCommand => ({
  ...{ name, takes: '[COUNT [OFFSET]]', help, fields: ['count', 'offset'], required: 0 },
  complete: counted,
  print: names(list, key),
})

export const dynsecCommands: readonly DynsecCommand[] = [
  {
    ...simple('getDefaultACLAccess', '', 'shows what is allowed where no role says anything'),
    print: accessLines,
  },
  {
    ...simple('setDefaultACLAccess', 'ACLTYPE allow|deny', 'changes it', 'acltype'),
    hasRest: true,
    complete: (request, [access]) => ({ acls: [{ ...checkType(request, defaultTypes), allow: allowed(access) }] }),
  },
  {
    ...simple('getAnonymousGroup', '', 'shows the group of clients without a user name'),
    print: (data) => [String(((data['group'] ?? {}) as Request)['groupname'])],
  },
  simple('setAnonymousGroup', 'GROUP', 'changes it', 'groupname'),
  {
    ...simple('createClient', 'USER [-i CLIENTID] [-p PASSWORD]', 'makes a client', 'username'),
    ...{ hasRest: true, asksPassword: true },
    complete: (request, rest) => ({ ...request, ...clientOptions(rest) }),
  },
  simple('deleteClient', 'USER', 'deletes it', 'username'),
  {
    ...{ name: 'setClientPassword', takes: 'USER [PASSWORD]', help: 'changes its password' },
    ...{ fields: ['username', 'password'], required: 1, asksPassword: true },
  },
  {
    ...{ name: 'setClientId', takes: 'USER [CLIENTID]', help: 'binds it to a Client Identifier, or to none' },
    ...{ fields: ['username', 'clientid'], required: 1 },
  },
  prioritised('addClientRole', 'USER ROLE', 'gives it a role', 'username', 'rolename'),
  simple('removeClientRole', 'USER ROLE', 'takes it away', 'username', 'rolename'),
  { ...simple('getClient', 'USER', 'shows a client', 'username'), print: clientLines },
  listing('listClients', 'shows the names of clients', 'clients', 'username'),
  simple('enableClient', 'USER', 'lets a client in', 'username'),
  simple('disableClient', 'USER', 'keeps it out', 'username'),
  simple('createGroup', 'GROUP', 'makes a group', 'groupname'),
  simple('deleteGroup', 'GROUP', 'deletes it', 'groupname'),
  prioritised('addGroupRole', 'GROUP ROLE', 'gives it a role', 'groupname', 'rolename'),
  simple('removeGroupRole', 'GROUP ROLE', 'takes it away', 'groupname', 'rolename'),
  prioritised('addGroupClient', 'GROUP USER', 'puts a client in', 'groupname', 'username'),
  simple('removeGroupClient', 'GROUP USER', 'takes it out', 'groupname', 'username'),
  { ...simple('getGroup', 'GROUP', 'shows a group', 'groupname'), print: groupLines },
  listing('listGroups', 'shows the names of groups', 'groups', 'groupname'),
  simple('createRole', 'ROLE', 'makes a role', 'rolename'),
  simple('deleteRole', 'ROLE', 'deletes it', 'rolename'),
  {
    ...simple('addRoleACL', 'ROLE ACLTYPE FILTER allow|deny [PRIORITY]', 'adds a rule', 'rolename', 'acltype', 'topic'),
    hasRest: true,
    complete: (request, [access, priority]) => {
      return {
        ...checkType(request, aclTypes),
        allow: allowed(access),
        ...(priority === undefined ? {} : { priority: wholeNumber(priority, 'the priority') }),
      }
    },
  },
  {
    ...simple('removeRoleACL', 'ROLE ACLTYPE FILTER', 'takes it away', 'rolename', 'acltype', 'topic'),
    complete: (request) => checkType(request, aclTypes),
  },
  { ...simple('getRole', 'ROLE', 'shows a role', 'rolename'), print: roleLines },
  listing('listRoles', 'shows the names of roles', 'roles', 'rolename'),
]

/** Reads `-i CLIENTID` (2.0: `-c`) and `-p PASSWORD`. @throws ToolError */
function clientOptions(rest: readonly string[]): Request {
  const options: Request = {}
  for (let index = 0; index < rest.length; index += 2) {
    const [option = '', value] = rest.slice(index, index + 2)
    const field = { '-i': 'clientid', '-c': 'clientid', '-p': 'password' }[option]
    if (field === undefined) throw new ToolError(`createClient: unknown option "${option}"`)
    if (value === undefined) throw new ToolError(`createClient: ${option} needs a value`)
    options[field] = value
  }
  return options
}
