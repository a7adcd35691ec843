/*
 * Options that are wired to something: a limit of the broker that no code reads, or an option of mosquitto.conf that is
 * called supported and that no code looks up, would pass every other test. `wired.test.mjs` runs it over the repository.
 *
 * A name counts as read where it stands in code (a limit) or in quotes (an option) outside of the tables that define it,
 * outside of tests, and outside of code that only talks about options (`recado config lint` and `explain`).
 */
import { isTest } from './rules.mjs'
import { blank } from './source.mjs'

/** Sources of a package, tests aside. */
const sourcesOf = (files, name) =>
  files.filter(({ path }) => path.startsWith(`packages/${name}/src/`) && /\.ts$/.test(path) && !isTest(path))

/** Limits of the broker that no code reads. `names` are those of `limitTable`. */
export function unreadLimits(names, files) {
  const code = sourcesOf(files, 'broker')
    .filter(({ path }) => !/\/limits\.ts$/.test(path))
    .map(({ text }) => blank(text))
  return names.filter((name) => !code.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
}

/** Supported options of mosquitto.conf that no code looks up. `options` are those of `optionTable`. */
export function unreadOptions(options, files) {
  const texts = sourcesOf(files, 'recado')
    .filter(({ path }) => !/\/config\/(?:options\/|schema\.ts|effective\.ts)|\/lint\//.test(path))
    .map(({ text }) => text)
  const isRead = (name) => texts.some((text) => text.includes(`'${name}'`) || new RegExp(`\\n  *${name}: `).test(text))
  // parse.ts puts `listener_NAME` of Mosquitto 2.1 in the place of NAME.
  const isAlias = (name) => name.startsWith('listener_') && isRead(name.slice('listener_'.length))
  return options
    .filter(({ instead, refused, guards }) => instead === undefined && refused === undefined && guards === undefined)
    .map(({ name }) => name)
    .filter((name) => !isRead(name) && !isAlias(name))
}
