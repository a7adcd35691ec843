/* docs/tools-compared.md, of the table that `mosquitto-commands.peer.test.ts` runs. */

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\u001b', '\\e')

const code = (text) => `\`${cell(text).replaceAll('`', "'")}\``

/** A word as a shell would need it. */
const quoted = (word) => (/^[\w./{}:+-]+$/.test(word) ? word : `'${word}'`)

const commandText = ({ tool, argv }) => code([tool, ...argv.map(quoted)].join(' '))

function outcome({ code: exitCode, out, err }) {
  const parts = [`exit code ${exitCode}`]
  if (out !== undefined) parts.push(out === '' ? 'an empty line' : code(out))
  if (err !== undefined) parts.push(`error ${code(err)}`)
  return parts.join('; ')
}

export function toolsComparedPage(groups) {
  const all = groups.flatMap(({ commands }) => commands)
  const different = all.filter(({ differs }) => differs !== undefined)
  const lines = [
    '# The tools and Mosquitto’s, side by side',
    '',
    '<!-- Written by `npm run docs`; edit packages/recado/src/testing/mosquitto-commands.ts instead. -->',
    '',
    `Of ${all.length} commands ${all.length - different.length} have the same output, byte for byte, and the same exit code as those of Debian’s Mosquitto`,
    '2.0.11, asked for with `--as-mosquitto 2.0`; `packages/recado/src/cli/mosquitto-commands.peer.test.ts` runs each with both. The others differ for a',
    'reason. What differs by nature is not compared: the moment, numbers of processes, salts. More in [tools.md](tools.md).',
    '',
    '| commands | how many | different |',
    '|---|---:|---:|',
    ...groups.map(({ title, commands }) => {
      return `| ${title} | ${commands.length} | ${commands.filter(({ differs }) => differs !== undefined).length} |`
    }),
    '',
    '`{server}` stands for `-h` and `-p`, `{folder}` for a folder. Of outputs the first line is shown.',
    '',
    '| command | Mosquitto 2.0.11 | ours | why |',
    '|---|---|---|---|',
    ...different.map((command) => {
      const { mosquitto, recado, why } = command.differs
      return `| ${commandText(command)} | ${outcome(mosquitto)} | ${outcome(recado)} | ${why} |`
    }),
    '',
  ]
  return lines.join('\n')
}
