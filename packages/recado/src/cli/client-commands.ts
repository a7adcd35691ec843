/**
 * The commands `recado pub`, `sub` and `rr` as tables: the text of `--help`, and the words that shells complete.
 *
 * Options are those of `mosquitto-options.ts`, which parses with the same rows.
 */
import type { Command, OptionGroup } from '../command-table.ts'
import { optionGroupsOf } from './mosquitto-options.ts'
import type { Tool } from './tool-options.ts'

const exitCodes =
  'Exit code: 0; 1 for wrong arguments and unreachable servers; when the server refuses the connection, the code that it gave.\n' +
  'More in docs/tools.md, with what differs from Mosquitto.'

/** Titles of groups that are more specific for one tool. */
const titles: Record<string, string> = { 'rr Message': 'Request', 'rr Subscription': 'Response' }

function groupsOf(tool: Tool): OptionGroup[] {
  return optionGroupsOf(tool).map(({ title, options }) => ({
    title: titles[`${tool} ${title}`] ?? title,
    options: options.map((row) => ({ ...row, help: row.helpOf?.[tool] ?? row.help })),
  }))
}

export const pubCommand: Command = {
  name: 'pub',
  summary: 'publish a message to an MQTT server.',
  usage: ['[-h HOST] [-p PORT] -t TOPIC {-m TEXT | -f FILE | -l | -s | -n} [options]'],
  introduction: `  {program} -t home/lamp -m on
  {program} -h broker.example -t log -q 1 -l < lines.txt`,
  groups: groupsOf('pub'),
  notes: exitCodes,
}

const formats = `Format: % sequences may have -, 0, a width and a precision, as in %-20.20t
  %t topic    %p payload  %x %X payload in hexadecimal  %l its length  %j JSON  %J JSON with the payload as JSON
  %f %d payload as a float of 4 or 8 bytes (%.3f)       %.2x a space after each 2 digits, %.2:x a colon
  %q QoS      %r retained %m Packet Identifier          %U Unix time   %I ISO-8601 time   %% a percent sign
  MQTT 5: %A topic alias  %C content type  %D correlation data  %E message expiry  %F payload format
          %P user properties  %R response topic  %S subscription identifier
  @X is %X of strftime(3), @N nanoseconds, @@ an at sign; \\\\ \\0 \\a \\e \\n \\r \\t \\v as in C`

export const subCommand: Command = {
  name: 'sub',
  summary: 'subscribe to topics of an MQTT server and print the messages.',
  usage: ['[-h HOST] [-p PORT] -t FILTER ... [options]'],
  introduction: `  {program} -t 'home/#' -v
  {program} -t status -C 1 -W 5 -F '%t %x'`,
  groups: groupsOf('sub'),
  notes: `${formats}\n\n${exitCodes}`,
}

export const rrCommand: Command = {
  name: 'rr',
  summary: 'publish a request and print the response.',
  usage: ['[-h HOST] [-p PORT] -t TOPIC -e RESPONSE_TOPIC {-m TEXT | -f FILE | -s | -n} [options]'],
  introduction: `  {program} -t lamp/state/get -e my/answers -n -W 5
  {program} -t add -e my/answers -m '[1,2]' -D publish correlation-data 42 -F '%D %p'

MQTT 5 (the default here) tells the responder where to answer; before it, the responder has to know.`,
  groups: groupsOf('rr'),
  notes: exitCodes,
}
