/**
 * Paho C (Debian's libpaho-mqtt-dev, the MQTTClient interface) against the broker, compiled by this test.
 */
import { pahoC } from './agent.ts'
import { runPeerSuite } from './suite.ts'

runPeerSuite(pahoC)
