/** For the transport suites: an entrance without a broker behind it. */
import { Entrance, type EntranceOptions, type EntrancePorts } from '../entrance.ts'

/** One that lets everybody in and counts nobody. */
export function openEntrance(options: EntranceOptions, accept: EntrancePorts['accept']): Promise<Entrance> {
  return Entrance.open(options, {
    connectTimeoutMs: 60_000,
    arrivalsMax: 1_000,
    accept,
    failed: () => {},
    admit: () => 0,
    isFull: () => false,
    count: () => true,
    uncount: () => {},
  })
}
