/**
 * Commands to the broker by MQTT, `enable_control_api`: what clients publish to `$CONTROL/broker/v1`, and `mosquitto_ctrl broker` sends.
 *
 * `administration.ts` registers it. Answers, words and order are those of Mosquitto 2.1. The invariant: whatever a client sends is answered with JSON,
 * with an error for each command that is none.
 */
import type { ListenerConfig } from '../config/listeners.ts'

export const COMMANDS_TOPIC = '$CONTROL/broker/v1'
export const ANSWERS_TOPIC = '$CONTROL/broker/v1/response'
/** Answer of Mosquitto 2.1 to a command that nobody takes, on the topic of the command with `/response` behind it. */
export const UNAVAILABLE = '{"error": "endpoint not available"}'
/** Commands of one request; more are not looked at. */
const COMMANDS_MAX = 100

export interface AnsweredRequest {
  /** JSON, for the topic of answers. */
  readonly text: string
  /** Names of the commands that were carried out, for the log. */
  readonly done: readonly string[]
}

interface Answer {
  readonly command: string
  readonly data?: unknown
  readonly error?: string
  readonly correlationData?: string
}

export function answerTo(payload: Uint8Array, listeners: readonly ListenerConfig[]): AnsweredRequest {
  const answers = answersTo(new TextDecoder().decode(payload), listeners)
  const done = answers.filter(({ error }) => error === undefined).map(({ command }) => command)
  return { text: JSON.stringify({ responses: answers }), done }
}

const UNKNOWN = 'Unknown command'

function answersTo(text: string, listeners: readonly ListenerConfig[]): Answer[] {
  let request: unknown
  try {
    request = JSON.parse(text)
  } catch {
    return [{ command: UNKNOWN, error: 'Payload not valid JSON' }]
  }
  const commands = isObject(request) ? request['commands'] : undefined
  if (!Array.isArray(commands)) return [{ command: UNKNOWN, error: 'Invalid/missing commands' }]
  const answers: Answer[] = []
  for (const command of commands.slice(0, COMMANDS_MAX)) {
    const answer = carryOut(command, listeners)
    answers.push(answer.answer)
    // As in Mosquitto 2.1, the list ends with what is no command.
    if (answer.isNoCommand) break
  }
  return answers
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Carries a command out. `isNoCommand`: it is none, and none after it is looked at. */
function carryOut(
  request: unknown,
  listeners: readonly ListenerConfig[],
): { readonly answer: Answer; readonly isNoCommand: boolean } {
  const wrong = (command: string, error: string): ReturnType<typeof carryOut> => ({
    answer: { command, error },
    isNoCommand: true,
  })
  if (!isObject(request)) return wrong(UNKNOWN, 'Command not an object')
  const { command, correlationData } = request
  if (typeof command !== 'string') return wrong(UNKNOWN, 'Missing command')
  if (correlationData !== undefined && typeof correlationData !== 'string')
    return wrong(command, 'Invalid correlationData data type.')
  const correlation = correlationData === undefined ? {} : { correlationData }
  return { answer: { ...answerOf(command, listeners), ...correlation }, isNoCommand: false }
}

function answerOf(command: string, listeners: readonly ListenerConfig[]): Answer {
  switch (command) {
    case 'listListeners':
      return { command, data: { listeners: listeners.map(listenerData) } }
    case 'listPlugins':
      return { command, data: { plugins: pluginsOf(listeners) } }
    default:
      return { command, error: UNKNOWN }
  }
}

/** A listener for HTTP alone has no `protocol`, as in Mosquitto. */
function listenerData({ port, host, path, tls, transport }: ListenerConfig): unknown {
  const protocol = transport.webSocket === null ? 'mqtt' : 'mqtt+websockets'
  return {
    port,
    ...(transport.http?.isApi === true ? {} : { protocol }),
    ...(host === null ? {} : { 'bind-address': host }),
    ...(path === null ? {} : { 'socket-path': path }),
    tls: tls !== null,
  }
}

/** Sources of commands that stand in the place of plugins. */
function pluginsOf(listeners: readonly ListenerConfig[]): unknown[] {
  if (!listeners.some(({ access }) => access.dynamicSecurity !== null)) return []
  return [{ name: 'dynamic-security', 'control-endpoints': ['$CONTROL/dynamic-security/v1'] }]
}
