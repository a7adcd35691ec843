/** What the connection does, credentials that are fetched anew for each attempt, and when the client gives up. */
import { ConnectionRefusedError, connect, UnreachableError } from '@recado/client'

const url = process.env['MQTT_URL'] ?? 'mqtt://localhost'

const client = await connect(url, {
  // Called before each attempt, so a token may expire. If it fails, the next attempt asks again.
  credentials: async () => ({ username: 'ann', password: await fetchToken() }),
  reconnect: { minMs: 100, maxMs: 5_000 },
})

// Every state from now on; `client.onState(listener)` is the same without a loop.
const watching = (async () => {
  for await (const state of client.states()) {
    if (state.name === 'reconnecting') console.log(`lost: ${state.error.message}; trying again in ${state.delayMs} ms`)
    else if (state.name === 'connected') console.log(`connected, MQTT ${state.session.protocolVersion}`)
    else console.log(state.name)
  }
})()

await client.close()
await watching
console.log('why:', await client.closed) // an error, if the client had given up

// Errors are typed, and have a stable `code`.
try {
  await connect('mqtt://127.0.0.1:1', { connectTimeoutMs: 5_000 })
} catch (error) {
  if (error instanceof UnreachableError) console.log(error.code)
  else if (error instanceof ConnectionRefusedError) console.log('refused with', error.reasonCode)
}

function fetchToken(): Promise<string> {
  return Promise.resolve('a fresh token')
}

// Prints:
// connected, MQTT 5
// closing
// closed
// why: null
// ERR_MQTT_UNREACHABLE
