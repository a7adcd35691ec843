/**
 * `recado passwd`: makes and changes password files, with the arguments of mosquitto_passwd and files that it can read.
 *
 * Called by `main.ts`. Invariants: the file is replaced as a whole or stays as it was, with its owner and mode (a new
 * one: 0600); programs that run at once wait for each other, and none undoes the change of another; other lines,
 * comments too, stay as they are; a password is never printed, and is asked for without echo.
 */
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type HashKind, hashKinds, passwordHash, SCRAM_SECRET } from '@recado/broker'
import { bytesOf, invalidByteOf, textOf } from '../argument-bytes.ts'
import {
  type Command,
  helpRow,
  helpText,
  isGiven,
  type ParsedCommand,
  parseCommand,
  ToolError,
  valueIn,
} from '../command-table.ts'
import type { Io } from '../io.ts'
import { userOf } from '../password-line.ts'
import { asMosquitto } from './connection-options.ts'
import { whileLocked } from './file-lock.ts'
import { helpExitCode, type Manner, type MosquittoVersion, mannerOf } from './manner.ts'
import { PasswordsDiffer, readSecret } from './secret.ts'
import { runTool } from './store-folder.ts'

export const command: Command = {
  name: 'passwd',
  summary: 'makes and changes password files, like mosquitto_passwd.',
  usage: [
    '[-H HASH] [-I N] [-c] FILE USER            asks for the password, twice',
    '[-H HASH] [-I N] [-c] -b FILE USER PASSWORD',
    '-D FILE USER                               deletes the user',
    '[-H HASH] [-I N] -U FILE                   makes hashes of plain passwords',
  ],
  operands: [
    // The number of operands depends on the options.
    { name: 'FILE', isOptional: true, completes: 'file' },
    { name: 'USER', isOptional: true },
    { name: 'PASSWORD', isOptional: true },
  ],
  groups: [
    {
      options: [
        { names: ['-c'], help: 'makes a new file; one that is there is overwritten. FILE - is standard output' },
        {
          names: ['-b'],
          help: "takes the password from the command line, where it may end up in a shell's history",
        },
        { names: ['-D'], help: 'deletes the user' },
        {
          names: ['-H'],
          value: 'HASH',
          help: 'sha512-pbkdf2 (default), sha512, argon2id, or scram-sha-256 (for clients that log in by SCRAM as\nwell; our own)',
          completes: hashKinds,
        },
        {
          names: ['-I'],
          value: 'N',
          help: 'iterations of sha512-pbkdf2 (default 1000) and scram-sha-256 (default 4096)',
        },
        { names: ['-U'], help: 'hashes every password of FILE that is not a hash yet' },
        asMosquitto,
        helpRow,
      ],
    },
  ],
  notes: `Without a terminal the password is read from standard input: one line, or two that are the same. A running broker reads
the file again on SIGHUP. Exit code: 0, or 1 when nothing was changed.`,
}

interface Task {
  readonly mode: 'set' | 'delete' | 'upgrade'
  readonly isNew: boolean
  readonly kind: HashKind
  readonly iterations: number | undefined
  readonly file: string
  readonly username: string
  /** Password; undefined when it is to be asked for. */
  readonly password: string | undefined
}

const NAME_BYTES_MAX = 65_535

/** Error in our words and in those of mosquitto_passwd. */
class PasswdError extends ToolError {
  readonly mosquitto: string

  constructor(message: string, mosquitto: string) {
    super(message)
    this.mosquitto = mosquitto
  }
}

/** @param invokedAs the name of Mosquitto's tool by which the program was started */
export async function runPasswd(argv: readonly string[], io: Io, invokedAs?: string): Promise<number> {
  const asked = mannerOf('passwd', argv, invokedAs)
  if (typeof asked === 'string') {
    io.stderr.write(asked)
    return 1
  }
  const { manner, rest } = asked
  // As in mosquitto_passwd options come first: a password may begin with a dash.
  if (manner.mosquitto === null) return runTool(command, rest, io, (parsed) => change(parsed, io, null), true)
  return inMosquittosWords(rest, io, manner)
}

async function inMosquittosWords(argv: readonly string[], io: Io, manner: Manner): Promise<number> {
  try {
    checkHash(argv)
    const parsed = parseCommand(command, argv, true)
    if (parsed.isHelp) throw new HelpWanted()
    checkTogether(parsed)
    const missing = missingText(parsed)
    if (missing !== null) throw new PasswdError(missing, missing)
    if (wantedOf(parsed).length !== parsed.operands.length) throw new HelpWanted()
    return await change(parsed, io, manner.mosquitto)
  } catch (error) {
    const isUnknown = error instanceof ToolError && error.message.startsWith('unknown option')
    if (error instanceof HelpWanted || isUnknown) {
      io.stdout.write(helpText(command, manner.program))
      return helpExitCode(manner)
    }
    if (!(error instanceof ToolError) && (error as NodeJS.ErrnoException).syscall === undefined) throw error
    io.stderr.write(`${theirWords(error as Error)}\n`)
    return error instanceof PasswordsDiffer ? 2 : 1
  }
}

function theirWords(error: Error): string {
  if (error instanceof PasswdError) return error.mosquitto
  return error instanceof PasswordsDiffer ? 'Error: Passwords do not match.' : `Error: ${error.message}.`
}

/** Thrown where mosquitto_passwd prints its help. */
class HelpWanted extends Error {}

/** @throws PasswdError where -H has no value, or one that there is not */
function checkHash(argv: readonly string[]): void {
  const at = argv.indexOf('-H')
  if (at < 0 || argv.slice(0, at).some((word) => !word.startsWith('-'))) return
  const kind = argv[at + 1]
  if (kind === undefined) throw new PasswdError('', 'Error: -H argument given but not enough other arguments.')
  if (!(hashKinds as readonly string[]).includes(kind)) throw new PasswdError('', `Error: Unknown hash type '${kind}'`)
}

/** Names the missing operands, where mosquitto_passwd does not simply print its help. */
function missingText(parsed: ParsedCommand): string | null {
  const { length } = parsed.operands
  if (isGiven(parsed, '-c') && isGiven(parsed, '-b') && length < 3) {
    return 'Error: -c argument given but password file, username, or password missing.'
  }
  if (isGiven(parsed, '-c') && length < 2) return 'Error: -c argument given but password file or username missing.'
  if (isGiven(parsed, '-D') && length < 2) return 'Error: -D argument given but password file or username missing.'
  if (isGiven(parsed, '-U') && length !== 1) return 'Error: -U argument given but password file missing.'
  return null
}

async function change(parsed: ParsedCommand, io: Io, mosquitto: MosquittoVersion | null): Promise<number> {
  const task = taskOf(parsed)
  // The file is checked before anything is asked for: a user who cannot write it need not type.
  const target = task.isNew && task.file === '-' ? null : targetOf(task)
  const make = await changeFor(task, io, mosquitto)
  if (target === null) {
    io.stdout.write(bytesOf((await make([])).text))
    return 0
  }
  // Read when it is locked, so that two that run at once both find the change of the other.
  const said = await whileLocked(target, async () => {
    const lines = task.isNew ? [] : linesOf(textOf(readFileSync(target)))
    const changed = await make(lines)
    replace(target, changed.text)
    return changed.said
  })
  // Mosquitto reports its changes since 2.1, and only those of passwords.
  if (mosquitto === null || (mosquitto === '2.1' && task.mode === 'set')) io.stdout.write(`${said}\n`)
  return 0
}

function wantedOf(parsed: ParsedCommand): readonly string[] {
  if (isGiven(parsed, '-U')) return ['FILE']
  return isGiven(parsed, '-b') ? ['FILE', 'USER', 'PASSWORD'] : ['FILE', 'USER']
}

/** @throws PasswdError */
function checkTogether(parsed: ParsedCommand): void {
  for (const [one, other, theirs = `${one} and ${other}`] of [
    ['-c', '-D'],
    ['-c', '-U'],
    ['-D', '-U'],
    ['-D', '-b', '-b and -D'],
    ['-U', '-b'],
  ] as const) {
    if (isGiven(parsed, one) && isGiven(parsed, other)) {
      throw new PasswdError(`${one} and ${other} cannot be used together`, `Error: ${theirs} cannot be used together.`)
    }
  }
}

/** Reads the task. @throws ToolError */
function taskOf(parsed: ParsedCommand): Task {
  const { operands } = parsed
  const flags = new Set(['-b', '-c', '-D', '-U'].filter((name) => isGiven(parsed, name)))
  const kind = hashKinds.find((each) => each === valueIn(parsed, '-H')) ?? 'sha512-pbkdf2'
  const iterations = isGiven(parsed, '-I') ? iterationsOf(valueIn(parsed, '-I')) : undefined
  checkTogether(parsed)
  const wanted = wantedOf(parsed)
  if (operands.length !== wanted.length) {
    const given =
      operands.length < wanted.length ? `${wanted.slice(operands.length).join(' and ')} missing` : 'too many arguments'
    throw new ToolError(`${given}: give ${wanted.join(' ')}${SEE}`)
  }
  const [file = '', username = '', password] = operands
  if (!flags.has('-U')) checkName(username)
  if (password === '') throw new ToolError('the password is empty')
  const mode = flags.has('-U') ? 'upgrade' : flags.has('-D') ? 'delete' : 'set'
  return { mode, isNew: flags.has('-c'), kind, iterations, file, username, password }
}

const SEE = ', see recado passwd --help'

function iterationsOf(word: string | undefined): number {
  const iterations = /^\d{1,8}$/.test(word ?? '') ? Number(word) : 0
  if (iterations < 1 || iterations > 10_000_000)
    throw new ToolError(`-I needs a number from 1 to 10000000, not "${word ?? ''}"`)
  return iterations
}

function checkName(username: string): void {
  const invalid = invalidByteOf(username)
  if (invalid !== null) throw new ToolError(`the user name is not UTF-8 (${invalid})`)
  if (username.trim() === '') throw new ToolError('the user name is empty')
  if (username.trim() !== username) throw new ToolError('the user name begins or ends with a blank')
  if (username.startsWith('#')) throw new ToolError('the user name begins with #, which makes a line a comment')
  if (username.includes(':')) {
    throw new PasswdError('the user name has a : in it', "Error: Username must not contain the ':' character.")
  }
  if (/[\x00-\x1f\x7f-\x9f]/.test(username)) {
    const theirs = 'Error: Username must not contain control characters.'
    throw new PasswdError('the user name has a control character in it', theirs)
  }
  if (Buffer.byteLength(username) > NAME_BYTES_MAX)
    throw new ToolError(`the user name is longer than ${NAME_BYTES_MAX} bytes`)
}

/** Returns the path of the file itself, where the name is a link. @throws ToolError */
function targetOf({ file, isNew }: Task): string {
  try {
    return realpathSync(file)
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing && isNew) {
      checkFolder(file)
      return file
    }
    if (isMissing) {
      const theirs = `Error: Unable to open password file ${file}. No such file or directory.`
      throw new PasswdError(`there is no ${file}: -c makes it`, theirs)
    }
    throw error
  }
}

/** @throws PasswdError where a new file has no folder to be in */
function checkFolder(file: string): void {
  if (statOf(dirname(file)) !== null) return
  const theirs = `Error: Unable to open file ${file} for writing. No such file or directory.`
  throw new PasswdError(`ENOENT: there is no folder ${dirname(file)}`, theirs)
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))

interface Changed {
  readonly text: string
  /** Text for the user. */
  readonly said: string
}

/** Asks for the password and makes its hash, which takes time; the change itself takes none, but for `-U`. */
async function changeFor(
  task: Task,
  io: Io,
  mosquitto: MosquittoVersion | null,
): Promise<(lines: string[]) => Changed | Promise<Changed>> {
  const { mode, username, kind, iterations, file } = task
  const hashOf = (password: string): Promise<string> => passwordHash(kind, bytesOf(password), iterations)
  if (mode === 'upgrade') return (lines) => upgraded(lines, hashOf)
  const isMeant = (line: string): boolean => userOf(line) === username
  if (mode === 'delete') {
    return (lines) => {
      const left = lines.filter((line) => !isMeant(line))
      if (left.length === lines.length) {
        const theirs = `Warning: User ${username} not found in password file.`
        throw new PasswdError(`there is no user "${username}" in ${file}`, theirs)
      }
      return { text: joined(left), said: `Deleted user ${username}` }
    }
  }
  const password =
    task.password ?? (await readSecret(io, 'Password: ', 'Reenter password: ', mosquitto === null ? null : io.stdout))
  const line = `${username}:${await hashOf(password)}`
  return (lines) => {
    const at = lines.findIndex(isMeant)
    if (at === -1) return { text: joined([...lines, line]), said: `Adding password for user ${username}` }
    // When a name stands several times the last line would hold.
    const rest = lines.filter((each, index) => index === at || !isMeant(each))
    rest[at] = line
    return { text: joined(rest), said: `Updating password for user ${username}` }
  }
}

/**
 * Returns the text of the whole file. Beside hashes for SCRAM it needs a secret, by which unknown users look like known
 * ones.
 */
function joined(lines: readonly string[]): string {
  const isNeeded =
    lines.some((line) => userOf(line) !== null && line.includes(':$scram-sha-256$')) &&
    !lines.some((line) => line.startsWith(SCRAM_SECRET))
  const all = isNeeded ? [...lines, `${SCRAM_SECRET}${randomBytes(32).toString('base64')}`] : lines
  return all.map((line) => `${line}\n`).join('')
}

async function upgraded(lines: readonly string[], hashOf: (password: string) => Promise<string>): Promise<Changed> {
  let count = 0
  const result: string[] = []
  for (const [index, line] of lines.entries()) {
    const username = userOf(line)
    if (username === null) {
      if (line.trim() !== '' && !line.startsWith('#')) throw new ToolError(`line ${index + 1} is not NAME:PASSWORD`)
      result.push(line)
      continue
    }
    const password = line.slice(line.indexOf(':') + 1).trim()
    if (password === '') throw new ToolError(`line ${index + 1}: user "${username}" has no password`)
    const isHashed = /^\$(?:6|7|argon2id|scram-sha-256)\$/.test(password)
    if (!isHashed) count++
    result.push(isHashed ? line : `${username}:${await hashOf(password)}`)
  }
  return { text: joined(result), said: `${count} passwords hashed, ${result.length - count} lines left as they were` }
}

/** Writes a new file, syncs it, and renames it to its place. */
function replace(path: string, text: string): void {
  const before = statOf(path)
  const temporary = join(dirname(path), `.recado-passwd-${randomBytes(8).toString('hex')}`)
  try {
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(fd, bytesOf(text))
      if (before !== null) {
        fchmodSync(fd, before.mode & 0o777)
        // The broker, which may run as another user, is to read it after a SIGHUP.
        if (before.uid !== process.getuid?.() || before.gid !== process.getgid?.())
          chownSync(temporary, before.uid, before.gid)
      }
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function statOf(path: string): { mode: number; uid: number; gid: number } | null {
  try {
    return statSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
