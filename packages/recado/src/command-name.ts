/**
 * The name by which people call this program, for hints that they can copy: `recado` where a shell finds it (installed
 * globally, or by a distribution), `npx recado` in a checkout and in a project that has it among its own packages.
 */
import { realpathSync } from 'node:fs'
import { delimiter, join, sep } from 'node:path'

/** Folder that npm and npx put on the path of the programs they run; the shell of the reader does not have it. */
const OF_A_PROJECT = `${sep}node_modules${sep}.bin`

/** @param program the file that runs */
export function commandName(program: string | undefined, path: string | undefined): string {
  if (program === undefined || path === undefined) return 'npx recado'
  const running = realOf(program)
  const isFound = path
    .split(delimiter)
    .filter((folder) => folder !== '' && !folder.endsWith(OF_A_PROJECT))
    .some((folder) => running !== null && realOf(join(folder, 'recado')) === running)
  return isFound ? 'recado' : 'npx recado'
}

function realOf(file: string): string | null {
  try {
    return realpathSync(file)
  } catch {
    // Missing, or not readable.
    return null
  }
}
