/**
 * Options of the benchmarks, with `--help`: run.mjs has a help text of its own; micro, growth, client, transports and
 * logins call this.
 */
import { parseArgs } from 'node:util'

/**
 * Parses the command line. `--help` prints `usage` and ends the process; so does, with 2, an unknown option, or one of
 * `numbers` whose value is no number above 0.
 */
export function optionsFrom(usage, config, numbers = []) {
  const wrong = (message) => {
    console.error(`${message}\n\n${usage}`)
    process.exit(2)
  }
  let parsed
  try {
    parsed = parseArgs({ ...config, options: { ...config.options, help: { type: 'boolean', default: false } } })
  } catch (error) {
    wrong(error.message)
  }
  const { values } = parsed
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  for (const name of numbers) {
    if (!(Number(values[name]) > 0)) wrong(`--${name} wants a number above 0, not ${JSON.stringify(values[name])}`)
  }
  return parsed
}
