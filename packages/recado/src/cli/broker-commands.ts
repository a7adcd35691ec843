/**
 * Commands of `recado ctrl broker`: the listeners of a broker and its plugins, by `$CONTROL/broker/v1`
 * (`enable_control_api`).
 *
 * Called by `ctrl.ts`. The printed forms are those of mosquitto_ctrl 2.1.
 */
import type { DynsecCommand, Request } from './dynsec-commands.ts'

const objectsOf = (data: Request, name: string): Request[] => {
  const list = data[name]
  return Array.isArray(list) ? list.filter((each): each is Request => typeof each === 'object' && each !== null) : []
}

/** Line with a label of Mosquitto's width; none for a value that is absent. */
function row(label: string, width: number, value: unknown): string[] {
  return value === undefined ? [] : [`${`${label}:`.padEnd(width)}${String(value)}`]
}

const LISTENER_WIDTH = 21
const PLUGIN_WIDTH = 19

function listenerLines(data: Request): string[] {
  return objectsOf(data, 'listeners').flatMap((listener, index) => [
    `Listener ${index + 1}:`,
    ...row('  Port', LISTENER_WIDTH, listener['port']),
    ...row('  Protocol', LISTENER_WIDTH, listener['protocol']),
    ...row('  Socket path', LISTENER_WIDTH, listener['socket-path']),
    ...row('  Bind address', LISTENER_WIDTH, listener['bind-address']),
    ...row('  TLS', LISTENER_WIDTH, listener['tls'] === true),
    '',
  ])
}

function pluginLines(data: Request): string[] {
  return objectsOf(data, 'plugins').flatMap((plugin) => {
    const endpoints = plugin['control-endpoints']
    const [first, ...others] = Array.isArray(endpoints) ? endpoints : []
    return [
      ...row('Plugin', PLUGIN_WIDTH, plugin['name']),
      ...row('Version', PLUGIN_WIDTH, plugin['version']),
      ...row('Control endpoints', PLUGIN_WIDTH, first),
      ...others.map((endpoint) => `${' '.repeat(PLUGIN_WIDTH)}${String(endpoint)}`),
    ]
  })
}

const command = (name: string, help: string, print: (data: Request) => string[]): DynsecCommand => ({
  name,
  takes: '',
  help,
  fields: [],
  required: 0,
  print,
})

export const brokerCommands: readonly DynsecCommand[] = [
  command('listListeners', 'ports, protocols and TLS of the listeners', listenerLines),
  command('listPlugins', 'plugins that take commands', pluginLines),
]
