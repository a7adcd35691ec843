/*
 * All manual pages, from the tables that `--help` and the parser of the configuration use: recado(1), a page for each
 * command, and recado.conf(5).
 *
 * Pure but for reading docs/running.md, whose tables of signals, exit codes and environment are the page's.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brokerCommand } from '../../packages/recado/dist/arguments.js'
import { commandTable } from '../../packages/recado/dist/commands.js'
import { groups, optionTable } from '../../packages/recado/dist/config/schema.js'
import { root } from '../../tools/lib/workspace.mjs'
import { escapeRoff, inline, manualPage, verbatim } from './roff.mjs'

const bold = (text) => `\\fB${escapeRoff(text)}\\fR`
const italic = (text) => `\\fI${escapeRoff(text)}\\fR`

function optionEntry({ names, value, help }) {
  const tag = names.map(bold).join(', ') + (value === undefined ? '' : ` ${italic(value)}`)
  return `.TP\n${tag}\n${escapeRoff(help.replaceAll('\n', ' '))}`
}

function options(command) {
  const operands = (command.operands ?? [])
    .filter(({ help }) => help !== undefined)
    .map(({ name, help }) => `.TP\n${italic(name)}\n${escapeRoff(help.replaceAll('\n', ' '))}`)
  const parts = command.groups.map(({ title, options: rows, note }, index) => {
    const shown = rows.filter(({ isHidden }) => isHidden !== true).map(optionEntry)
    const lines = [...(index === 0 ? operands : []), ...shown]
    if (title !== undefined) lines.unshift(`.SS ${escapeRoff(title)}`)
    if (note !== undefined) lines.push('.PP', verbatim(note))
    return lines.join('\n')
  })
  return parts.join('\n')
}

const synopsis = (program, usage) => usage.map((line) => verbatim(`${program} ${line}`.trimEnd())).join('\n')
const fill = (text, program) => (text === undefined ? null : verbatim(text.replaceAll('{program}', program)))

function commandPage(entry, command, others, context) {
  const name = `recado-${entry.name}`
  const program = `recado ${command.name}`
  return manualPage({
    ...context,
    name,
    section: 1,
    manual: 'Recado',
    sections: [
      ['NAME', `${escapeRoff(name)} \\- ${escapeRoff(entry.does.replace(/\.$/, ''))}`],
      ['SYNOPSIS', synopsis(program, command.usage)],
      ['DESCRIPTION', escapeRoff(`${command.summary[0].toUpperCase()}${command.summary.slice(1)}`)],
      ['EXAMPLES', fill(command.introduction, program)],
      ['OPTIONS', options(command)],
      ['NOTES', fill(command.notes, program)],
      ['SEE ALSO', seeAlso(others)],
    ],
  })
}

const seeAlso = (names) =>
  names.map((name) => `${bold(name.replace(/\(.*/, ''))}(${/\((.)\)/.exec(name)[1]})`).join(', ')

/** Rows of the table below a heading of docs/running.md, as [first cell, rest]. */
function tableOf(page, heading) {
  const [, body] = page.split(`\n## ${heading}\n`)
  if (body === undefined) throw new Error(`docs/running.md has no section "${heading}"`)
  const rows = body
    .split(/\n## /)[0]
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[-:|]+\|$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
  return rows
    .slice(1)
    .map(([term, ...rest]) => `.TP\n${inline(term)}\n${inline(rest.join(' '))}`)
    .join('\n')
}

function brokerPage(context) {
  const running = readFileSync(join(root, 'docs', 'running.md'), 'utf8')
  const commands = commandTable.map(
    ({ name, sample, does }) => `.TP\n${bold(`recado ${name}`)} ${italic(sample)}\n${inline(does)}`,
  )
  return manualPage({
    ...context,
    name: 'recado',
    section: 1,
    manual: 'Recado',
    sections: [
      ['NAME', 'recado \\- MQTT 5.0, 3.1.1 and 3.1 broker and tools'],
      ['SYNOPSIS', synopsis('recado', brokerCommand.usage) + `\n.PP\n${verbatim('recado COMMAND ...')}`],
      [
        'DESCRIPTION',
        escapeRoff(
          'Without a command it runs the broker. It takes the arguments and the configuration file of Mosquitto.',
        ),
      ],
      ['OPTIONS', options(brokerCommand)],
      ['COMMANDS', commands.join('\n')],
      ['SIGNALS', tableOf(running, 'Signals')],
      ['EXIT STATUS', tableOf(running, 'Exit codes')],
      ['ENVIRONMENT', tableOf(running, 'Environment')],
      [
        'FILES',
        [
          ['/etc/recado/recado.conf', 'configuration of the service; see recado.conf(5)'],
          ['/etc/recado/conf.d/*.conf', 'further configuration, read in the order of the names'],
          ['/var/lib/recado', 'sessions, subscriptions, waiting and retained messages'],
          ['/var/log/recado/recado.log', 'the log'],
        ]
          .map(([path, what]) => `.TP\n${italic(path)}\n${escapeRoff(what)}`)
          .join('\n'),
      ],
      ['NOTES', verbatim(brokerCommand.notes.split('\n\n')[1])],
      ['SEE ALSO', seeAlso(['recado.conf(5)', ...commandTable.map(({ name }) => `recado-${name}(1)`)])],
    ],
  })
}

function shownValue(option) {
  if (option.type === 'choice') return option.choices.join(' | ')
  if (option.type === 'boolean') return 'true | false'
  if (option.type === 'listener') return 'PORT [ADDRESS | PATH]'
  const bounds = [option.min, option.max].filter((bound) => bound !== undefined).join(' to ')
  return `${(option.unit ?? option.type).toUpperCase()}${bounds === '' ? '' : ` (${bounds})`}`
}

function configurationEntry(option) {
  const notes = [
    option.doc,
    option.default === '' ? '' : `Default: ${option.default}.`,
    option.scope === 'listener' ? 'Belongs to the listener above it.' : '',
    option.repeatable === true ? 'May be repeated.' : '',
    option.since === undefined ? '' : `An option of Mosquitto ${option.since}.`,
    option.instead === undefined ? '' : `No effect: ${option.instead}`,
    option.refused === undefined ? '' : `Refused: ${option.refused}.`,
  ].filter((text) => text !== '')
  const names = [option.name, ...(option.aliases ?? [])].map(bold).join(', ')
  return `.TP\n${names} ${italic(shownValue(option))}\n${inline(notes.join(' '))}`
}

function configurationPage(context) {
  const sections = Object.entries(groups).map(([group, title]) => {
    const entries = optionTable.filter((option) => option.group === group).map(configurationEntry)
    return `.SS ${escapeRoff(title)}\n${entries.join('\n')}`
  })
  const description = [
    'A line is a name and a value. A line that begins with `#` is a comment. The form is that of mosquitto.conf(5), whose options are all known.',
    'Without a listener only this machine can connect, and everybody on it. With a listener nobody gets in without logging in, unless `allow_anonymous true` says so.',
    '`recado config explain` shows what a file comes to, `recado config lint` what in it is risky, and `recado --test-config -c FILE` whether the broker would start with it.',
  ]
  return manualPage({
    ...context,
    name: 'recado.conf',
    section: 5,
    manual: 'Recado',
    sections: [
      ['NAME', 'recado.conf \\- configuration of the MQTT broker recado'],
      ['DESCRIPTION', description.map(inline).join('\n.PP\n')],
      ['OPTIONS', sections.join('\n')],
      ['FILES', `.TP\n${italic('/etc/recado/recado.conf')}\nread by the service`],
      ['SEE ALSO', seeAlso(['recado(1)', 'recado-config(1)'])],
    ],
  })
}

/** Texts of all pages by file name, such as `recado-pub.1`. `date` is `YYYY-MM-DD`. */
export async function manualPages(version, date) {
  const context = { version, date }
  const pages = new Map([
    ['recado.1', brokerPage(context)],
    ['recado.conf.5', configurationPage(context)],
  ])
  for (const entry of commandTable) {
    const { command } = await entry.load()
    pages.set(`recado-${entry.name}.1`, commandPage(entry, command, ['recado(1)', 'recado.conf(5)'], context))
  }
  return pages
}
