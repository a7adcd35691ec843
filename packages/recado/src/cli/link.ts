/**
 * `recado link`: makes links to this program under the names of Mosquitto's programs in a folder.
 *
 * Called by `main.ts`. A program that is called by such a name behaves like that one (`commands.ts`). Invariant: a file
 * that is not ours is neither overwritten nor deleted, except with --force.
 */
import {
  chmodSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { mosquittoPrograms } from '../commands.ts'
import type { Io } from '../io.ts'
import { programFolder } from '../version.ts'
import { mosquittoVersions } from './manner.ts'
import { runTool } from './store-folder.ts'

export const command: Command = {
  name: 'link',
  summary: "puts this program under the names of Mosquitto's programs into a folder.",
  usage: ['FOLDER [--as-mosquitto VERSION] [--force]', '--remove FOLDER'],
  operands: [
    { name: 'FOLDER', help: 'where; it should stand in PATH before the folder of a Mosquitto', completes: 'folder' },
  ],
  groups: [
    {
      options: [
        {
          names: ['--as-mosquitto'],
          value: 'VERSION',
          help: 'words and exit codes of 2.0 or 2.1 (default: 2.1)',
          completes: mosquittoVersions,
        },
        {
          names: ['--only'],
          value: 'NAME',
          help: 'this name; may be repeated (default: all)',
          repeats: true,
          completes: mosquittoPrograms.map(({ mosquitto }) => mosquitto),
        },
        { names: ['--force'], help: 'also where there is another file of that name' },
        { names: ['--remove'], help: 'takes them away again' },
        { names: ['--json'], help: 'prints what was done as JSON' },
        helpRow,
      ],
    },
  ],
  notes: `The names are ${mosquittoPrograms.map(({ mosquitto }) => mosquitto).join(', ')}. Called by such a name the
program takes the arguments of that one, and has its words and exit codes.
Exit code: 0 when all names are there (or gone), else 1.`,
}

/** Path of the program that a link leads to. */
const ownProgram = (): string => realpathSync(join(programFolder, 'bin', 'recado.js'))

const MARK = '# Made by recado link.'

export function runLink(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const folder = resolve(parsed.operands[0]!)
    if (!isFolder(folder)) throw new ToolError(`there is no folder ${folder}: make it first`)
    const names = parsed.values.get('--only')
    const programs = mosquittoPrograms.filter(({ mosquitto }) => names === undefined || names.includes(mosquitto))
    const isRemoval = isGiven(parsed, '--remove')
    const paths = programs.map(({ mosquitto }) => join(folder, mosquitto))
    const foreign = paths.filter((path) => isThere(path) && !isOurs(path))
    if (foreign.length > 0 && !isRemoval && !isGiven(parsed, '--force')) {
      throw new ToolError(
        `${foreign.join(' and ')} ${foreign.length === 1 ? 'is' : 'are'} not ours: --force writes over`,
      )
    }
    const done: string[] = []
    for (const [index, { name }] of programs.entries()) {
      const path = paths[index]!
      if (isRemoval && (!isThere(path) || !isOurs(path))) continue
      rmSync(path, { force: true })
      if (!isRemoval) make(path, name, parsed)
      done.push(path)
    }
    if (isGiven(parsed, '--json')) io.stdout.write(`${JSON.stringify({ [isRemoval ? 'removed' : 'linked']: done })}\n`)
    else for (const path of done) io.stdout.write(`${isRemoval ? 'removed ' : ''}${path}\n`)
    return 0
  })
}

function make(path: string, name: string, parsed: ParsedCommand): void {
  const version = valueIn(parsed, '--as-mosquitto')
  // The broker has no other manner, and the name alone means 2.1.
  if (version === undefined || version === '2.1' || name === '') {
    symlinkSync(ownProgram(), path)
    return
  }
  const quoted = `'${ownProgram().replaceAll("'", String.raw`'\''`)}'`
  writeFileSync(path, `#!/bin/sh\n${MARK}\nexec ${quoted} ${name} --as-mosquitto ${version} "$@"\n`)
  chmodSync(path, 0o755)
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Missing, or not visible: it cannot be used.
    return false
  }
}

/** Whether the path exists, also as a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

function isOurs(path: string): boolean {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return /(?:^|\/)recado(?:\.js)?$/.test(readlinkSync(path))
  return stat.isFile() && stat.size < 10_000 && readFileSync(path, 'latin1').includes(MARK)
}
