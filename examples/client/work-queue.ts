/** Work that is shared out: each job goes to one worker, and is acknowledged when it is done, not when it has arrived. */
import { connect, ReasonCode } from '@recado/client'

const url = process.env['MQTT_URL'] ?? 'mqtt://localhost'
await using publisher = await connect(url)

/** `receiveMaximum` is how many jobs the server gives a worker before it has acknowledged one. */
async function work(name: string, jobs: string[]): Promise<() => Promise<void>> {
  const worker = await connect(url, { receiveMaximum: 2 })
  const subscription = worker.subscribe(
    '$share/workers/examples/jobs/:id',
    { qos: 1, ack: 'manual' },
    async (message) => {
      const { id } = message.params
      if (message.text() === 'impossible') {
        message.ack(ReasonCode.ImplementationSpecificError) // refused: the server keeps it no longer
        jobs.push(`${id} refused`)
        return
      }
      await new Promise((resolve) => setImmediate(resolve)) // the work; if we crashed here, somebody else would get the job
      message.ack()
      jobs.push(`${id} done`)
    },
  )
  await subscription.ready
  console.log(name, 'is ready')
  return () => worker.close()
}

const jobs: string[] = []
const close = [await work('Ann', jobs), await work('Bob', jobs)]
for (const id of ['1', '2', '3', '4']) {
  await publisher.publish(`examples/jobs/${id}`, id === '3' ? 'impossible' : 'easy', { qos: 1 })
}
while (jobs.length < 4) await new Promise((resolve) => setTimeout(resolve, 5))
console.log(jobs.sort().join(', '))
for (const each of close) await each()

// Prints:
// Ann is ready
// Bob is ready
// 1 done, 2 done, 3 refused, 4 done
