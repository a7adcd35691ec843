/** The command `recado bench` as a table: its options and the text of `--help`. */
import type { Command } from '../command-table.ts'

export const benchKinds = ['conn', 'pub', 'sub', 'pair'] as const

export const command: Command = {
  name: 'bench',
  summary: 'load an MQTT server, and say what it did.',
  usage: ['{conn | pub | sub | pair} [options]'],
  introduction: `  {program} conn -c 10000 -R 1000            open 10,000 connections and hold them
  {program} pair -c 50 -q 1                  50 publishers to 50 subscribers, as fast as it goes
  {program} pair -c 100 -I 20 -d 30          a fixed rate of 5,000 messages a second: look at the latency
  {program} pair -c 1 --subs 500             one publisher, everybody listens
  {program} pair -c 1000 --subs 5 -I 1000 --filter '$share/group/recado/bench/+'
  {program} sub -t 'recado/bench/+' -c 10    on one machine, and on another:
  {program} pub -t recado/bench/%i -c 1000 -I 1000`,
  operands: [{ name: 'KIND', completes: benchKinds }],
  groups: [
    {
      title: 'Where',
      options: [
        { names: ['-h', '--host'], value: 'HOST', help: 'server (default: localhost); plain TCP', completes: 'host' },
        { names: ['-p', '--port'], value: 'PORT', help: '(default: 1883)' },
        {
          names: ['-V', '--mqtt-version'],
          value: 'VERSION',
          help: '3 (3.1), 4 (3.1.1) or 5 (default: 5)',
          completes: ['3', '4', '5'],
        },
        { names: ['-u', '--username'], value: 'NAME', help: 'user name' },
        { names: ['-P', '--password'], value: 'TEXT', help: 'its password' },
        {
          names: ['-i', '--client-id'],
          value: 'TEXT',
          help: "with %i, the client's number (default: recado-bench-RANDOM-%i)",
        },
        { names: ['-n', '--startnumber'], value: 'N', help: 'first number (default: 0)' },
        { names: ['-k', '--keepalive'], value: 'SECONDS', help: '(default: 60)' },
        {
          names: ['-C', '--clean'],
          value: 'true|false',
          help: 'Clean Start (default: true); false keeps sessions for good',
          completes: ['true', 'false'],
        },
        {
          names: ['--ifaddr'],
          value: 'LIST',
          help: 'connect from these addresses in turn: one address has only so many ports',
        },
      ],
    },
    {
      title: 'How much',
      options: [
        {
          names: ['-c', '--count'],
          value: 'N',
          help: 'clients; in pair, publishers (default: 100, in pair 10)',
        },
        { names: ['--subs'], value: 'N', help: 'pair: subscribers (default: as many as publishers)' },
        {
          names: ['-R', '--connrate'],
          value: 'N',
          help: 'connections opened per second (default: as fast as they are answered)',
        },
        {
          names: ['-I', '--interval'],
          value: 'MS',
          help: 'between two messages of one client (default: 1000; in pair 0). 0: as fast as it goes',
        },
        { names: ['-s', '--size'], value: 'BYTES', help: 'payload, at least 24; 16K, 1M (default: 256)' },
        {
          names: ['-q', '--qos'],
          value: 'QOS',
          help: 'of publishing and subscribing (default: 0)',
          completes: ['0', '1', '2'],
        },
        { names: ['-r', '--retain'], help: 'publish with RETAIN' },
        {
          names: ['-t', '--topic'],
          value: 'TOPIC',
          help:
            'with %i (number), %c (client id), %u (user name); in sub a filter\n' +
            '(default: recado/bench/%i, in sub recado/bench/+)',
        },
        {
          names: ['--filter'],
          value: 'FILTER',
          help:
            'pair: what to subscribe to, with %i (default: the topic; with fewer subscribers than\n' +
            'publishers + for %i). A Shared Subscription: $share/NAME/FILTER',
        },
        {
          names: ['-F', '--inflight'],
          value: 'N',
          help: 'unacknowledged messages of one publisher at QoS 1 and 2 (default: 32)',
        },
        {
          names: ['-W', '--window'],
          value: 'N',
          help: 'pair, as fast as it goes: messages on their way from one publisher (default: 64)',
        },
        { names: ['-L', '--limit'], value: 'N', help: 'end after so many messages' },
        {
          names: ['-d', '--duration'],
          value: 'SECONDS',
          help: 'measured time (default: pair 10 s, others until Ctrl-C)',
        },
        { names: ['--warmup'], value: 'SECONDS', help: 'pair: before that (default: 0)' },
      ],
    },
    {
      title: 'Output',
      options: [
        { names: ['--json'], help: 'one JSON object on one line; latencies in microseconds' },
        { names: ['--quiet'], help: 'no progress' },
        { names: ['--help'], help: 'show this help' },
        { names: ['--version'], help: 'the version' },
      ],
    },
  ],
  notes: `Each payload says which message it is and when it was sent. With -I messages have a schedule, and latency counts from the
scheduled time when the sender was more than two milliseconds late, so that a server that holds it up does not look fast.
pub and sub compare wall clocks.

Exit code: 0; 1 if nothing could be done; 2 if connections failed or were lost, or messages were out of order, lost (at QoS 1
and 2) or duplicated (at QoS 2).`,
}
