/**
 * MQTT.js (npm's mqtt 5, in this process) against the broker: the shared suite, then what MQTT.js alone shows.
 */
import { mqttJs } from './mqttjs.ts'
import { runPeerSuite } from './suite.ts'

runPeerSuite(mqttJs)
