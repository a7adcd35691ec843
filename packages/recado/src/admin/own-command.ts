/**
 * Work of the HTTP API that a command of this program does already, in a process of its own: the broker goes on meanwhile.
 *
 * `admin-host.ts` calls it. Invariants: a secret goes by standard input, never on a command line; the process ends with
 * its request.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BackupState, PasswordOutcome } from '@recado/admin'
import type { HashKind } from '@recado/broker'
import { ToolError } from '../command-table.ts'
import { userOf } from '../password-line.ts'
import { programFolder } from '../version.ts'

const program = join(programFolder, 'bin', 'recado.js')
/** Characters of the command's complaint that are passed on. */
const COMPLAINT_MAX = 1_000

/** Runs a command of this program. @throws ToolError with its complaint */
async function run(argv: readonly string[], input: string, signal: AbortSignal | null): Promise<void> {
  const child = spawn(process.execPath, [program, ...argv], {
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(signal === null ? {} : { signal }),
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < COMPLAINT_MAX) complaint += text
  })
  // One that ends before it has read its input says why on stderr.
  child.stdin.on('error', () => undefined).end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code === 0) return
  const said = complaint
    .slice(0, COMPLAINT_MAX)
    .trim()
    .replace(/^recado \w+: /, '')
  throw new ToolError(said === '' ? `recado ${argv[0]} has failed` : said)
}

/**
 * Copies the data file beside it, and hands out the copy, which is gone when it has been read. @throws ToolError, and
 * errors of the file system
 */
export async function backupOf(dataFile: string, signal: AbortSignal): Promise<BackupState> {
  const folder = dirname(dataFile)
  const copy = join(folder, `backup-${randomBytes(8).toString('hex')}.mdb`)
  try {
    await run(['backup', copy, '--data', folder], '', signal)
    const file = await open(copy, 'r')
    const { size } = await file.stat()
    return { bytes: size, stream: file.createReadStream() }
  } finally {
    // The open file stays readable without its name, and is gone when the process ends, however it does.
    await rm(copy, { force: true })
    await rm(`${copy}.part`, { force: true, recursive: true })
  }
}

/** Kinds of hashes by the beginning of the line of a user. */
const kinds: readonly (readonly [string, HashKind])[] = [
  ['$argon2id$', 'argon2id'],
  ['$scram-sha-256$', 'scram-sha-256'],
]

/**
 * Sets the password of a user in a password file, with the kind of hash that the user has; old kinds become the default
 * one. @throws ToolError, and errors of the file system
 */
export async function setPasswordIn(path: string, username: string, password: string): Promise<PasswordOutcome> {
  if (/[\r\n\0]/.test(password)) throw new ToolError('a password may not have line feeds and U+0000')
  const line = (await readFile(path, 'utf8')).split('\n').findLast((each) => userOf(each) === username)
  if (line === undefined) return 'no-user'
  const hash = line.slice(line.indexOf(':') + 1)
  const kind = kinds.find(([beginning]) => hash.startsWith(beginning))?.[1] ?? 'sha512-pbkdf2'
  await run(['passwd', '-H', kind, '--', path, username], `${password}\n`, null)
  return 'done'
}
