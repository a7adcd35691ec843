/**
 * The device of the network laboratory with @recado/client, a program: HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC.
 *
 * `devices.ts` starts it and says what it reads and prints. All but the arguments is the library's default, and MQTT
 * 3.1.1, as the other devices have it.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createClient } from '@recado/client'
import { deviceArguments, tell } from './device-lines.ts'

const { host, port, ca, clientId, qos, keepAliveSeconds, topic } = deviceArguments()
const client = createClient({
  url: `${ca === null ? 'mqtt' : 'mqtts'}://${host}:${port}`,
  protocolVersion: 4,
  clientId,
  keepAliveSeconds,
  cleanStart: false,
  retryFirst: true,
  sessionExpiryIntervalSeconds: 0xff_ff_ff_ff,
  will: { topic: `${topic}/gone`, payload: 'gone', qos: 1 },
  ...(ca === null ? {} : { tls: { ca: readFileSync(ca, 'utf8') } }),
})
let wasConnected = false
client.onState(({ name }) => {
  const isConnected = name === 'connected'
  if (isConnected !== wasConnected) tell(isConnected ? 'connected' : 'lost')
  wasConnected = isConnected
})
const subscription = client.subscribe(`${topic}/down`, { qos, decode: 'text' }, ({ value }) => tell('got', value))
void client.connect()
await subscription.ready
tell('subscribed')
for await (const line of createInterface({ input: process.stdin })) client.send(`${topic}/up`, line, { qos })
process.exit(0)
