/*
 * Packs: the files of the bundle that nearly every run needs, joined to three, so that a start opens and resolves three
 * files and not forty. Node's resolution of each file costs more than compiling it, and so many of them make V8 load its
 * optimizing compilers into memory before the broker has done anything.
 *
 * `bundle.mjs` calls it. A file stays what it was: a function in its pack, which runs when it is first required. Its name
 * and its place in the folder stay too, so `__filename` means the same folder. What is in no pack is a file of its own and
 * requires through `main.js`. Invariant: a file is in one pack at most, and runs once.
 */
import { basename } from 'node:path'

/** Files, by their entries, that belong together: the tools of Mosquitto's names, and the broker with its store. */
const packs = {
  'tools.js': ['recado/dist/cli/pub.js', 'recado/dist/cli/sub.js', 'recado/dist/cli/client-commands.js'],
  'broker.js': ['recado/dist/run-broker.js', 'recado/dist/serve.js', 'broker/dist/adapters/lmdb-store.js'],
}
const FIRST = 'main.js'

/**
 * Decides which file of the bundle is in which pack.
 * @param outputs those of esbuild's metafile
 * @returns names of files, by the pack that has them; `main.js` has itself and what all need
 */
export function membersOf(outputs) {
  const files = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]))
  const entryOf = (source) => {
    const found = [...files].find(([, { entryPoint }]) => entryPoint === `packages/${source}`)
    if (found === undefined) throw new Error(`the bundle has no file of packages/${source}`)
    return found[0]
  }
  const needs = (names) => {
    const found = new Set(names)
    for (const name of found) {
      for (const { path, kind, external } of files.get(name).imports) {
        if (kind !== 'dynamic-import' && !external) found.add(basename(path))
      }
    }
    return found
  }
  const wanted = Object.entries(packs).map(([pack, sources]) => [pack, needs(sources.map(entryOf))])
  const [[, first], [, second]] = wanted
  const common = needs([FIRST, ...[...first].filter((name) => second.has(name))])
  return new Map([
    [FIRST, [...common]],
    ...wanted.map(([pack, names]) => [pack, [...names].filter((name) => !common.has(name))]),
  ])
}

/** Makes the functions of a pack, and their map in sections. `head` and `tail` stand around them. */
function joined(pack, parts, head, tail) {
  const lines = [head]
  const sections = []
  for (const { name, code, map } of parts) {
    lines.push(`${JSON.stringify(`./${name}`)}:function(exports,require,module){`)
    // Its first line is the next one, for lines are counted from 0.
    sections.push({ offset: { line: lines.join('\n').split('\n').length, column: 0 }, map: JSON.parse(map) })
    lines.push(code.trimEnd(), '},')
  }
  lines.push(tail, `//# sourceMappingURL=${pack}.map`, '')
  return { code: lines.join('\n'), map: JSON.stringify({ version: 3, sections }) }
}

/** The `require` of all files: it knows what is packed, and where. */
const loader = (places) => `const places=${JSON.stringify(places)},made={__proto__:null};
function load(name){
const known=made[name];
if(known!==undefined)return known.exports;
if(packed[name]===undefined&&places[name]!==undefined)Object.assign(packed,require(places[name]).packed);
const make=packed[name];
if(make===undefined)return require(name);
const module=made[name]={exports:{}};
make(module.exports,load,module);
return module.exports;
}
exports.load=load;
Object.assign(exports,load(${JSON.stringify(`./${FIRST}`)}));`

/**
 * Joins the files of the bundle.
 * @param files name, code and map of each file, without the line that names the map
 * @returns the same for the files that are to be written
 */
export function packed(files, outputs) {
  const members = membersOf(outputs)
  const byName = new Map(files.map((file) => [file.name, file]))
  const places = { __proto__: null }
  for (const [pack, names] of members) {
    if (pack !== FIRST) for (const name of names) places[`./${name}`] = `./${pack}`
  }
  const written = []
  for (const [pack, names] of members) {
    const parts = names.map((name) => byName.get(name))
    const [head, tail] =
      pack === FIRST
        ? ['"use strict";const packed={__proto__:null,', `};${loader(places)}`]
        : ['"use strict";exports.packed={', '};']
    written.push({ name: pack, ...joined(pack, parts, head, tail) })
  }
  const isPacked = new Set([...members.values()].flat())
  for (const { name, code, map } of files.filter((file) => !isPacked.has(file.name))) {
    // A line of its own in front of the others, which the map has as an empty one.
    const moved = { ...JSON.parse(map) }
    moved.mappings = `;${moved.mappings}`
    const required = `"use strict";require=require("./${FIRST}").load;`
    written.push({ name, code: `${required}\n${code}//# sourceMappingURL=${name}.map\n`, map: JSON.stringify(moved) })
  }
  return written
}
