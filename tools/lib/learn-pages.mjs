/*
 * docs/learn and docs/es/learn: the pages are written by hand; the tables of bytes in them are made from the wire cases,
 * and the diagrams from the flows below. A page asks for them by marks:
 *
 *     <!-- packet: NAME OF A WIRE CASE -->   …   <!-- end -->
 *     <!-- flow: NAME OF A FLOW -->          …   <!-- end -->
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const words = {
  en: {
    head: '| byte | hex | is |\n|---:|---|---|',
    type: (n, name, flags) => `packet type ${n}, ${name}; flags ${flags}`,
    remaining: (n) => `Remaining Length: ${n} bytes follow`,
    length: (field, n) => `length of the ${field}: ${n}`,
    more: 'and more',
    flow: { client: 'client', server: 'server', publisher: 'publisher', subscriber: 'subscriber' },
  },
  es: {
    head: '| byte | hex | es |\n|---:|---|---|',
    type: (n, name, flags) => `tipo de paquete ${n}, ${name}; flags ${flags}`,
    remaining: (n) => `Remaining Length: siguen ${n} bytes`,
    length: (field, n) => `longitud de ${field}: ${n}`,
    more: 'y más',
    flow: { client: 'cliente', server: 'servidor', publisher: 'publicador', subscriber: 'suscriptor' },
  },
}

const typeNames = [
  ...[
    '',
    'CONNECT',
    'CONNACK',
    'PUBLISH',
    'PUBACK',
    'PUBREC',
    'PUBREL',
    'PUBCOMP',
    'SUBSCRIBE',
    'SUBACK',
    'UNSUBSCRIBE',
  ],
  ...['UNSUBACK', 'PINGREQ', 'PINGRESP', 'DISCONNECT', 'AUTH'],
]

const bits = (value, count) => value.toString(2).padStart(count, '0')
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
const text = (bytes) => `\`${new TextDecoder().decode(bytes)}\``

/** Walks over a packet of MQTT 3.1.1 and gives each part a row: first byte, bytes, meaning. */
class Rows {
  rows = []
  at = 0
  constructor(bytes, language) {
    this.bytes = bytes
    this.words = words[language]
  }
  take(count, meaning) {
    const part = this.bytes.subarray(this.at, this.at + count)
    this.rows.push(`| ${this.at + 1} | \`${hex(part)}\` | ${typeof meaning === 'function' ? meaning(part) : meaning} |`)
    this.at += count
    return part
  }
  integer(name) {
    const value = this.bytes[this.at] * 256 + this.bytes[this.at + 1]
    this.take(2, `${name}: ${value}`)
    return value
  }
  /** A field with two bytes of length before it. */
  field(name, isText = true) {
    const length = this.bytes[this.at] * 256 + this.bytes[this.at + 1]
    this.take(2, this.words.length(name, length))
    if (length > 0) this.take(length, (part) => (isText ? `${name}: ${text(part)}` : name))
  }
}

const connectFlagNames = [
  'reserved',
  'Clean Session',
  'Will Flag',
  null,
  null,
  'Will Retain',
  'Password Flag',
  'User Name Flag',
]

function connectFlags(flags) {
  const names = connectFlagNames.filter((name, bit) => name !== null && (flags >> bit) & 1)
  if (flags & 4) names.push(`Will QoS ${(flags >> 3) & 3}`)
  return `Connect Flags \`${bits(flags, 8)}\`${names.length > 0 ? `: ${names.join(', ')}` : ''}`
}

const bodies = {
  CONNECT(rows) {
    rows.field('Protocol Name')
    rows.take(1, (part) => `Protocol Level ${part[0]}: MQTT 3.1.1`)
    const flags = rows.take(1, (part) => connectFlags(part[0]))[0]
    rows.integer('Keep Alive, s')
    rows.field('Client Identifier')
    if (flags & 0x04) {
      rows.field('Will Topic')
      rows.field('Will Message')
    }
    if (flags & 0x80) rows.field('User Name')
    if (flags & 0x40) rows.field('Password', false)
  },
  CONNACK(rows) {
    rows.take(1, (part) => `Session Present: ${part[0]}`)
    rows.take(1, (part) => `Connect Return Code: ${part[0]}`)
  },
  PUBLISH(rows) {
    rows.field('Topic Name')
    if (rows.bytes[0] & 0x06) rows.integer('Packet Identifier')
    if (rows.at < rows.bytes.length) rows.take(rows.bytes.length - rows.at, (part) => `Payload: ${text(part)}`)
  },
  SUBSCRIBE(rows) {
    rows.integer('Packet Identifier')
    while (rows.at < rows.bytes.length) {
      rows.field('Topic Filter')
      rows.take(1, (part) => `Requested QoS: ${part[0]}`)
    }
  },
  UNSUBSCRIBE(rows) {
    rows.integer('Packet Identifier')
    while (rows.at < rows.bytes.length) rows.field('Topic Filter')
  },
  SUBACK(rows) {
    rows.integer('Packet Identifier')
    while (rows.at < rows.bytes.length) {
      rows.take(1, (part) => `Return Code: ${part[0] === 128 ? '128, Failure' : `QoS ${part[0]}`}`)
    }
  },
}
for (const name of ['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'UNSUBACK']) {
  bodies[name] = (rows) => rows.integer('Packet Identifier')
}

/** Table of the bytes of a packet. */
export function packetTable(bytes, language) {
  const rows = new Rows(bytes, language)
  const type = bytes[0] >> 4
  const flagNames = []
  if (type === 3) {
    if (bytes[0] & 8) flagNames.push('DUP')
    flagNames.push(`QoS ${(bytes[0] >> 1) & 3}`)
    if (bytes[0] & 1) flagNames.push('RETAIN')
  }
  const flags = `\`${bits(bytes[0] & 15, 4)}\`${flagNames.length > 0 ? ` (${flagNames.join(', ')})` : ''}`
  rows.take(1, rows.words.type(type, typeNames[type], flags))
  let count = 1
  while (bytes[count] & 0x80) count++
  const remaining = bytes.length - 1 - count
  rows.take(count, rows.words.remaining(remaining))
  bodies[typeNames[type]]?.(rows)
  if (rows.at !== bytes.length) throw new Error(`${typeNames[type]}: ${bytes.length - rows.at} bytes have no row`)
  return `${rows.words.head}\n${rows.rows.join('\n')}`
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
    const label = words[language].flow[side]
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
          return `${begin}\n${packetTable(wireCase.bytes, language)}\n\n${end}`
        },
      )
      made.push([`${folder}/${file}`, filled])
    }
  }
  return made
}
