/** A page that shows temperatures as they come, over WebSocket, and sends what is typed in: thermometer.html loads it. */
import { connect } from '@recado/client'

const list = document.querySelector('ul')!
const status = document.querySelector('output')!
const form = document.querySelector('form')!

// ?server=wss://host/mqtt, or the server of this page
const server = new URLSearchParams(location.search).get('server') ?? `ws://${location.hostname}:9001/mqtt`
const client = await connect(server, { retryFirst: true })

client.onState((state) => {
  status.textContent = state.name === 'reconnecting' ? `offline, next attempt in ${state.delayMs | 0} ms` : state.name
})
status.textContent = client.state.name

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const { room, celsius } = Object.fromEntries(new FormData(form)) as Record<string, string>
  // While offline it waits, and is sent when the connection is back.
  client.publish(`examples/rooms/${room}/celsius`, celsius, { qos: 1, retain: true }).catch((error: Error) => {
    status.textContent = error.message
  })
})

// The newest value counts: old ones that nobody has looked at may go.
const temperatures = client.subscribe('examples/rooms/:room/celsius', {
  qos: 1,
  overflow: 'drop-oldest',
  decode: (message) => Number(message.text()),
})
for await (const { params, value } of temperatures) {
  const item = list.querySelector(`[data-room="${CSS.escape(params.room)}"]`) ?? document.createElement('li')
  item.setAttribute('data-room', params.room)
  item.textContent = `${params.room}: ${value} °C`
  list.append(item)
}
