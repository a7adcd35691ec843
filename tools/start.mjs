/*
 * `npm start`: installs and builds what is needed, then runs the broker in this very process, so that signals and the
 * exit code are the broker's own. `npm start -- -p 1884 -v` passes its arguments on.
 */
import './lib/check-node.mjs'

import('./lib/workspace.mjs')
  .then(async ({ ensureInstalled, ensureBuilt }) => {
    ensureInstalled()
    await ensureBuilt()
    return import('../packages/recado/bin/recado.js')
  })
  .catch((error) => {
    console.error(error.exitCode === undefined ? error : error.message)
    process.exitCode = error.exitCode === undefined ? 1 : error.exitCode
  })
