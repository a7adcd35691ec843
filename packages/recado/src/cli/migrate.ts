/**
 * `recado migrate-from-mosquitto`: puts the service recado in the place of the service mosquitto, with its
 * configuration, passwords, rights and data; says before what will differ; goes back.
 *
 * Called by `main.ts`. Without --yes nothing is changed. The work is in `../migration`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { MqttError } from '@recado/protocol'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { carryOut, type Services, undo } from '../migration/carry-out.ts'
import { type Plan, planMigration } from '../migration/plan.ts'
import { lossesIn, summaryOf } from '../mosquitto-db/take-over.ts'
import { type Account, accountOf, isRoot } from '../privileges.ts'
import { jsonRow, runTool } from './store-folder.ts'

const defaults = {
  '--from': '/etc/mosquitto/mosquitto.conf',
  '--to': '/etc/recado',
  '--data': '/var/lib/recado',
  '--log': '/var/log/recado',
  '--backup': '/var/backups/recado',
} as const

export const command: Command = {
  name: 'migrate-from-mosquitto',
  summary: 'puts the service recado in the place of the service mosquitto, and back.',
  usage: ['[--yes] [--from FILE] [options]', '--undo [options]'],
  introduction: `Without --yes it says what would be copied and what would differ, and changes nothing. With it mosquitto is stopped,
its configuration with all files beside it is copied, its data is imported, and recado is started. When a step fails,
everything is taken back. --undo goes back to mosquitto, with the sessions and messages that recado has by then.`,
  groups: [
    {
      options: [
        { names: ['--yes'], help: 'do it; needs root' },
        { names: ['--undo'], help: 'go back to mosquitto; needs root' },
        {
          names: ['--from'],
          value: 'FILE',
          help: `Mosquitto's configuration (default: ${defaults['--from']})`,
          completes: 'file',
        },
        {
          names: ['--to'],
          value: 'FOLDER',
          help: `folder of recado's configuration (default: ${defaults['--to']})`,
          completes: 'folder',
        },
        {
          names: ['--data'],
          value: 'FOLDER',
          help: `folder of recado's data (default: ${defaults['--data']})`,
          completes: 'folder',
        },
        {
          names: ['--log'],
          value: 'FOLDER',
          help: `folder of recado's log (default: ${defaults['--log']})`,
          completes: 'folder',
        },
        {
          names: ['--backup'],
          value: 'FOLDER',
          help: `what was in these folders, for the way back (default: ${defaults['--backup']})`,
          completes: 'folder',
        },
        { names: ['--no-services'], help: 'leave services alone: neither broker may run' },
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: 'Exit code: 0; 1 when something is in the way, or went wrong.',
}

export function runMigrate(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const value = (name: keyof typeof defaults): string => resolve(valueIn(parsed, name) ?? defaults[name])
    const isDone = isGiven(parsed, '--yes') || isGiven(parsed, '--undo')
    const services = isGiven(parsed, '--no-services') ? noServices : systemd
    if (isDone && services === systemd && !isRoot()) throw new ToolError('only root can do this: sudo recado ...')
    const tell = (line: string): void => {
      io.stderr.write(`${line}\n`)
    }
    if (isGiven(parsed, '--undo')) {
      await undo(value('--backup'), isRoot() ? accountNamed('mosquitto') : null, services, tell)
      return 0
    }
    const plan = planMigration({
      from: value('--from'),
      to: value('--to'),
      data: value('--data'),
      log: value('--log'),
      account: accountNamed('recado'),
    })
    show(plan, parsed, io)
    if (plan.obstacles.length > 0) return 1
    if (!isGiven(parsed, '--yes')) {
      if (!isGiven(parsed, '--json')) io.stdout.write('\nNothing was changed. With --yes it is done.\n')
      return 0
    }
    const own = isRoot() ? plan : { ...plan, options: { ...plan.options, account: null } }
    await carryOut(own, value('--backup'), services, tell)
    return 0
  })
}

/** Returns the account of a service; null when this machine has none of that name. */
function accountNamed(name: string): Account | null {
  try {
    return accountOf(name)
  } catch (error) {
    if (error instanceof MqttError) return null
    throw error
  }
}

function show({ files, database, changes, differences, obstacles }: Plan, parsed: ParsedCommand, io: Io): void {
  const losses = database === null ? [] : lossesIn(database)
  if (isGiven(parsed, '--json')) {
    const copies = files.map(({ from, to }) => ({ from, to }))
    const data = database === null ? null : { path: database.path, ...database.totals, losses }
    io.stdout.write(`${JSON.stringify({ files: copies, data, changes, differences, obstacles }, null, 2)}\n`)
    return
  }
  const section = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `\n${title}\n${lines.map((line) => `  ${line}\n`).join('')}`
  const data =
    database === null ? ['Mosquitto has kept none.'] : [`${database.path}: ${summaryOf(database)}`, ...losses]
  io.stdout.write(
    [
      section(
        'Files that are copied',
        files.map(({ from, to }) => `${from} -> ${to}`),
      ),
      section('Changes in the configuration', changes),
      section('Data', data),
      section('What differs from Mosquitto (docs/migrating-from-mosquitto.md)', differences),
      section('IN THE WAY', obstacles),
    ].join(''),
  )
}

const noServices: Services = { isUsed: false, disable() {}, enable() {} }

/** Services of systemd. */
const systemd: Services = {
  isUsed: true,
  disable(name) {
    systemctl(name, ['disable', '--now', name], true)
  },
  enable(name) {
    systemctl(name, ['enable', name], false)
    systemctl(name, ['restart', name], false)
  },
}

function systemctl(name: string, args: readonly string[], mayBeMissing: boolean): void {
  if (!existsSync('/run/systemd/system')) {
    throw new ToolError('systemd does not run here: stop both brokers yourself, and add --no-services')
  }
  const { status, stderr, error } = spawnSync('systemctl', ['--quiet', ...args], { encoding: 'utf8' })
  if (error !== undefined) throw new ToolError(`systemctl: ${error.message}`)
  const isMissing = mayBeMissing && /does not exist|not loaded|not found/i.test(stderr)
  if (status !== 0 && !isMissing)
    throw new ToolError(`systemctl ${args.join(' ')}: ${stderr.trim()} (journalctl -u ${name})`)
}
