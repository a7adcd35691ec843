/** The arguments and the output of the devices of the network laboratory that are programs for Node. */
import type { QoS } from '@recado/protocol'

export interface DeviceArguments {
  host: string
  port: number
  /** File with the certificate to trust; `null` without TLS. */
  ca: string | null
  clientId: string
  qos: QoS
  keepAliveSeconds: number
  /** Topic above those of the device. */
  topic: string
}

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
