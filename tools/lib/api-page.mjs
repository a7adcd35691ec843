/*
 * docs/api/*.md: the public names of a package with their docstrings, from the declaration files of its build. Pure but
 * for reading those; docs.mjs writes the page, a test in tools/tidy compares it with the existing one and asks for
 * docstrings.
 */
import { exportsOf } from './declarations.mjs'

/** Lines above which the declaration of a value is cut: it is a table, with a page of its own. */
const VALUE_LINES_MAX = 60

const code = (text) => `\`\`\`ts\n${text}\n\`\`\`\n`

function sectionOf({ kind, name, from }) {
  if (from !== null) return 'From the protocol package'
  if (kind === 'function') return 'Functions'
  if (name.endsWith('Error')) return 'Errors'
  if (kind === 'class') return 'Classes'
  return kind === 'const' ? 'Values' : 'Types'
}

const order = ['Functions', 'Classes', 'Types', 'Errors', 'Values', 'From the protocol package']

/** Heading of a class or interface without its body. */
const headOf = (signature) => signature.split('\n')[0].replace(/\s*\{$/, '')

function valueSignature(signature) {
  const lines = signature.split('\n')
  return lines.length <= VALUE_LINES_MAX ? signature : `${lines[0]} … }`
}

/** Members grouped by name: overloads stay together. */
function grouped(members) {
  const groups = new Map()
  for (const member of members) groups.set(member.name, [...(groups.get(member.name) ?? []), member])
  return [...groups.values()]
}

/** Reads the API. @param entries Map of specifier (`@recado/client`, `@recado/client/store`) to its declaration file */
export function readApi(entries, packageFile) {
  const seen = new Set()
  const api = []
  for (const [specifier, file] of entries) {
    const declarations = [...exportsOf(file, packageFile)].filter(([name]) => !seen.has(name))
    for (const [name] of declarations) seen.add(name)
    api.push({ specifier, declarations: declarations.map(([, each]) => each) })
  }
  return api
}

/** Public names, and members of classes of the main entry, that have no docstring: `Client.state`. */
export function undocumented(api) {
  const missing = []
  for (const { specifier, declarations } of api) {
    for (const declaration of declarations) {
      const [{ name, kind, members, from }] = declaration
      if (from !== null) continue
      if (declaration.every(({ doc }) => doc === '')) missing.push(name)
      if (kind !== 'class' || name.endsWith('Error') || specifier !== api[0].specifier) continue
      for (const group of grouped(members)) {
        const isOwn = !group[0].name.startsWith('[')
        if (isOwn && group.every(({ doc }) => doc === '')) missing.push(`${name}.${group[0].name}`)
      }
    }
  }
  return missing
}

function sectionsOf(declarations) {
  return order
    .map((section) => [section, declarations.filter(([first]) => sectionOf(first) === section)])
    .filter(([, there]) => there.length > 0)
}

/** Anchor of each name, in the order of the headings: `aclFile` and `AclFile` have the same but for a number. */
function anchorsOf(api) {
  const counts = new Map()
  const anchors = new Map()
  for (const { declarations } of api) {
    for (const [{ name }] of sectionsOf(declarations).flatMap(([, there]) => there)) {
      const plain = name.toLowerCase()
      const count = counts.get(plain) ?? 0
      counts.set(plain, count + 1)
      anchors.set(name, count === 0 ? plain : `${plain}-${count}`)
    }
  }
  return anchors
}

export function apiPage(title, introduction, api) {
  const names = anchorsOf(api)
  /** Links each `Name` in a docstring to its section. */
  const linked = (doc, own) =>
    doc.replace(/`([A-Z]\w*)`/g, (text, name) =>
      names.has(name) && name !== own ? `[${text}](#${names.get(name)})` : text,
    )

  const memberLine = ({ signature, doc }, own) => {
    const text = linked(doc, own).replaceAll('\n', '\n  ')
    return `- \`${signature.replace(/\s*\n\s*/g, ' ')}\`${text === '' ? '' : `: ${text}`}`
  }

  const entry = (declaration) => {
    const [{ kind, name, members }] = declaration
    const doc = declaration
      .map((each) => linked(each.doc, name))
      .filter((each) => each !== '')
      .join('\n\n')
    const parts = [`### ${name}\n`]
    if (kind === 'class' || kind === 'interface') parts.push(code(headOf(declaration[0].signature)))
    else parts.push(code(declaration.map(({ signature }) => valueSignature(signature)).join('\n')))
    if (doc !== '') parts.push(`${doc}\n`)
    if (kind === 'interface' || name.endsWith('Error')) {
      if (members.length > 0) parts.push(`${members.map((member) => memberLine(member, name)).join('\n')}\n`)
      return parts.join('\n')
    }
    for (const group of grouped(members)) {
      const isMethod = /^(?!get )[^:=]*\(/.test(group[0].signature)
      parts.push(`#### ${name}.${group[0].name.replaceAll('[', '\\[')}${isMethod ? '()' : ''}\n`)
      parts.push(code(group.map(({ signature }) => signature).join('\n')))
      const text = group
        .map((member) => linked(member.doc, name))
        .filter((each) => each !== '')
        .join('\n\n')
      if (text !== '') parts.push(`${text}\n`)
    }
    return parts.join('\n')
  }

  const pages = api.map(({ specifier, declarations }) => {
    const sections = sectionsOf(declarations)
    const contents = sections.map(([section, there]) => {
      const links = there.map(([{ name }]) => `[${name}](#${names.get(name)})`)
      return `- ${section}: ${links.join(', ')}`
    })
    const texts = sections.map(([section, there]) => `## ${section} of ${specifier}\n\n${there.map(entry).join('\n')}`)
    return `**${specifier}**\n\n${contents.join('\n')}\n\n${texts.join('\n')}`
  })
  return `<!-- Generated from docstrings by npm run docs. Do not edit. -->\n\n# ${title}\n\n${introduction}\n\n${pages.join('\n')}`
}
