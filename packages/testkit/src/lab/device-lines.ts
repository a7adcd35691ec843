/** The arguments of the devices of the network laboratory that are programs, and the output of those for Node. */
import type { QoS } from '@recado/protocol'

export interface DeviceArguments {
  /** Address or name of the server. */
  readonly host: string
  readonly port: number
  /** File with the certificate to trust; `null` without TLS. */
  readonly ca: string | null
  readonly clientId: string
  readonly qos: QoS
  readonly keepAliveSeconds: number
  /** Topic above those of the device. */
  readonly topic: string
}

/** Command line of a device. */
export function argumentsOf({ host, port, ca, clientId, qos, keepAliveSeconds, topic }: DeviceArguments): string[] {
  return [host, port, ca ?? '-', clientId, qos, keepAliveSeconds, topic].map(String)
}

/** Command line of this process, as `argumentsOf` wrote it. */
export function deviceArguments(): DeviceArguments {
  const [host = '', port, ca = '-', clientId = '', qos, keepAlive, topic = ''] = process.argv.slice(2)
  return {
    host,
    port: Number(port),
    ca: ca === '-' ? null : ca,
    clientId,
    qos: Number(qos) as QoS,
    keepAliveSeconds: Number(keepAlive),
    topic,
  }
}

export function tell(...words: readonly string[]): void {
  process.stdout.write(`${words.join(' ')}\n`)
}
