/**
 * `recado publish`: publishes as an operator, by the HTTP API of a running broker. `recado pub` publishes as an MQTT client.
 *
 * Called by `main.ts`.
 */
import { isTopicName } from '@recado/protocol'
import { type Command, helpRow, isGiven, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { ApiClient, apiRows, changeNotes } from './api-client.ts'
import { emptyRow, messageFrom, messageRows, refusalText } from './api-message.ts'
import { jsonRow, report, runTool } from './store-folder.ts'
import { safeLine } from './terminal.ts'

const NO_SUBSCRIBERS = 0x10

export const command: Command = {
  name: 'publish',
  summary: 'publishes by the HTTP API of a running broker.',
  usage: ['-t TOPIC {-m TEXT | -f FILE | -n} [options]'],
  introduction: `  {program} -t site/announcement -m 'Maintenance at noon'
  {program} -t site/plan -r -f plan.json --content-type application/json`,
  groups: [
    {
      options: [
        { names: ['-t', '--topic'], value: 'TOPIC', help: 'Topic Name' },
        ...messageRows.slice(0, 2),
        emptyRow,
        { names: ['-r', '--retain'], help: 'keep it as the retained message of the topic' },
        ...messageRows.slice(2),
        ...apiRows,
        jsonRow,
        helpRow,
      ],
    },
  ],
  notes: `The message comes from the broker itself: no ACL is asked, and no client is its publisher. With QoS 1 and 2 the answer means
that it is safe.

${changeNotes('operator')}`,
}

export function runPublish(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const topic = valueIn(parsed, '--topic')
    if (topic === undefined) throw new ToolError('-t TOPIC missing, see recado publish --help')
    if (!isTopicName(topic)) throw new ToolError(`-t ${safeLine(topic)}: a message has a topic without wildcards`)
    const body = { ...(await messageFrom(parsed, io)), topic, retain: isGiven(parsed, '--retain') }
    const { reasonCode } = await new ApiClient(parsed, process.env).send<{ reasonCode: number }>(
      'POST',
      '/api/v1/publish',
      { body },
    )
    const refusal = refusalText(reasonCode)
    const done = reasonCode === NO_SUBSCRIBERS ? 'published; nobody subscribes to it' : 'published'
    report(parsed, io, { topic, reasonCode }, refusal ?? done)
    return refusal === null ? 0 : 1
  })
}
