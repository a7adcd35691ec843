/*
 * docs/migrating-from-mosquitto.md: what is the same, what differs with the reason, how to go back. Its tables come from the schema of the options and
 * from the cases that tests play to Mosquitto; the sentences between them are here.
 */

const cell = (text) => text.replaceAll('|', '\\|')
const row = (cells) => `| ${cells.map(cell).join(' | ')} |`
const table = (heads, rows) => [row(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(row)].join('\n')
const code = (text) => `\`${text}\``

/** A file of a few lines as one. */
const shown = (text) =>
  code(
    text
      .split('\n')
      .map((line) =>
        line.replaceAll('\0', '(NUL)').replaceAll('\t', '(tab)').replaceAll('\ufeff', '(byte order mark)').trim(),
      )
      .map((line) => (line.length > 60 ? `${line.slice(0, 60)}…` : line))
      .join(' ⏎ '),
  )

const EXAMPLES_MAX = 3

function fileRows(cases) {
  return cases
    .filter(({ why }) => why !== '')
    .map(({ mosquitto20, mosquitto21, recado, why, texts }) => {
      const more = texts.length - EXAMPLES_MAX
      const examples = texts.slice(0, EXAMPLES_MAX).map(shown).join(', ')
      return [`${examples}${more > 0 ? `, … (${more} more)` : ''}`, mosquitto20, mosquitto21, recado, why]
    })
}

const names = ({ name, aliases = [] }) => [name, ...aliases].map(code).join(', ')

/**
 * `options`: the schema. `cases`: the small files. `setups`: whole configurations that were run on both, with what differs.
 */
export function migratingPage(options, cases, setups) {
  const idle = options.filter(({ instead }) => instead !== undefined)
  const refused = options.filter((option) => option.refused !== undefined)
  const defaults = options.filter(({ mosquitto }) => mosquitto !== undefined)
  const count = cases.reduce((sum, { texts }) => sum + texts.length, 0)
  const same = cases.filter(({ why }) => why === '').reduce((sum, { texts }) => sum + texts.length, 0)
  return `<!-- Generated from the schema of the options and the cases of tests by "npm run docs". Edit tools/lib/migrating-page.mjs. -->

# Migrating from Mosquitto

Stop \`mosquitto\`, and start \`recado -c\` with the same file. This page says what stays the same, what differs and why, and how to go back. Tests run
everything in its tables on Debian's Mosquitto 2.0.11, and on 2.1.2 where that is installed.

## In five steps

1. \`recado config explain /etc/mosquitto/mosquitto.conf\` lists every setting that takes effect, with its line.
2. \`recado --test-config -c /etc/mosquitto/mosquitto.conf\` says whether a start would succeed, and which options would have no effect.
3. \`recado config lint /etc/mosquitto/mosquitto.conf\` says what is risky ([lints.md](lints.md)).
4. \`systemctl stop mosquitto\`, makes Mosquitto write its last snapshot. The first start of Recado imports it: sessions, subscriptions, waiting and retained
   messages ([durability.md](durability.md#data-of-a-mosquitto)).
5. \`recado -c /etc/mosquitto/mosquitto.conf\`, as the same user. [running.md](running.md) has a unit for systemd.

Where the Debian package is installed ([installing.md](installing.md#in-the-place-of-mosquitto)), \`recado migrate-from-mosquitto\` does all of it:
it shows what will be copied and what differs, and with \`--yes\` puts the service in the place of Mosquitto's; \`--undo\` goes back.

## What is the same

- The configuration file, with every option of Mosquitto 2.0 and 2.1 ([configuration.md](configuration.md)), \`include_dir\` and its order.
- Arguments, exit codes, the meaning of the signals, the lines of the log ([running.md](running.md)); \`$SYS\` ([sys-topics.md](sys-topics.md)).
- Password files ($6$, $7$, $argon2id$), ACL files and files of pre-shared keys: read as they are, and read again on SIGHUP ([access.md](access.md)).
- Listeners, TLS, client certificates, pre-shared keys, WebSocket, unix sockets, the PROXY protocol ([tls-and-websockets.md](tls-and-websockets.md)).
- Without a listener only this machine can connect; with one, clients must log in unless it has \`allow_anonymous true\`.
- MQTT 5.0, 3.1.1 and 3.1. Mosquitto's clients and all others work as before.

## What differs on purpose

\`--as-mosquitto 2.0\` or \`2.1\` undoes most of these differences ([running.md](running.md#as-mosquitto)).

- **An acknowledged message is kept.** Persistence is on unless the file says \`persistence false\`. It is not a snapshot: a message is on the disk before
  its publisher is acknowledged ([durability.md](durability.md)).
- **Everything has a limit.** Queues, retained messages, memory and sessions have limits by default. A refusal is told to the client and counted.
- **A full queue refuses messages**, where Mosquitto drops them. \`queue_overflow drop-newest\` drops them as well.
- **Sessions have an owner** where logins are required: another user cannot take a Client Identifier. \`session_owner off\` allows it, as in Mosquitto.
- **SIGHUP applies the whole configuration or none of it**, listeners too, and disconnects clients that could not log in any more.
- **Mosquitto's plugins are not loaded**: they are C libraries. Dynamic security is built in, with the same JSON file and commands
  ([dynamic-security.md](dynamic-security.md)); 2.1's plugins for password and ACL files are options here. An unknown plugin ends the
  start, with a line that says what to use instead.
- **HTTP API**: 2.1 opens 127.0.0.1:9883 by itself where there is no listener; here a listener with \`protocol http_api\` does.

- **Bridges** lose nothing at a reconnect and send nothing again that has arrived; with MQTT 5.0 too, which keeps its session here. What else is
  different, option by option: [bridge.md](bridge.md#what-differs-from-mosquitto).

### Defaults

${table(
  ['option', 'Mosquitto', 'here', ''],
  defaults.map(({ name, mosquitto, default: own, doc }) => [
    code(name),
    mosquitto,
    own === '' ? 'none' : code(own),
    doc.includes('. ') ? doc.slice(0, doc.indexOf('. ') + 1) : doc,
  ]),
)}

### Options without effect

They are accepted; a warning names each with its line.

${table(
  ['option', 'why, or what to do instead'],
  idle.map((option) => [names(option), option.instead]),
)}

### Options that are refused

These options restrict access. Without them the broker would be more open than meant, so the start ends with the line and a remedy.

${table(
  ['option', 'instead'],
  refused.map((option) => [names(option), `${option.refused[0].toUpperCase()}${option.refused.slice(1)}.`]),
)}

### How the file is read

${count} small files were given to both versions of Mosquitto and to Recado. All three read ${same} of them in the same way. The others:

${table(['file', '2.0.11', '2.1.2', 'here', 'why'], fileRows(cases))}

Also: a number may have a + or leading zeros, which are decimal here as in 2.0 (2.1 reads \`010\` as 8); the line below a line with a NUL byte is read
(Mosquitto loses it).
${setupsSection(setups)}
## The way back

Nothing of Mosquitto's is changed: its \`mosquitto.db\` is left as it is, and so are the configuration, password and ACL files. To go back stop
\`recado\` and start \`mosquitto\`; it goes on from its last snapshot.

- What came after the change is in recado's own files (\`recado.mdb\` in the data folder), which Mosquitto does not read. \`recado export --format
  mosquitto.db FOLDER FILE\` writes it as a database that Mosquitto 2.0 and 2.1 start with ([durability.md](durability.md#data-of-a-mosquitto)).
- Options of our own are unknown to Mosquitto and have to be taken out: their rows in [configuration.md](configuration.md) begin with
  "Our own", and \`recado config explain --given\` shows which of them a file has.
- \`readdeny\` and \`writedeny\` in ACL files are our own.
- Passwords that \`recado passwd\` has written as $7$ are read by Mosquitto 2.0 and 2.1, those as $argon2id$ by 2.1; lines with $scram-sha-256$ are
  skipped by both.
`
}

function setupsSection(setups) {
  const same = setups.filter(({ differences = [] }) => differences.length === 0)
  const rows = setups.flatMap(({ name, differences = [] }) =>
    differences.map(({ what, mosquitto, recado, why, version }) => [
      name,
      what.replace(/: \*$/, ''),
      version === undefined ? 'both' : version,
      mosquitto,
      recado,
      why,
    ]),
  )
  return `
### Whole configurations

${setups.length} configurations of the kinds that are met were run on Mosquitto 2.0.11, on 2.1.2 and here
(\`packages/testkit/src/setups\`), and one prober, MQTT.js, asked each: which ports are open and speak MQTT, TLS, WebSocket; who gets in with
3.1, 3.1.1 and 5.0; who may publish and receive what; retained messages, QoS, large messages, what waits for who is away, \`$SYS\`.
${same.length} behave the same on all three:

${same.map(({ name }) => `- ${name}`).join('\n')}

The others:

${table(['configuration', 'what', 'Mosquitto', 'there', 'here', 'why'], rows)}
`
}
