/*
 * docs/configuration.md from the schema of the options (packages/recado/src/config/options). Pure: docs.mjs writes the
 * page, a test in tools/tidy compares it with the existing one.
 */

const typeNames = {
  boolean: 'true or false',
  integer: 'number',
  text: 'text',
  words: 'words',
  duration: 'duration',
  listener: 'PORT [ADDRESS or PATH]',
  destination: 'destination',
}
const scopeNames = {
  listener: 'per listener',
  security: 'broker, or per listener',
  bridge: 'per bridge',
  plugin: 'per plugin',
}

function shownValue(option) {
  if (option.type === 'choice') return option.choices.map((choice) => `\`${choice}\``).join(', ')
  if (option.type !== 'integer') return typeNames[option.type]
  const bounds = [option.min, option.max].map((bound) => (bound === undefined ? '' : bound.toLocaleString('en-US')))
  const range = bounds.join('') === '' ? '' : bounds[1] === '' ? ` from ${bounds[0]}` : ` ${bounds[0]} to ${bounds[1]}`
  return `${option.unit && option.unit !== 'QoS' ? option.unit : 'number'}${range}`
}

function row(option) {
  const names = [option.name, ...(option.aliases ?? [])].map((name) => `\`${name}\``).join(', ')
  const notes = [
    option.doc,
    scopeNames[option.scope] && `*${scopeNames[option.scope][0].toUpperCase()}${scopeNames[option.scope].slice(1)}.*`,
    option.repeatable && '*May be repeated.*',
    option.since && `*Mosquitto ${option.since}.*`,
    option.instead && `**No effect:** ${option.instead}`,
    option.refused && `**Refused:** ${option.refused}.`,
  ].filter(Boolean)
  const cells = [names, shownValue(option), option.default === '' ? '' : `\`${option.default}\``, notes.join(' ')]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

const section = (title, options) =>
  `## ${title}\n\n| option | value | default | |\n|---|---|---|---|\n${options.map(row).join('\n')}\n`

/** Text of the page. `options` and `groups` are those of the schema. */
export function configurationPage(options, groups) {
  const supported = options.filter(({ instead, refused }) => instead === undefined && refused === undefined)
  const refused = options.filter((option) => option.refused !== undefined)
  return `<!-- Generated from packages/recado/src/config/options by "npm run docs". Do not edit. -->

# Configuration

\`recado -c FILE\` reads a \`mosquitto.conf\`. Every option of Mosquitto 2.0 and 2.1 is known: of ${options.length}, ${supported.length} are
supported. The others are accepted without effect, and a warning at the start names each with its file and line; ${refused.length} are
refused, with what to do instead, because to go on without them would open what they close. Anything else is an error: \`file:line: unknown option "foo", did you mean "bar"?\`.

- A line is NAME VALUE. A line that begins with \`#\` is a comment; after a value that is not free text, so is what
  follows a \`#\`.
- **Without a listener** the broker listens on 127.0.0.1 and [::1], port 1883, and lets everybody in. **With a listener**
  nobody gets in without logging in, unless \`allow_anonymous true\` says so.
- Options *per listener* belong to the \`listener\` line above them, or to the default listener (\`port\`) when there is none.
- An option that guards something (TLS, a password file, an ACL file) and has no effect yet does not leave it open: the
  listener is not opened, or clients are refused, as its row says.
- In Mosquitto 0 often means "no limit". It does here too, and these are then the limits: \`max_inflight_messages 0\` is
  65,535 (as many as there are Packet Identifiers); \`max_queued_messages 0\` leaves \`max_queued_bytes\` as the only limit,
  and the other way round; \`max_keepalive 0\` takes every Keep Alive.
- Of a number or true/false option that stands twice, the last holds, with a warning. A text that stands twice is an error, but for
  those of which Mosquitto 2.1 takes the last. What differs from Mosquitto is in [migrating-from-mosquitto.md](migrating-from-mosquitto.md).
- \`recado --test-config -c FILE\` checks a file without starting anything; \`recado config explain FILE\` says what holds, for each
  listener, and which line says so; \`recado config lint FILE\` says what is risky or has no effect ([lints.md](lints.md)).

${Object.entries(groups)
  .map(([group, title]) =>
    section(
      title,
      options.filter((option) => option.group === group),
    ),
  )
  .join('\n')}`
}
