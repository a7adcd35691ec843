/** `recado pub --help`. */
import { connectionHelp, otherHelp } from './help-sections.ts'

export const pubHelp: string = `recado pub: publish a message to an MQTT server.

Usage: recado pub [-h HOST] [-p PORT] -t TOPIC {-m TEXT | -f FILE | -l | -s | -n} [options]

  recado pub -t home/lamp -m on
  recado pub -h broker.example -t log -q 1 -l < lines.txt

Message:
  -t, --topic TOPIC           where to publish
  -m, --message TEXT          what to publish
  -f, --file FILE             the content of a file
  -s, --stdin-file            everything from standard input as one message
  -l, --stdin-line            each line of standard input as a message
  -n, --null-message          an empty message; with -r it deletes the retained one
  -q, --qos QOS               0, 1 or 2 (default: 0)
  -r, --retain                the server keeps it for later subscribers
      --repeat COUNT          publish that often
      --repeat-delay SECONDS  pause between (default: 0)

${connectionHelp}
${otherHelp}`
