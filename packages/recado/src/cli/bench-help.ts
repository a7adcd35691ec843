/** `recado bench --help`. */

export const benchHelp: string = `recado bench: load an MQTT server, and say what it did.

Usage: recado bench {conn | pub | sub | pair} [options]

  recado bench conn -c 10000 -R 1000            open 10,000 connections and hold them
  recado bench pair -c 50 -q 1                  50 publishers to 50 subscribers, as fast as it goes
  recado bench pair -c 100 -I 20 -d 30          a fixed rate of 5,000 messages a second: look at the latency
  recado bench pair -c 1 --subs 500             one publisher, everybody listens
  recado bench pair -c 1000 --subs 5 -I 1000 --filter '$share/group/recado/bench/+'
  recado bench sub -t 'recado/bench/+' -c 10    on one machine, and on another:
  recado bench pub -t recado/bench/%i -c 1000 -I 1000

Where:
  -h, --host HOST           server (default: localhost); plain TCP
  -p, --port PORT           (default: 1883)
  -V, --mqtt-version V      3 (3.1), 4 (3.1.1) or 5 (default: 5)
  -u, --username NAME
  -P, --password TEXT
  -i, --client-id TEXT      with %i, the client's number (default: recado-bench-RANDOM-%i)
  -n, --startnumber N       first number (default: 0)
  -k, --keepalive SECONDS   (default: 60)
  -C, --clean true|false    Clean Start (default: true); false keeps sessions for good
      --ifaddr LIST         connect from these addresses in turn: one address has only so many ports

How much:
  -c, --count N             clients; in pair, publishers (default: 100, in pair 10)
      --subs N              pair: subscribers (default: as many as publishers)
  -R, --connrate N          connections opened per second (default: as fast as they are answered)
  -I, --interval MS         between two messages of one client (default: 1000; in pair 0). 0: as fast as it goes
  -s, --size BYTES          payload, at least 24; 16K, 1M (default: 256)
  -q, --qos QOS             of publishing and subscribing (default: 0)
  -r, --retain              publish with RETAIN
  -t, --topic TOPIC         with %i (number), %c (client id), %u (user name); in sub a filter
                            (default: recado/bench/%i, in sub recado/bench/+)
      --filter FILTER       pair: what to subscribe to, with %i (default: the topic; with fewer subscribers than
                            publishers + for %i). A Shared Subscription: $share/NAME/FILTER
  -F, --inflight N          unacknowledged messages of one publisher at QoS 1 and 2 (default: 32)
  -W, --window N            pair, as fast as it goes: messages on their way from one publisher (default: 64)
  -L, --limit N             end after so many messages
  -d, --duration SECONDS    measured time (default: pair 10 s, others until Ctrl-C)
      --warmup SECONDS      pair: before that (default: 0)

Output:
      --json                one JSON object on one line; latencies in microseconds
      --quiet               no progress
      --help, --version

Each payload says which message it is and when it was sent. With -I messages have a schedule, and latency counts from the
scheduled time when the sender was more than two milliseconds late, so that a server that holds it up does not look fast.
pub and sub compare wall clocks.

Exit code: 0; 1 if nothing could be done; 2 if connections failed or were lost, or messages were out of order, lost (at QoS 1
and 2) or duplicated (at QoS 2).
`
