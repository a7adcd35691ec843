/**
 * Measures each client of clients.mjs, in the client's network namespace: `node measure.mjs FOLDER HOST INTERFACE READINGS`.
 *
 * Bytes and packets are the kernel's own counters of the interface, both directions, less the 14 bytes of each Ethernet
 * header: IP packets as a router sees them. Every count waits until the line has been quiet, so that delayed
 * acknowledgements of TCP belong to what caused them. Prints one line of JSON for each protocol.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { clientsOf } from './clients.mjs'

const [, , folder, host, device, readings] = process.argv
const QUIET_MS = 300
const ETHERNET_HEADER = 14

function counters() {
  const read = (name) => Number(readFileSync(`/sys/class/net/${device}/statistics/${name}`, 'utf8'))
  const [packetsOut, packetsIn] = [read('tx_packets'), read('rx_packets')]
  return {
    packets: packetsOut + packetsIn,
    bytesOut: read('tx_bytes') - ETHERNET_HEADER * packetsOut,
    bytesIn: read('rx_bytes') - ETHERNET_HEADER * packetsIn,
  }
}

async function quietCounters() {
  for (let last = counters(); ; ) {
    await wait(QUIET_MS)
    const now = counters()
    if (now.packets === last.packets) return now
    last = now
  }
}

/** Counters when the line was last quiet: nothing happens between two measurements. */
let after = await quietCounters()

/** Returns the packets and bytes that `work` causes, divided by `times`, less `extra`. */
async function cost(work, times = 1, extra = { packets: 0, bytesOut: 0 }) {
  const before = after
  for (let i = 0; i < times; i++) {
    await work()
    after = await quietCounters() // one reading at a time, as a sensor sends them: nothing is acknowledged together
  }
  const of = (name) => (after[name] - before[name]) / times - (extra[name] ?? 0)
  return { packets: of('packets'), bytesOut: of('bytesOut'), bytesIn: of('bytesIn') }
}

const clients = clientsOf({ host, ca: readFileSync(join(folder, 'ca.pem')) })
for (const [name, client] of Object.entries(clients)) {
  const open = await cost(() => client.open())
  const reading = await cost(() => client.send(), Number(readings), client.extra)
  const ping = client.ping === undefined ? null : await cost(() => client.ping())
  const close = await cost(() => client.close())
  console.log(JSON.stringify({ name, sendsAtOpen: client.sendsAtOpen === true, open, reading, ping, close }))
}
process.exit(0)
