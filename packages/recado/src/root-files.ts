/**
 * Files and folders that others must not be able to put something else in the place of.
 *
 * What is written while the process is still root is not written through a symbolic link that somebody else has put there.
 *
 * The pid file and the log call it, whose folders often belong to the user that the broker becomes: a link to /etc/passwd in its place would be
 * written through with root's rights. The invariant: as root a link in the last place of a path is followed only where nobody but root can have made
 * it or can change it, as /dev/stdout; and what is not a link is opened so that it cannot have become one meanwhile. For all
 * others nothing changes.
 */
import { chownSync, closeSync, constants, lchownSync, lstatSync, openSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'

const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000

/** The flag to open the file with beside others. @throws MqttError ERR_RECADO_LINK for a link that root does not follow */
export function noFollow(path: string, isRoot: boolean = process.geteuid?.() === 0): number {
  if (!isRoot) return 0
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return constants.O_NOFOLLOW
  if (isRootsLink(path)) return 0
  throw new MqttError(
    'ERR_RECADO_LINK',
    `${path} is a symbolic link that others than root may have made: root does not write through it. Name the file itself`,
  )
}

/** Writes a file anew. @throws MqttError ERR_RECADO_LINK, or what the system says */
export function writeSafely(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | noFollow(path), 0o644)
  try {
    writeSync(fd, text)
  } finally {
    closeSync(fd)
  }
}

/**
 * What is to be said about the folder in which everything is kept, when others than its owner may write there: they can put another file in the place
 * of any. One line, or none.
 */
export function folderWarnings(path: string): string[] {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0
  if ((mode & WRITABLE_BY_OTHERS) === 0) return []
  return [
    `the data folder ${path} has mode ${(mode & 0o7777).toString(8)}: others than its owner can write there, and replace what is kept. chmod 700 ${path}`,
  ]
}

/** Gives a file that root has opened to another user; never what somebody else's link leads to. */
export function giveTo(path: string, uid: number, gid: number): void {
  const isLink = lstatSync(path).isSymbolicLink()
  if (isLink && isRootsLink(path)) chownSync(path, uid, gid)
  else lchownSync(path, uid, gid)
}

function isRootsLink(path: string): boolean {
  const folder = statSync(dirname(path))
  const isFoldersSafe = folder.uid === 0 && ((folder.mode & WRITABLE_BY_OTHERS) === 0 || (folder.mode & STICKY) !== 0)
  return isFoldersSafe && lstatSync(path).uid === 0
}
