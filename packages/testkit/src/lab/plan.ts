/**
 * The cells of the laboratory: one condition, one server, one device, one QoS, with or without TLS.
 *
 * The usual plan changes one thing at a time: every device on Recado, our device on every server, every QoS, TLS; with
 * `isWhole` all of it is crossed. Invariant: a cell's key names it in every results file.
 */
import type { QoS } from '@recado/protocol'
import { type Condition, conditions } from './conditions.ts'
import { type DeviceName, deviceNames } from './devices.ts'
import { type ServerName, serverNames } from './servers.ts'

export interface Cell {
  readonly condition: Condition
  readonly server: ServerName
  readonly device: DeviceName
  readonly qos: QoS
  readonly tls: boolean
}

const ALL_QOS: readonly QoS[] = [0, 1, 2]

export function keyOf({ condition, server, device, qos, tls }: Cell): string {
  return [condition.name, server, device, `q${qos}`, tls ? 'tls' : 'tcp'].join('/')
}

export function planOf(isWhole: boolean): Cell[] {
  const cells = conditions.flatMap((condition) => (isWhole ? crossed(condition) : oneAtATime(condition)))
  return [...new Map(cells.map((cell) => [keyOf(cell), cell])).values()]
}

function crossed(condition: Condition): Cell[] {
  const cells: Cell[] = []
  for (const server of serverNames)
    for (const device of deviceNames)
      for (const qos of ALL_QOS) for (const tls of [false, true]) cells.push({ condition, server, device, qos, tls })
  return cells
}

function oneAtATime(condition: Condition): Cell[] {
  const usual: Cell = { condition, server: 'recado', device: 'recado', qos: 1, tls: false }
  return [
    ...deviceNames.map((device) => ({ ...usual, device })),
    ...serverNames.map((server) => ({ ...usual, server })),
    ...ALL_QOS.map((qos) => ({ ...usual, qos })),
    { ...usual, tls: true },
    { ...usual, server: 'mosquitto', device: 'mosquitto' },
  ]
}
