/**
 * A plain aedes broker for comparisons: everything in memory, one port. Started by bench/run.mjs.
 *
 *     node bench/load/aedes-server.mjs PORT
 *
 * `concurrency` and the inbound limit are as in aedes' own benchmarks; no-delay on, as in a deployment.
 */
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker({ concurrency: 100, maxInflightInbound: 0 })
const server = createServer({ noDelay: true }, broker.handle)
server.listen(Number(process.argv[2] ?? 1883), '127.0.0.1', 4096)
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
