/**
 * Paho Python (Debian's python3-paho-mqtt) against the broker. Lost connections in the middle of a QoS 2 flow have a file
 * of their own, resume.peer.test.ts.
 */
import { pahoPython } from './agent.ts'
import { runPeerSuite } from './suite.ts'

runPeerSuite(pahoPython)
