/**
 * The device of the network laboratory with MQTT.js, a program: HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC.
 *
 * `devices.ts` starts it and says what it reads and prints. All but the arguments is the library's default.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import mqtt from 'mqtt'
import { deviceArguments, tell } from './device-lines.ts'

const { host, port, ca, clientId, qos, keepAliveSeconds, topic } = deviceArguments()
const client = mqtt.connect({
  host,
  port,
  protocol: ca === null ? 'mqtt' : 'mqtts',
  clientId,
  keepalive: keepAliveSeconds,
  clean: false,
  will: { topic: `${topic}/gone`, payload: Buffer.from('gone'), qos: 1, retain: false },
  ...(ca === null ? {} : { ca: readFileSync(ca) }),
})
let wasConnected = false
client.on('connect', () => {
  wasConnected = true
  tell('connected')
})
client.on('close', () => {
  if (wasConnected) tell('lost')
  wasConnected = false
})
// It tries again after any error of the network; others end in `wait` of the laboratory.
client.on('error', (error) => process.stderr.write(`${error.message}\n`))
client.on('message', (_topic, payload) => tell('got', payload.toString()))
client.subscribe(`${topic}/down`, { qos }, (error) => {
  if (error) throw error
  tell('subscribed')
})
for await (const line of createInterface({ input: process.stdin })) client.publish(`${topic}/up`, line, { qos })
process.exit(0)
