/**
 * A sensor on a Raspberry Pi: reads the processor's temperature and publishes it to the broker beside it.
 *
 *     node examples/dist/raspberry-pi/sensor.js [SECONDS [READINGS]]
 *
 * A reading that the broker has not acknowledged waits in this process, and is sent when the broker is back. Without a
 * thermometer (`/sys/class/thermal`) the readings are made up.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@recado/client'

const [, , seconds = '10', readings = 'Infinity'] = process.argv
const pauseMs = Number(seconds) * 1000
const count = Number(readings)
if (!(pauseMs >= 0) || !(count > 0)) {
  console.error('Usage: sensor.js [SECONDS [READINGS]], both numbers')
  process.exit(2)
}

async function readCelsius(): Promise<number> {
  try {
    return Number(await readFile('/sys/class/thermal/thermal_zone0/temp', 'utf8')) / 1000
  } catch {
    return 21 + 2 * Math.sin(Date.now() / 600_000)
  }
}

const client = await connect(process.env['MQTT_URL'] ?? 'mqtt://localhost', {
  clientId: 'sensor-1',
  sessionExpiryIntervalSeconds: 86_400,
  retryFirst: true,
})
const acknowledged: Promise<unknown>[] = []
for (let reading = 0; reading < count; reading++) {
  const text = JSON.stringify({ reading, celsius: Number((await readCelsius()).toFixed(1)) })
  const published = client.publish('casa/sala/temperatura', text, { qos: 2 })
  published.catch((error: Error) => console.error(error.message)) // told also when nothing waits for it
  // An endless run does not keep what it has sent.
  if (count < Infinity) acknowledged.push(published)
  await pause(pauseMs)
}
await Promise.all(acknowledged)
await client.close()
console.log(`${count} readings acknowledged`)
