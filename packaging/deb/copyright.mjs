/*
 * debian/copyright of the package: our licence, that of the runtime, and those of the dependencies that are in it.
 *
 * Invariant: every part that is in the package has its licence there, with the holders' own words.
 */

const indented = (text) =>
  text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n')

const holders = (text) => {
  const lines = text
    .split('\n')
    .filter((line) => /^\s*(?:Portions )?Copyright\b.*\d{4}|^\s*(?:Copyright )?\(c\)\s/i.test(line))
  const found = [...new Set(lines.map((line) => line.trim()))]
  return found.length === 0 ? 'its authors, as named in its package.json' : found.slice(0, 20).join('\n  ')
}

/** Text of the file. `runtime` and `parts` have name, version and the text of their licence. */
export function copyrightFile(runtime, parts) {
  const paragraphs = [
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: recado\nSource: https://example.com/recado',
    `Files: *\nCopyright: the authors of Recado\nLicense: Apache-2.0`,
    `Files: usr/lib/recado/node\nCopyright: ${holders(runtime.licenseText)}\nLicense: Node.js-${runtime.version}`,
  ]
  const licences = new Map([[`Node.js-${runtime.version}`, indented(runtime.licenseText)]])
  const idOf = ({ name, version, license }) =>
    license === 'Apache-2.0' ? license : `${license}-${name.replace('@', '').replace('/', '-')}-${version}`
  const bundled = parts.filter(({ isBundled }) => isBundled)
  const bundledBy = bundled.map(({ name, licenseText }) => `\n  ${name}: ${holders(licenseText ?? '')}`)
  const bundledUnder = [...new Set(['Apache-2.0', ...bundled.map(idOf)])]
  paragraphs.push(
    `Files: usr/lib/recado/node_modules/recado/bundle/*\nCopyright: the authors of Recado${bundledBy.join('')}\nLicense: ${bundledUnder.join(' and ')}`,
  )
  for (const part of parts) {
    const { name, license, licenseText } = part
    const id = idOf(part)
    if (!part.isBundled) {
      paragraphs.push(
        `Files: usr/lib/recado/node_modules/${name}/*\nCopyright: ${holders(licenseText ?? '')}\nLicense: ${id}`,
      )
    }
    if (/Apache-2\.0/.test(license)) continue
    const text = licenseText ?? `${license}, as its package.json says; there is no text of the licence beside it.`
    licences.set(id, indented(text))
  }
  licences.set(
    'Apache-2.0',
    ' On Debian systems the text of the Apache License, Version 2.0, is in\n /usr/share/common-licenses/Apache-2.0.',
  )
  for (const [name, text] of licences) paragraphs.push(`License: ${name}\n${text}`)
  return `${paragraphs.join('\n\n')}\n`
}
