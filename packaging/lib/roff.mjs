/*
 * Manual pages in roff, by the macros of man(7): texts are escaped, lines of our Markdown become bold and italics.
 *
 * Invariant: no text can become a request of roff: a line never begins with a dot or an apostrophe of ours.
 */

/** Text as roff shows it, character by character. */
export function escapeRoff(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', "'")
    .replaceAll('‘', "'")
    .replaceAll('“', '"')
    .replaceAll('”', '"')
    .replace(/^([.'])/gm, '\\&$1')
}

/** Paragraph of Markdown: `code` and **strong** bold, links as their texts. */
export function inline(markdown) {
  const plain = markdown.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
  return plain
    .split(/(`[^`]+`|\*\*[^*]+\*\*)/)
    .map((part) => {
      if (part.startsWith('`')) return `\\fB${escapeRoff(part.slice(1, -1))}\\fR`
      if (part.startsWith('**')) return `\\fB${escapeRoff(part.slice(2, -2))}\\fR`
      return escapeRoff(part)
    })
    .join('')
    .replace(/^([.'])/, '\\&$1')
}

/** Lines that stay as they are. */
export const verbatim = (text) => `.nf\n${escapeRoff(text.replace(/\s+$/, ''))}\n.fi`

/** Page. `sections` are [title, roff] pairs; a null text leaves its section out. */
export function manualPage({ name, section, date, version, manual, sections }) {
  const quoted = (text) => `"${escapeRoff(text).replaceAll('"', '\\(dq')}"`
  const head = `.TH ${quoted(name.toUpperCase())} ${section} "${date}" ${quoted(`recado ${version}`)} ${quoted(manual)}`
  const body = sections
    .filter(([, text]) => text !== null && text !== '')
    .map(([title, text]) => `.SH ${title}\n${text}`)
  return `${[head, '.nh', '.ad l', ...body].join('\n')}\n`
}
