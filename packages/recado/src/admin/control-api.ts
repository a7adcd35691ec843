/**
 * Commands to the broker by MQTT, `enable_control_api`: what clients publish to `$CONTROL/broker/v1`, and `mosquitto_ctrl broker` sends.
 *
 * `administration.ts` registers it. Answers, words and order are those of Mosquitto 2.1. The invariant: whatever a client sends is answered with JSON,
 * with an error for each command that is none.
 */
import type { ListenerConfig } from '../config/listeners.ts'

export const COMMANDS_TOPIC = '$CONTROL/broker/v1'
export const ANSWERS_TOPIC = '$CONTROL/broker/v1/response'
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
  return commands.slice(0, COMMANDS_MAX).map((command) => carryOut(command, listeners))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function carryOut(request: unknown, listeners: readonly ListenerConfig[]): Answer {
  if (!isObject(request)) return { command: UNKNOWN, error: 'Command not an object' }
  const { command, correlationData } = request
  if (typeof command !== 'string') return { command: UNKNOWN, error: 'Missing command' }
  if (correlationData !== undefined && typeof correlationData !== 'string') {
    return { command, error: 'Invalid correlationData data type.' }
  }
  const correlation = correlationData === undefined ? {} : { correlationData }
  switch (command) {
    case 'listListeners':
      return { command, data: { listeners: listeners.map(listenerData) }, ...correlation }
    case 'listPlugins':
      return { command, data: { plugins: pluginsOf(listeners) }, ...correlation }
    default:
      return { command, error: UNKNOWN, ...correlation }
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
