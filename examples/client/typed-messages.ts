/** Parameters of topics and checked payloads: the types of `params` and `value` follow from the call. */
import { connect } from '@recado/client'
import * as v from 'valibot' // or any other validator that keeps to Standard Schema

await using client = await connect(process.env['MQTT_URL'] ?? 'mqtt://localhost')

const Reading = v.object({ celsius: v.number(), at: v.pipe(v.string(), v.isoTimestamp()) })

const readings = client.subscribe('examples/sensors/:room/#sensor', {
  qos: 1,
  decode: Reading,
  // Without this, the first payload that does not fit ends the loop with a `PayloadError`.
  onInvalid: (error) => console.log(error.message),
})
await readings.ready

const publish = (topic: string, payload: unknown) => client.publish(topic, JSON.stringify(payload), { qos: 1 })
await publish('examples/sensors/kitchen/oven/top', { celsius: 180, at: '2026-01-01T12:00:00Z' })
await publish('examples/sensors/cellar/floor', { celsius: 'cold' })
await publish('examples/sensors/attic/roof', { celsius: 3.5, at: '2026-01-01T12:00:01Z' })

let seen = 0
for await (const { params, value } of readings) {
  // `params.room`, `params.sensor` and `value.celsius` are known to the compiler; `params.floor` would be an error.
  console.log(`${params.room}, ${params.sensor}: ${value.celsius.toFixed(1)} °C`)
  if (++seen === 2) break
}
console.log(`${readings.invalid} invalid`)

// Prints:
// kitchen, oven/top: 180.0 °C
// the payload of "examples/sensors/cellar/floor" does not fit the schema: celsius: Invalid type: Expected number but received "cold"
// attic, roof: 3.5 °C
// 1 invalid
