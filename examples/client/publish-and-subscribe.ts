/** Connects, subscribes in the two ways that there are, publishes, and leaves. */
import { connect } from '@recado/client'

// Closed at the end of the block, whatever happens in it: what is on its way is waited for.
await using client = await connect(process.env['MQTT_URL'] ?? 'mqtt://localhost')

// A handler is called for each message. If it returns a promise, the next message waits for it.
const log = client.subscribe('examples/log', { qos: 1 }, (message) => console.log('log:', message.text()))

// Without a handler, iterate. Messages wait in a buffer of this subscription.
const lamps = client.subscribe('examples/lamps/+', { qos: 1 })

// Who publishes at once waits for the subscriptions first.
await Promise.all([log.ready, lamps.ready])

const { reasonCode } = await client.publish('examples/lamps/hall', 'on', { qos: 1 })
console.log('published with Reason Code', reasonCode)
await client.publish('examples/lamps/kitchen', 'off', { qos: 2 })

let seen = 0
for await (const message of lamps) {
  await client.publish('examples/log', `${message.topic} is ${message.text()}`, { qos: 1 })
  if (++seen === 2) break // unsubscribes
}
await log.unsubscribe()

// Prints:
// published with Reason Code 0
// log: examples/lamps/hall is on
// log: examples/lamps/kitchen is off
