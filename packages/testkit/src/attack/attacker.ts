/**
 * One attack in a process of its own, so that it takes nothing from the bystander's: `attacker.js NAME PORT MILLISECONDS`.
 * Started by `run.ts`; prints how much it did, and ends when its time is over.
 */
import { attacks } from './attacks.ts'

const [name, port, ms] = process.argv.slice(2)
const attack = attacks.find((each) => each.name === name)
if (attack === undefined) throw new Error(`there is no attack ${name}`)
const until = performance.now() + Number(ms)
let count = 0
await attack.run({
  port: Number(port),
  goesOn: () => performance.now() < until,
  count: (what = 1) => {
    count += what
  },
})
console.log(count)
// What it left open does not keep it here.
process.exit(0)
