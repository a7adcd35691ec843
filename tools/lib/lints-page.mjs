/* docs/lints.md: every finding of `recado config lint`, from the table that it is made of. */

/** @param {readonly import('../../packages/recado/dist/lint/table.js').Lint[]} lints */
export function lintsPage(lints) {
  const section = ({ name, level, title, why, remedy }) =>
    `## ${name}\n\n**${title}.** *${level === 'warning' ? 'Warning' : 'Note'}.*\n\n${why}\n\nWhat to do: ${remedy}\n`
  return `<!-- Generated from packages/recado/src/lint/table.ts by "npm run docs". Do not edit. -->

# Findings of \`recado config lint\`

\`recado config lint FILE\` looks for what is risky in a configuration, and for what in it has no effect. Nothing is started. Each finding
has the line that it is about, and a name that is explained here. A *warning* makes the exit code 1, a *note* does so with \`--strict\`
only; \`--ignore NAME\` leaves one out, \`--json\` is for programs. A configuration that cannot be read is exit code 3.

${lints.map(section).join('\n')}`
}
