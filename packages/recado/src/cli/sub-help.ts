/** `recado sub --help`. */
import { connectionHelp, otherHelp } from './help-sections.ts'

export const subHelp: string = `recado sub: subscribe to topics of an MQTT server and print the messages.

Usage: recado sub [-h HOST] [-p PORT] -t FILTER ... [options]

  recado sub -t 'home/#' -v
  recado sub -t status -C 1 -W 5 -F '%t %x'

Subscription:
  -t, --topic FILTER          Topic Filter to subscribe to, with + and #; may be repeated
  -q, --qos QOS               highest QoS to receive (default: 0)
  -T, --filter-out FILTER     do not print messages whose topic matches; may be repeated
  -U, --unsubscribe FILTER    unsubscribe in a kept session; may be repeated
      --retain-as-published   keep the retained flag as the publisher set it (MQTT 5)
      --retain-handling WHEN  retained messages: always, new (subscriptions only) or never (MQTT 5)
  -R                          do not print retained messages
      --retained-only         print only retained messages, end at the first other one
      --remove-retained       delete the retained messages that are received

Output:
  -v, --verbose               print the topic before the payload
  -N                          no line feed after each message
  -F FORMAT                   print each message in this form, see below
      --pretty                JSON over several lines
      --random-filter PERCENT print only so many of the messages, by chance

The end:
  -C COUNT                    exit after so many messages
  -W SECONDS                  exit after so long, with code 27
  -E                          exit when the subscriptions are there

Format: % sequences may have -, 0, a width and a precision, as in %-20.20t
  %t topic    %p payload  %x %X payload in hexadecimal  %l its length  %j JSON  %J JSON with the payload as JSON
  %q QoS      %r retained %m Packet Identifier          %U Unix time   %I ISO-8601 time   %% a percent sign
  MQTT 5: %A topic alias  %C content type  %D correlation data  %E message expiry  %F payload format
          %P user properties  %R response topic  %S subscription identifier
  @X is %X of strftime(3), @N nanoseconds, @@ an at sign; \\\\ \\0 \\a \\e \\n \\r \\t \\v as in C

${connectionHelp}
${otherHelp}`
