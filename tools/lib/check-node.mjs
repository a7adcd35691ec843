/*
 * Reports in one line that Node is too old, before anything newer than ES2015 is parsed. Import it first, for its
 * effect; keep its own syntax old.
 */
const wanted = [20, 19]
const found = process.versions.node.split('.').map(Number)
if (found[0] < wanted[0] || (found[0] === wanted[0] && found[1] < wanted[1])) {
  console.error(`recado needs Node ${wanted.join('.')} or newer; this is Node ${process.versions.node}.`)
  process.exit(1)
}
