/**
 * One attack in a process of its own, so that it takes no time from the bystander's process:
 * `attacker.js NAME PORT MILLISECONDS HOST DEVICE`. Started by `run.ts`; prints its counts as JSON, and ends when its
 * time is over.
 */
import { attacks } from './attacks.ts'

const [name, port, ms, host = '127.0.0.1', device = ''] = process.argv.slice(2)
const attack = attacks.find((each) => each.name === name)
if (attack === undefined) throw new Error(`there is no attack ${name}`)
const until = performance.now() + Number(ms)
let count = 0
let ended = 0
let left = 0
await attack.run({
  port: Number(port),
  host,
  device,
  goesOn: () => performance.now() < until,
  count: (what = 1) => {
    count += what
  },
  ended: (connections = 1) => {
    ended += connections
  },
  left: (connections) => {
    left += connections
  },
})
console.log(JSON.stringify({ count, ended, left }))
// Open connections must not keep the process here.
process.exit(0)
