/** Tables and chart of `npm run bench:wire-cost`, from what was counted, in English or Spanish. */

const words = {
  en: {
    protocol: 'protocol',
    toConnect: 'to connect: packets',
    reading: 'a reading: packets',
    keepAlive: 'a keep-alive: bytes',
    year: 'MB in a year, one a minute',
    packets: 'packets',
    kept: 'With a connection that is kept',
    alone: 'A device that sleeps: connects, sends one reading, goes',
    chart: 'IP bytes for one reading of 16 bytes, logarithmic',
    chartKept: 'over a connection that is kept',
    chartAlone: 'connecting for it, and going',
    names: {},
  },
  es: {
    protocol: 'protocolo',
    toConnect: 'conectar: paquetes',
    reading: 'una lectura: paquetes',
    keepAlive: 'un keep-alive: bytes',
    year: 'MB al año, una por minuto',
    packets: 'paquetes',
    kept: 'Con una conexión que se mantiene',
    alone: 'Un dispositivo que duerme: se conecta, envía una lectura, se va',
    chart: 'Bytes IP por una lectura de 16 bytes, logarítmico',
    chartKept: 'por una conexión que se mantiene',
    chartAlone: 'conectándose para ella y yéndose',
    names: {
      resumed: 'reanudado',
      'kept alive': 'mantenido',
      'a connection each': 'una conexión cada vez',
      'non-confirmable': 'no confirmable',
      observed: 'observado',
    },
  },
}

/** Name of a protocol, whose parts are separated by commas. */
const nameIn = ({ names }, name) =>
  name
    .split(', ')
    .map((part) => names[part] ?? part.replace(/ resumed$/, () => ` ${names.resumed ?? 'resumed'}`))
    .join(', ')

const total = ({ bytesOut, bytesIn }) => bytesOut + bytesIn
const sum = (...costs) => ({
  packets: costs.reduce((all, cost) => all + cost.packets, 0),
  bytesOut: costs.reduce((all, cost) => all + cost.bytesOut, 0),
  bytesIn: costs.reduce((all, cost) => all + cost.bytesIn, 0),
})
const opensEachTime = (name) => name.includes('a connection each')
const table = (head, rows) => {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    `|---|${head
      .slice(1)
      .map(() => '---:')
      .join('|')}|`,
    ...rows.map(line),
  ].join('\n')
}

/** A reading by a device that sleeps in between: it connects, sends, and goes. */
function alone({ name, sendsAtOpen, open, reading, close }) {
  if (opensEachTime(name)) return reading
  return sendsAtOpen ? sum(open, close) : sum(open, reading, close)
}

/** @returns `{ tables, chart }`: Markdown, and an SVG of bytes per reading */
export function report(rows, radios, wakeUp, language = 'en') {
  const text = words[language]
  const kept = table(
    [text.protocol, text.toConnect, 'bytes', text.reading, 'bytes', text.keepAlive, text.year],
    rows.map(({ name, open, reading, ping }) => [
      nameIn(text, name),
      opensEachTime(name) ? '' : open.packets,
      opensEachTime(name) ? '' : total(open),
      reading.packets.toFixed(1).replace('.0', ''),
      Math.round(total(reading)),
      ping === null ? '' : total(ping),
      ((total(reading) * 60 * 24 * 365) / 1e6).toFixed(0),
    ]),
  )
  const names = Object.keys(radios)
  const energy = table(
    [text.protocol, text.packets, 'bytes', ...names.map((name) => `${name}, mJ`)],
    rows.map((row) => {
      const cost = alone(row)
      return [
        nameIn(text, row.name),
        Math.round(cost.packets),
        Math.round(total(cost)),
        ...names.map((name) => Math.round(wakeUp(radios[name], cost))),
      ]
    }),
  )
  const tables = [`### ${text.kept}`, kept, `### ${text.alone}`, energy, ''].join('\n\n')
  return { tables, chart: chartOf(rows, text) }
}

/** Bars on a logarithmic scale, dark and light by the reader's settings. */
function chartOf(rows, words) {
  const [left, top, step, width] = [330, 52, 26, 820]
  const most = Math.max(...rows.map((row) => total(alone(row))))
  const scale = (bytes) => Math.max(1, ((Math.log10(bytes) - 1) / (Math.log10(most) - 1)) * (width - left - 80))
  const height = top + rows.length * step + 20
  const bars = rows.map((row, i) => {
    const y = top + i * step
    const [each, single] = [Math.round(total(row.reading)), Math.round(total(alone(row)))]
    return [
      `<text x="${left - 10}" y="${y + 14}" text-anchor="end">${nameIn(words, row.name)}</text>`,
      `<rect class="alone" x="${left}" y="${y + 2}" width="${scale(single).toFixed(1)}" height="7" rx="2"/>`,
      `<rect class="kept" x="${left}" y="${y + 10}" width="${scale(each).toFixed(1)}" height="7" rx="2"/>`,
      `<text class="number" x="${(left + scale(Math.max(single, each)) + 8).toFixed(1)}" y="${y + 14}">${each} / ${single}</text>`,
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="IP bytes for one reading of a sensor">
<style>text{font:13px system-ui,sans-serif;fill:#24292f}.number{font-size:12px;fill:#57606a}.kept{fill:#0072b2}.alone{fill:#e69f00}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.number{fill:#9aa4ae}.kept{fill:#56b4e9}}</style>
<text x="${left}" y="20" font-weight="600">${words.chart}</text>
<rect class="kept" x="${left}" y="30" width="12" height="8" rx="2"/><text class="number" x="${left + 18}" y="38">${words.chartKept}</text>
<rect class="alone" x="${left + 220}" y="30" width="12" height="8" rx="2"/><text class="number" x="${left + 238}" y="38">${words.chartAlone}</text>
${bars.join('\n')}
</svg>
`
}
