/**
 * Arguments for the address of the server: the URL of `-L`, the port, the proxy; and the topic, which a URL may have
 * too.
 *
 * Called by the tables of options. Each returns the error in the words of Mosquitto, or nothing.
 */
import { isTopicFilter, isTopicName } from '@recado/protocol'
import type { Manner } from './manner.ts'
import { atoi } from './option-spec.ts'
import type { ToolOptions } from './tool-options.ts'

export function addTopic(options: ToolOptions, topic: string): string | void {
  if (options.tool === 'sub') {
    if (!isTopicFilter(topic)) {
      return `Error: Invalid subscription topic '${topic}', are all '+' and '#' wildcards correct?`
    }
    options.topics.push(topic)
    return undefined
  }
  if (!isTopicName(topic)) return `Error: Invalid publish topic '${topic}', does it contain '+' or '#'?`
  options.topics = [topic]
  return undefined
}

export function parsePort(options: ToolOptions, value: string): string | void {
  options.port = atoi(value)
  if (options.port < 0 || options.port > 65_535) return `Error: Invalid port given: ${options.port}`
  return undefined
}

/** Parses a URL. `takeTopic` is called with the text behind the host. */
export function parseUrl(
  options: ToolOptions,
  given: string,
  { mosquitto }: Manner,
  takeTopic: (options: ToolOptions, topic: string) => string | void,
): string | void {
  const scheme = /^(mqtts?|wss?):\/\//i.exec(given)
  if (scheme === null) return `Error: ${mosquitto === '2.0' ? 'unsupported' : 'Unsupported'} URL scheme.\n`
  const name = scheme[1]!.toLowerCase()
  const isTls = name.endsWith('s') && name !== 'ws'
  // Mosquitto's ports, for WebSockets too.
  options.port = isTls ? 8883 : 1883
  if (isTls) options.tls.useOsCerts = true
  if (name.startsWith('ws')) options.webSocket = true
  const rest = given.slice(scheme[0].length)
  const slash = rest.indexOf('/')
  if (slash < 0) return 'Error: Invalid URL for -L argument specified - topic missing.'
  const problem = takeTopic(options, rest.slice(slash + 1))
  if (problem !== undefined) return problem
  let authority = rest.slice(0, slash)
  const at = authority.indexOf('@')
  if (at >= 0) {
    const user = authority.slice(0, at)
    const colon = user.indexOf(':')
    options.username = colon < 0 ? user : user.slice(0, colon)
    if (colon >= 0) options.password = user.slice(colon + 1)
    authority = authority.slice(at + 1)
  }
  // An IPv6 address in brackets has colons of its own.
  const hostAndPort = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(authority)
  options.host = hostAndPort?.[1]?.replace(/^\[|\]$/g, '') ?? authority
  if (hostAndPort?.[2] !== undefined) return parsePort(options, hostAndPort[2])
  return undefined
}

/** Parses `socks5h://[username[:password]@]host[:port]`. */
export function parseProxy(options: ToolOptions, given: string): string | void {
  const scheme = 'socks5h://'
  if (!given.startsWith(scheme)) return `Error: Unsupported proxy protocol: ${given}`
  const [, user, host, port] = /^(?:([^@]*)@)?(\[[^\]]+\]|[^:@/]+)(?::(.*))?$/.exec(given.slice(scheme.length)) ?? []
  if (host === undefined) return 'Error: Invalid proxy.'
  const [username = '', password = ''] = (user ?? '').split(/:(.*)/s)
  const number = port === undefined ? 1080 : atoi(port)
  if (number < 1 || number > 65_535) return `Error: Invalid proxy port ${number}`
  options.proxy = { host: host.replace(/^\[|\]$/g, ''), port: number }
  try {
    if (username !== '') options.proxy.username = decodeURIComponent(username)
    if (password !== '') options.proxy.password = decodeURIComponent(password)
  } catch {
    return 'Error: Invalid proxy: a % in the user name or password is %25.'
  }
  return undefined
}
