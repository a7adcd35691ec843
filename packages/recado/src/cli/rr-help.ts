/** `recado rr --help`. */
import { connectionHelp, otherHelp } from './help-sections.ts'

export const rrHelp: string = `recado rr: publish a request and print the response.

Usage: recado rr [-h HOST] [-p PORT] -t TOPIC -e RESPONSE_TOPIC {-m TEXT | -f FILE | -s | -n} [options]

  recado rr -t lamp/state/get -e my/answers -n -W 5
  recado rr -t add -e my/answers -m '[1,2]' -D publish correlation-data 42 -F '%D %p'

MQTT 5 (the default here) tells the responder where to answer; before it, the responder has to know.

Request:
  -t, --topic TOPIC           where to publish the request
  -e RESPONSE_TOPIC           where to wait for the response: the first message there is taken for it
  -m, --message TEXT          what to publish
  -f, --file FILE             the content of a file
  -s, --stdin-file            everything from standard input
  -n, --null-message          an empty message
  -q, --qos QOS               0, 1 or 2 (default: 0)
  -W SECONDS                  give up after so long, with code 27

Output:
  -v, --verbose               print the topic before the payload
  -N                          no line feed after the message
  -F FORMAT                   print it in this form, see recado sub --help
      --pretty                JSON over several lines
  -R                          take no retained message for the response

${connectionHelp.replace('(default: 311)', '(default: 5)')}
${otherHelp}`
