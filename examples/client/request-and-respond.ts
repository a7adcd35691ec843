/** A call over MQTT 5.0: the client makes a Response Topic and tells requests apart by Correlation Data. */
import { connect, NoResponderError } from '@recado/client'

const url = process.env['MQTT_URL'] ?? 'mqtt://localhost'
await using service = await connect(url)
await using client = await connect(url)

const responder = service.respond('examples/calculate/:operation', { qos: 1, decode: 'json' }, ({ params, value }) => {
  const numbers = value as number[]
  if (params.operation === 'add') return String(numbers.reduce((sum, number) => sum + number, 0))
  if (params.operation === 'max')
    return { payload: String(Math.max(...numbers)), properties: { contentType: 'text/plain' } }
  return undefined // no response
})
await responder.ready

// Any number of requests at once; each gets its own response.
const [sum, maximum] = await Promise.all([
  client.request('examples/calculate/add', JSON.stringify([1, 2, 3]), { decode: 'json' }),
  client.request('examples/calculate/max', JSON.stringify([1, 2, 3])),
])
console.log(sum.value, maximum.text(), maximum.properties.contentType)

// An AbortSignal limits the time.
try {
  await client.request('examples/calculate/divide', '[1, 0]', { signal: AbortSignal.timeout(100) })
} catch (error) {
  console.log((error as Error).name)
}

// A server that says that nobody is there makes waiting needless.
try {
  await client.request('examples/nobody', '', { signal: AbortSignal.timeout(10_000) })
} catch (error) {
  if (error instanceof NoResponderError) console.log(error.message)
}

// Prints:
// 6 3 text/plain
// TimeoutError
// "examples/nobody" has no subscriber, so no response can come: start the responder, or check the topic (No Matching Subscribers)
