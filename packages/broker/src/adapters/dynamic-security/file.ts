/**
 * The file of dynamic security on the disk: read, made when there is none, and written anew after each change.
 *
 * `dynamic-security.ts` calls it. The invariants: the file is the old one or the new one, whole, at any time, also
 * after a power cut (written beside it, flushed, renamed, and the folder flushed); it is readable by its owner only,
 * unless it was made otherwise; a file that cannot be understood is never written over.
 */
import { randomInt } from 'node:crypto'
import { access, constants, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'
import { type Json, type JsonObject, parseJson, printed } from './json.ts'

const CODE = 'ERR_MQTT_DYNAMIC_SECURITY'
const OWNER_ONLY = 0o600

/** Reads the file; null when there is none. @throws MqttError ERR_MQTT_DYNAMIC_SECURITY */
export async function readSecurityFile(path: string): Promise<{ tree: Json; warnings: string[] } | null> {
  let text: string
  let mode: number
  try {
    text = await readFile(path, 'utf8')
    mode = (await stat(path)).mode
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new MqttError(CODE, `${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  const warnings = (mode & 0o004) === 0 ? [] : [`${path}: every user of this machine can read it: run chmod 600`]
  if (!(await isWritable(dirname(path)))) {
    warnings.push(
      `${path}: the broker cannot write to its folder, so every command that changes something is refused: make the folder writable (in a container: mount the folder, not the file)`,
    )
  }
  if (text.trim() === '') {
    return { tree: {}, warnings: [...warnings, `${path}: the file is empty, so nobody can log in by it`] }
  }
  try {
    return { tree: parseJson(text), warnings }
  } catch (error) {
    throw new MqttError(
      CODE,
      `${path} is not JSON: ${(error as Error).message}. Mend it, or move it away, and a new one is made`,
      { cause: error },
    )
  }
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Rejects with an error of node:fs, and then the file is as it was. */
export async function writeSecurityFile(path: string, text: string): Promise<void> {
  const mode = await stat(path).then(
    (stats) => stats.mode & 0o777,
    () => OWNER_ONLY,
  )
  await writeWhole(path, text, mode)
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.new`
  // A file that a crash has left, or another user's link, is not written to.
  await rm(beside, { force: true })
  try {
    const file = await open(beside, 'wx', mode)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined) // The first failure is the one to report.
    throw error
  }
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export interface NewFileOptions {
  readonly path: string
  /** File whose first line is the password of `admin`; null to use `password`. */
  readonly passwordFile: string | null
  /** Password of `admin` when there is no such file; null makes up passwords, and writes them into PATH.pw. */
  readonly password: string | null
}

const INIT_PASSWORD_MIN = 12
const MADE_UP_LENGTH = 20
const MADE_UP_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-=_+[]{}@#~,./<>?'

const madeUp = (): string =>
  Array.from({ length: MADE_UP_LENGTH }, () => MADE_UP_CHARACTERS[randomInt(MADE_UP_CHARACTERS.length)]).join('')

/**
 * Makes the file that Mosquitto 2.1 makes: `admin` for the commands, roles to choose from, and, with made-up passwords,
 * `democlient` for everything else. Returns the message for the operator. @throws MqttError ERR_MQTT_DYNAMIC_SECURITY
 */
export async function makeSecurityFile(
  { path, passwordFile, password }: NewFileOptions,
  hash: (password: string) => Promise<string>,
): Promise<string> {
  try {
    const given = passwordFile === null ? password : await firstLine(passwordFile)
    if (passwordFile === null && given !== null && given.length < INIT_PASSWORD_MIN) {
      throw new MqttError(CODE, `MOSQUITTO_DYNSEC_PASSWORD must have at least ${INIT_PASSWORD_MIN} characters`)
    }
    const users = given === null ? { admin: madeUp(), democlient: madeUp() } : { admin: given }
    const tree = await newTree(users, hash)
    if (given === null) {
      const lines = Object.entries(users).map(([name, secret]) => `${name} ${secret}\n`)
      await writeWhole(`${path}.pw`, lines.join(''), OWNER_ONLY)
    }
    await writeWhole(path, printed(tree), OWNER_ONLY)
    const source =
      given === null
        ? `the passwords of admin and democlient are in ${path}.pw`
        : `the password of admin is that of ${passwordFile ?? 'MOSQUITTO_DYNSEC_PASSWORD'}`
    return `${path} did not exist and has been made: ${source}`
  } catch (error) {
    if (error instanceof MqttError) throw error
    throw new MqttError(CODE, `${path} does not exist and cannot be made: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

async function firstLine(path: string): Promise<string> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new MqttError(CODE, `the password of admin cannot be read from ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
  const line = text.split('\n', 1)[0]!.trimEnd()
  if (line === '') throw new MqttError(CODE, `${path} has no password for admin in its first line`)
  return line
}

async function newTree(
  users: Readonly<Record<string, string>>,
  hash: (password: string) => Promise<string>,
): Promise<JsonObject> {
  const rolesOf: Record<string, string[]> = {
    admin: ['super-admin', 'sys-observe', 'topic-observe'],
    democlient: ['client'],
  }
  const clients: JsonObject[] = []
  for (const [username, password] of Object.entries(users)) {
    clients.push({
      encoded_password: await hash(password),
      username,
      textname: username === 'admin' ? 'Admin user' : 'Demonstration client: may publish and subscribe to #',
      roles: rolesOf[username]!.map((rolename) => ({ rolename })),
    })
  }
  const rule = (acltype: string, topic: string): JsonObject => ({ acltype, topic, priority: 0, allow: true })
  const role = (rolename: string, textdescription: string, acls: JsonObject[]): JsonObject => ({
    rolename,
    textdescription,
    acls,
  })
  const everything = (topic: string): JsonObject[] =>
    ['publishClientSend', 'publishClientReceive', 'subscribePattern', 'unsubscribePattern'].map((type) =>
      rule(type, topic),
    )
  const looking = (topic: string): JsonObject[] => [
    rule('publishClientReceive', topic),
    rule('subscribePattern', topic),
    rule('unsubscribePattern', topic),
  ]
  return {
    defaultACLAccess: { publishClientSend: false, publishClientReceive: true, subscribe: false, unsubscribe: true },
    clients,
    groups: [
      {
        groupname: 'unauthenticated',
        textname: 'Unauthenticated group',
        textdescription: 'Roles of clients that connect without a user name, where that is allowed.',
        roles: [],
      },
    ],
    roles: [
      role('client', 'Publishes and subscribes to all topics of applications.', everything('#')),
      role('broker-admin', 'Gives commands to the broker.', everything('$CONTROL/broker/#')),
      role('dynsec-admin', 'Administers clients, groups and roles.', everything('$CONTROL/dynamic-security/#')),
      role('super-admin', 'Gives all commands.', everything('$CONTROL/#')),
      role('sys-notify', 'Bridges say whether they are connected.', [
        rule('publishClientSend', '$SYS/broker/connection/%c/state'),
      ]),
      role('sys-observe', 'Reads $SYS.', looking('$SYS/#').slice(0, 2)),
      role('topic-observe', 'Reads all topics of applications.', looking('#')),
    ],
    anonymousGroup: 'unauthenticated',
  }
}
