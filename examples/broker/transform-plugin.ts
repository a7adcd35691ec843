/** A plugin that transforms what clients publish: coordinates are rounded, and readings without a unit get one. */
import { type BrokerOptions, createBroker, type TransformHook } from '@recado/broker'
import { connect } from '@recado/client'

/** Several plugins as one: the first that has something to say about a message decides. */
function firstOf(...plugins: readonly TransformHook[]): TransformHook {
  return (message, client) => {
    for (const plugin of plugins) {
      const answer = plugin(message, client)
      if (answer !== undefined) return answer
    }
    return undefined
  }
}

const json = (payload: Uint8Array): Record<string, unknown> => JSON.parse(new TextDecoder().decode(payload))

/** Positions to about a kilometre; what cannot be read goes to nobody. */
const roundPositions: TransformHook = ({ topic, payload }) => {
  if (!topic.endsWith('/position')) return undefined
  try {
    const { lat, lon } = json(payload)
    const round = (value: unknown): number => Math.round(Number(value) * 100) / 100
    return { payload: JSON.stringify({ lat: round(lat), lon: round(lon) }) }
  } catch {
    return null
  }
}

/** `sensors/7` becomes `sensors/7/celsius`, with the client that has published it. */
const addUnits: TransformHook = ({ topic }, { clientId }) => {
  if (!/^sensors\/\d+$/.test(topic)) return undefined
  return { topic: `${topic}/celsius`, properties: { userProperties: [['from', clientId]] } }
}

const options: BrokerOptions = { transform: firstOf(roundPositions, addUnits) }
const broker = createBroker(options)
const { port } = await broker.listen({ port: 0 })

// --- What clients see ---------------------------------------------------------------------------------------------------

const client = await connect(`mqtt://127.0.0.1:${port}`, { clientId: 'van-1' })
const everything = client.subscribe('#', { decode: 'text' })
await everything.ready
await client.publish('vans/1/position', '{"lat":40.416775,"lon":-3.70379}')
await client.publish('vans/1/position', 'lost')
await client.publish('sensors/7', '21.5')
for (let i = 0; i < 2; i++) {
  const { value: message } = await everything.next()
  console.log(message?.topic, message?.value, message?.properties.userProperties)
}
console.log('withheld:', broker.metrics()['dropped.withheld'])

await client.close()
await broker.close()

// Prints:
// vans/1/position {"lat":40.42,"lon":-3.7} undefined
// sensors/7/celsius 21.5 [ [ 'from', 'van-1' ] ]
// withheld: 1
