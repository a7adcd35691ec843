/*
 * docs/learn and docs/es/learn: the pages are written by hand; the tables of bytes in them are made from the wire cases,
 * and the diagrams from the flows below. A page asks for them by marks:
 *
 *     <!-- packet: NAME OF A WIRE CASE -->   …   <!-- end -->
 *     <!-- flow: NAME OF A FLOW -->          …   <!-- end -->
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hexOf, packetRows } from '../../packages/recado/dist/learn/packet-rows.js'

const heads = {
  en: '| byte | hex | is |\n|---:|---|---|',
  es: '| byte | hex | es |\n|---:|---|---|',
}

/** Names of the two sides of a flow. */
const sideNames = {
  en: { client: 'client', server: 'server', publisher: 'publisher', subscriber: 'subscriber' },
  es: { client: 'cliente', server: 'servidor', publisher: 'publicador', subscriber: 'suscriptor' },
}

/** Table of the bytes of a wire case, which must be a well-formed packet: only of those each byte is a field. */
function packetTable({ name, version, bytes, packet }, language) {
  if (packet === undefined) throw new Error(`the wire case ${name} is malformed`)
  const rows = packetRows(bytes, version, language).map(
    ({ at, bytes: part, meaning }) => `| ${at} | \`${hexOf(part)}\` | ${meaning} |`,
  )
  return `${heads[language]}\n${rows.join('\n')}`
}

/** Flows: the two sides, and arrows between them, `>` from the first to the second; a note stands alone. */
const flows = {
  connect: {
    sides: ['client', 'server'],
    arrows: ['> CONNECT', '< CONNACK', '> PINGREQ', '< PINGRESP', '> DISCONNECT'],
  },
  qos0: { sides: ['publisher', 'server'], arrows: ['> PUBLISH'] },
  qos1: { sides: ['publisher', 'server'], arrows: ['> PUBLISH, QoS 1, id 7', '< PUBACK, id 7'] },
  'qos1-lost': {
    sides: ['publisher', 'server'],
    arrows: ['> PUBLISH, QoS 1, id 7', 'x PUBACK, id 7', '> PUBLISH, QoS 1, id 7, DUP', '< PUBACK, id 7'],
  },
  qos2: {
    sides: ['publisher', 'server'],
    arrows: ['> PUBLISH, QoS 2, id 7', '< PUBREC, id 7', '> PUBREL, id 7', '< PUBCOMP, id 7'],
  },
  subscribe: {
    sides: ['subscriber', 'server'],
    arrows: [
      '> SUBSCRIBE casa/#, id 1',
      '< SUBACK, id 1',
      '< PUBLISH casa/sala',
      '> UNSUBSCRIBE casa/#, id 2',
      '< UNSUBACK, id 2',
    ],
  },
  session: {
    sides: ['client', 'server'],
    arrows: [
      '> CONNECT, Clean Session 0',
      '< CONNACK, Session Present 0',
      '> SUBSCRIBE',
      '< SUBACK',
      '- ',
      '> CONNECT, Clean Session 0',
      '< CONNACK, Session Present 1',
      '< PUBLISH',
    ],
  },
}

/** Sequence diagram as SVG, light and dark by the reader's settings. */
export function flowChart(name, language) {
  const { sides, arrows } = flows[name]
  const [left, right, step, top] = [90, 470, 40, 56]
  const bottom = top + arrows.length * step
  const parts = sides.map((side, i) => {
    const x = [left, right][i]
    const label = sideNames[language][side]
    return `<text class="side" x="${x}" y="24" text-anchor="middle">${label}</text><line class="life" x1="${x}" y1="36" x2="${x}" y2="${bottom}"/>`
  })
  arrows.forEach((arrow, i) => {
    const y = top + i * step + 18
    const label = arrow.slice(2)
    if (arrow[0] === '-') {
      parts.push(`<line class="gap" x1="${left - 40}" y1="${y - 6}" x2="${right + 40}" y2="${y - 6}"/>`)
      return
    }
    const [from, to] = arrow[0] === '>' ? [left, right] : [right, left]
    const end = arrow[0] === 'x' ? (from + to) / 2 : to
    const tip = end + (from < to ? -8 : 8)
    parts.push(`<text x="${(left + right) / 2}" y="${y - 6}" text-anchor="middle">${label}</text>`)
    parts.push(`<line class="arrow" x1="${from}" y1="${y}" x2="${end}" y2="${y}"/>`)
    parts.push(
      arrow[0] === 'x'
        ? `<path class="lost" d="M${end - 6} ${y - 6}l12 12m0 -12l-12 12"/>`
        : `<path class="tip" d="M${end} ${y}L${tip} ${y - 5}L${tip} ${y + 5}Z"/>`,
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 ${bottom + 12}" role="img" aria-label="${arrows.map((arrow) => arrow.slice(2)).join(', ')}">
<style>text{font:14px system-ui,sans-serif;fill:#24292f}.side{font-weight:600}.life{stroke:#8c959f;stroke-dasharray:4 4}.gap{stroke:#8c959f;stroke-width:6}.arrow{stroke:#0072b2;stroke-width:1.6}.tip{fill:#0072b2}.lost{stroke:#d55e00;stroke-width:2.5;fill:none}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.arrow{stroke:#56b4e9}.tip{fill:#56b4e9}}</style>
${parts.join('\n')}
</svg>
`
}

/**
 * @param root folder of the repository
 * @param wireCases the table of `@recado/protocol`
 * @returns path and text of each page and diagram
 */
export function learnPages(root, wireCases) {
  const byName = new Map(wireCases.map((each) => [each.name, each]))
  const made = []
  for (const [folder, language] of [
    ['docs/learn', 'en'],
    ['docs/es/learn', 'es'],
  ]) {
    for (const file of readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .sort()) {
      const page = readFileSync(join(root, folder, file), 'utf8')
      const filled = page.replace(
        /(<!-- (packet|flow): (.+?) -->\n)[\s\S]*?(<!-- end -->)/g,
        (_, begin, kind, name, end) => {
          if (kind === 'flow') {
            if (flows[name] === undefined) throw new Error(`${folder}/${file}: there is no flow ${name}`)
            made.push([`${folder}/${name}.svg`, flowChart(name, language)])
            return `${begin}\n![${name}](${name}.svg)\n\n${end}`
          }
          const wireCase = byName.get(name)
          if (wireCase === undefined) throw new Error(`${folder}/${file}: there is no wire case ${name}`)
          return `${begin}\n${packetTable(wireCase, language)}\n\n${end}`
        },
      )
      made.push([`${folder}/${file}`, filled])
    }
  }
  return made
}
