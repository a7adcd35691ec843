/**
 * Protection of files and folders in which others could put something else in their place.
 *
 * Files that are written while the process is still root are not written through a symbolic link of another user.
 *
 * Used for the pid file and the log, whose folders often belong to the user that the broker becomes: a link to
 * /etc/passwd in their place would be written through with root's rights. Invariant: as root a link at the end of a
 * path is followed only where only root can have made it or can change it, as /dev/stdout; and a file that is no link
 * is opened so that it cannot have become one meanwhile. For other users nothing changes.
 */
import {
  accessSync,
  chownSync,
  closeSync,
  constants,
  lchownSync,
  lstatSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { MqttError } from '@recado/protocol'

const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000

/** Flag to open the file with, beside others. @throws MqttError ERR_RECADO_LINK for a link that root does not follow */
export function noFollow(path: string, isRoot: boolean = process.geteuid?.() === 0): number {
  if (!isRoot) return 0
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return constants.O_NOFOLLOW
  if (isRootsLink(path)) return 0
  throw new MqttError(
    'ERR_RECADO_LINK',
    `${path} is a symbolic link that others than root may have made: root does not write through it. Name the file itself`,
  )
}

/** Writes a file anew. @throws MqttError ERR_RECADO_LINK, or the error of the system */
export function writeSafely(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | noFollow(path), 0o644)
  try {
    writeSync(fd, text)
  } finally {
    closeSync(fd)
  }
}

/**
 * Warnings about the data folder, when others than its owner may write there: they can put another file in the place of
 * any. One line, or none.
 */
export function folderWarnings(path: string): string[] {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0
  if ((mode & WRITABLE_BY_OTHERS) === 0) return []
  return [
    `the data folder ${path} has mode ${(mode & 0o7777).toString(8)}: others than its owner can write there, and replace what is kept. chmod 700 ${path}`,
  ]
}

/**
 * Warnings about files of dynamic security that this process, which may have been root before, cannot replace: each
 * command that changes something would fail. `mayWrite` throws for a folder that is closed.
 */
export function securityWarnings(
  paths: readonly string[],
  mayWrite: (folder: string) => void = (folder) => accessSync(folder, constants.W_OK | constants.X_OK),
): string[] {
  const warnings: string[] = []
  for (const path of new Set(paths)) {
    const folder = dirname(path)
    try {
      mayWrite(folder)
    } catch {
      warnings.push(
        `the folder ${folder} cannot be written by the user that the broker runs as: commands of dynamic security are answered with an error, because ${path} is replaced by a new file. Give the folder to that user`,
      )
    }
  }
  return warnings
}

/** Gives a file that root has opened to another user; never the target of another user's link. */
export function giveTo(path: string, uid: number, gid: number): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  // A log file, say, that could not be opened because its folder is missing: a line has told so.
  if (found === undefined) return
  const isLink = found.isSymbolicLink()
  if (isLink && isRootsLink(path)) chownSync(path, uid, gid)
  else lchownSync(path, uid, gid)
}

function isRootsLink(path: string): boolean {
  const folder = statSync(dirname(path))
  const isFoldersSafe = folder.uid === 0 && ((folder.mode & WRITABLE_BY_OTHERS) === 0 || (folder.mode & STICKY) !== 0)
  return isFoldersSafe && lstatSync(path).uid === 0
}
