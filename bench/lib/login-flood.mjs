/**
 * Failed logins at a rate: opens a connection, sends a CONNECT with a wrong password, reads the CONNACK, closes. A process of its own, started
 * by ../logins.mjs; prints one line of JSON: what was tried, and how each was answered.
 *
 *   node login-flood.mjs PORT PER-SECOND SECONDS
 */
import { connect } from 'node:net'

const [port, perSecond, seconds] = process.argv.slice(2).map(Number)
/** Connections that may wait for their answer; more are not opened, and count as held back. */
const OPEN_MAX = 4_000
const TICK_MS = 2

function connectPacket(username, password) {
  const field = (text) => Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), Buffer.from(text)])
  const body = Buffer.concat([
    field('MQTT'),
    Buffer.from([4, 0b1100_0010, 0, 60]),
    field(''),
    field(username),
    field(password),
  ])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

const counts = { tried: 0, heldBack: 0, refused: 0, busy: 0, accepted: 0, unanswered: 0 }
const names = { 0: 'accepted', 3: 'busy', 4: 'refused', 5: 'refused' }
let open = 0

function tryOnce(number) {
  if (open >= OPEN_MAX) {
    counts.heldBack++
    return
  }
  open++
  counts.tried++
  let answer = 'unanswered'
  // Half of them are users who are there.
  const packet = connectPacket(number % 2 === 0 ? 'ada' : `nobody${number % 1_000}`, `guess ${number}`)
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write(packet))
  socket.on('data', (chunk) => {
    answer = names[chunk[3]] ?? 'unanswered'
    socket.destroy()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    open--
    counts[answer]++
  })
}

const startMs = performance.now()
let issued = 0
const timer = setInterval(() => {
  const elapsed = (performance.now() - startMs) / 1_000
  for (const due = Math.floor(Math.min(elapsed, seconds) * perSecond); issued < due; issued++) tryOnce(issued)
  if (elapsed < seconds) return
  clearInterval(timer)
  console.log(JSON.stringify({ ...counts, perSecond: Math.round(counts.tried / elapsed) }))
  process.exit(0)
}, TICK_MS)
