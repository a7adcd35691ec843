/**
 * mosquitto_pub, mosquitto_sub and mosquitto_rr (Debian's mosquitto-clients) against the broker.
 */
import { mosquittoClients } from './mosquitto-clients.ts'
import { runPeerSuite } from './suite.ts'

runPeerSuite(mosquittoClients)
