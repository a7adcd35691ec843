/**
 * `recado config`: the effect of a configuration (`explain`), and its risks and settings without effect (`lint`).
 * Nothing is started.
 *
 * Called by `main.ts`. Invariants: the values shown are those that the broker would start with, because it is the same
 * code; no secret is printed.
 */
import {
  type Command,
  helpRow,
  helpText,
  isGiven,
  type ParsedCommand,
  parseCommand,
  ToolError,
} from '../command-table.ts'
import { type Config, loadConfig } from '../config/config.ts'
import { type EffectiveSection, type EffectiveSetting, effectiveSections, type Place } from '../config/effective.ts'
import { ConfigError } from '../config/parse.ts'
import { didYouMean } from '../config/suggest.ts'
import type { Io } from '../io.ts'
import { type Finding, lint } from '../lint/lint.ts'
import { type Lint, lintTable } from '../lint/table.ts'

const lintNames: readonly string[] = lintTable.map(({ name }) => name)

export const command: Command = {
  name: 'config',
  summary: 'what a configuration comes to, and what in it is risky; nothing is started',
  usage: ['explain [FILE] [--given] [--json]', 'lint [FILE]... [--strict] [--ignore NAME]... [--json]'],
  introduction: `explain  every setting that holds, with its file and line or that it is a default: of the broker, of each listener, of each bridge
lint     what is risky or has no effect, each with a name that docs/lints.md explains`,
  operands: [
    { name: 'explain or lint', completes: ['explain', 'lint'] },
    {
      name: 'FILE',
      help: 'in the form of mosquitto.conf, as for recado -c; without it the default configuration. lint: more files are those of other brokers, for bridges that go round',
      isOptional: true,
      repeats: true,
      completes: 'file',
    },
  ],
  groups: [
    {
      options: [
        { names: ['--given'], help: 'explain: only what stands in the file' },
        {
          names: ['--ignore'],
          value: 'NAME',
          help: 'lint: nothing about findings of this name',
          completes: lintNames,
          repeats: true,
        },
        { names: ['--strict'], help: 'lint: a note counts as much as a warning' },
        { names: ['--json'], help: 'one JSON object' },
        helpRow,
      ],
    },
  ],
  notes: `Exit code: 0; of lint 1 when there is a warning (with --strict: anything); 2 for a command line that cannot be understood;
3 for a configuration that cannot be read.`,
}

/** Exit code for a wrong configuration, that of Mosquitto. */
const CONFIGURATION = 3
const USAGE = 2

/** Faults of bridges, a line each: the broker would start without these bridges. */
class FaultyBridges extends Error {}

export async function runConfig(argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parseCommand(command, argv)
    if (parsed.isHelp) {
      io.stdout.write(helpText(command))
      return 0
    }
    const action = actionOf(parsed)
    const load = (configFile: string | null): Config => {
      const config = loadConfig({ configFile, dataFolder: null, ports: [], verbose: false, quiet: false })
      if (config.bridgeFaults.length > 0)
        throw new FaultyBridges(config.bridgeFaults.map(({ message }) => message).join('\n'))
      return config
    }
    const [, file = null, ...others] = parsed.operands
    if (action === 'lint') return runLint(load(file), others.map(load), parsed, io)
    if (others.length > 0) throw new ToolError(`"${others[0]}" is one argument too many`)
    return explain(load(file), parsed, io)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof FaultyBridges) {
      io.stderr.write(`${error.message}\n`)
      return CONFIGURATION
    }
    if (!(error instanceof ToolError)) throw error
    io.stderr.write(`recado config: ${error.message}\n`)
    return USAGE
  }
}

const optionsOf = { explain: ['--given', '--json'], lint: ['--ignore', '--strict', '--json'] }

/** Reads the action. @throws ToolError for an option that belongs to the other one */
function actionOf({ operands: [action = ''], values }: ParsedCommand): 'explain' | 'lint' {
  if (action !== 'explain' && action !== 'lint') {
    throw new ToolError(
      `unknown command "${action}"${didYouMean(action, ['explain', 'lint']) || ', see recado config --help'}`,
    )
  }
  const stray = [...values.keys()].find((name) => !optionsOf[action].includes(name))
  if (stray !== undefined) throw new ToolError(`${stray} is not for ${action}`)
  return action
}

function explain(config: Config, parsed: ParsedCommand, io: Io): number {
  const isShown = ({ places }: EffectiveSetting): boolean => !isGiven(parsed, '--given') || places.length > 0
  const sections = effectiveSections(config).map((section) => ({
    ...section,
    settings: section.settings.filter(isShown),
  }))
  const { files } = config.source
  if (isGiven(parsed, '--json')) {
    io.stdout.write(
      `${JSON.stringify({ files, sections: sections.map(asJson), warnings: config.warnings }, null, 2)}\n`,
    )
    return 0
  }
  const heading = files.length === 0 ? 'The default configuration' : files.join(', ')
  io.stdout.write([heading, ...sections.map((section) => sectionText(section)), ''].join('\n'))
  for (const warning of config.warnings) io.stderr.write(`Warning: ${warning}\n`)
  return 0
}

const asJson = ({ kind, name, place, settings }: EffectiveSection): unknown => ({
  ...{ kind, name, place },
  settings: settings.map((setting) => ({
    name: setting.name,
    values: setting.values,
    isDefault: setting.places.length === 0,
    places: setting.places,
    ...(setting.note === '' ? {} : { note: setting.note }),
    ...(setting.isSecret ? { isHidden: true } : {}),
  })),
})

const placeText = ({ file, line }: Place): string => `${file}:${line}`

function sectionText({ kind, name, place, settings }: EffectiveSection): string {
  const title =
    kind === 'broker'
      ? 'Broker'
      : kind === 'plugins'
        ? 'Plugins'
        : `${kind === 'listener' ? 'Listener' : 'Bridge'} ${name}`
  const rows = settings.flatMap(rowsOf)
  const [nameWidth, valueWidth] = [0, 1].map((column) =>
    Math.min(40, Math.max(0, ...rows.map((row) => row[column]!.length))),
  )
  const lines = rows.map(
    ([first, value, from]) => `  ${first.padEnd(nameWidth!)}  ${value.padEnd(valueWidth!)}  ${from}`,
  )
  return ['', `${title}${place === null ? '' : ` (${placeText(place)})`}`, ...lines].join('\n')
}

/** Returns rows of a setting, one for each value, with the name in the first. */
function rowsOf({ name, values, places, note }: EffectiveSetting): [string, string, string][] {
  if (values.length === 0) return [[name, '-', note]]
  return values.map((value, index) => {
    const place = places[index]
    const from = place === undefined ? note : `${placeText(place)}${note === '' ? '' : `, ${note}`}`
    return [index === 0 ? name : '', value, from]
  })
}

const lints: ReadonlyMap<string, Lint> = new Map(lintTable.map((each) => [each.name, each]))

/** Findings of the first file, then those of each other one, which see all of them. */
function runLint(config: Config, others: readonly Config[], parsed: ParsedCommand, io: Io): number {
  const ignored = parsed.values.get('--ignore') ?? []
  const all = [config, ...others]
  const findings = all
    .flatMap((each) =>
      lint(
        each,
        Date.now(),
        all.filter((other) => other !== each),
      ),
    )
    .filter(({ name }) => !ignored.includes(name))
  const isGrave = ({ name }: Finding): boolean => isGiven(parsed, '--strict') || lints.get(name)!.level === 'warning'
  if (isGiven(parsed, '--json')) {
    const listed = findings.map((finding) => ({
      ...finding,
      level: lints.get(finding.name)!.level,
      page: pageOf(finding),
    }))
    io.stdout.write(
      `${JSON.stringify({ files: all.flatMap(({ source }) => source.files), findings: listed }, null, 2)}\n`,
    )
  } else {
    for (const finding of findings) io.stdout.write(`${findingText(finding)}\n`)
    io.stdout.write(
      `${findings.length === 0 ? 'Nothing was found' : `${findings.length} found`} in ${all.map(({ file }) => file ?? 'the default configuration').join(', ')}.\n`,
    )
  }
  return findings.some(isGrave) ? 1 : 0
}

const pageOf = ({ name }: Finding): string => `docs/lints.md#${name}`

function findingText(finding: Finding): string {
  const { file, line, name, text } = finding
  const place = file === null ? '' : line === 0 ? `${file}: ` : `${file}:${line}: `
  return `${place}${lints.get(name)!.level}: ${text} [${name}]`
}
