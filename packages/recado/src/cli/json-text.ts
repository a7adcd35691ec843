/**
 * JSON as mosquitto_sub prints it (by the library cJSON): members keep their order and their repetitions, numbers are
 * printed with 15 or 17 digits, `--pretty` has tabs. `JSON.parse` and `JSON.stringify` would change all of that.
 *
 * Works on binary strings (a character per byte), so that text that is not UTF-8 is printed unchanged.
 */

/** Value of JSON; `text` is printed as it stands. */
export type Json =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly Json[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [name: string, value: Json])[] }

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

export function jsonString(binary: string): Json {
  return { kind: 'text', text: quote(binary) }
}

export function jsonNumber(value: number): Json {
  return { kind: 'text', text: numberText(value) }
}

function quote(binary: string): string {
  const body = binary.replace(/["\\\u0000-\u001f]/g, (character) => {
    return escapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return `"${body}"`
}

/** Returns the number as `%1.15g`, or `%1.17g` where that loses digits. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const short = general(value, 15)
  return Number(short) === value ? short : general(value, 17)
}

function general(value: number, digits: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [mantissa, exponentText] = value.toExponential(digits - 1).split('e') as [string, string]
  const exponent = Number(exponentText)
  const strip = (text: string): string => {
    if (!text.includes('.')) return text
    let end = text.length
    while (text[end - 1] === '0') end--
    return text.slice(0, text[end - 1] === '.' ? end - 1 : end)
  }
  if (exponent >= -4 && exponent < digits) return strip(value.toFixed(Math.min(100, digits - 1 - exponent)))
  return `${strip(mantissa)}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
}

/** Function that changes a token of JSON before it is printed; `isName` marks the name of a member. */
export type Paint = (token: string, isName: boolean) => string

const plain: Paint = (token) => token

/**
 * Colours a token for a terminal, in bright colours that can be read on light and on dark: names, text, numbers and
 * words differ.
 */
export function coloured(token: string, isName: boolean): string {
  const code = isName ? 34 : token.startsWith('"') ? 32 : /^[-\d]/.test(token) ? 36 : 35
  return `\x1b[${code}m${token}\x1b[0m`
}

export function printJson(value: Json, pretty: boolean, paint: Paint = plain): string {
  return written(value, pretty, paint, 0)
}

function written(value: Json, pretty: boolean, paint: Paint, depth: number): string {
  if (value.kind === 'text') return paint(value.text, false)
  if (value.kind === 'array') {
    return `[${value.items.map((item) => written(item, pretty, paint, depth + 1)).join(pretty ? ', ' : ',')}]`
  }
  const name = (text: string): string => paint(quote(text), true)
  if (!pretty) {
    return `{${value.members.map(([key, member]) => `${name(key)}:${written(member, false, paint, depth)}`).join(',')}}`
  }
  const inner = '\t'.repeat(depth + 1)
  const members = value.members.map(
    ([key, member]) => `${inner}${name(key)}:\t${written(member, true, paint, depth + 1)}`,
  )
  return `{\n${members.join(',\n')}${members.length > 0 ? '\n' : ''}${'\t'.repeat(depth)}}`
}

/** Parses JSON; `null` when the text is none. */
export function parseJson(binary: string): Json | null {
  const parser = new Parser(binary)
  try {
    return parser.document()
  } catch (error) {
    if (error instanceof NotJson) return null
    throw error
  }
}

class NotJson extends Error {}

const NESTING_MAX = 1_000
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const whitespace = /[ \t\n\r]*/y
const stringBody = /[^"\\\u0000-\u001f]*/y
const unescaped: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): Json {
    const value = this.#value(0)
    this.#match(whitespace)
    if (this.#at !== this.#text.length) throw new NotJson()
    return value
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) throw new NotJson()
    this.#at += match[0].length
    return match[0]
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new NotJson()
  }

  #value(depth: number): Json {
    if (depth > NESTING_MAX) throw new NotJson()
    this.#match(whitespace)
    if (this.#take('{')) return this.#object(depth)
    if (this.#take('[')) return this.#array(depth)
    if (this.#take('"')) return jsonString(this.#string())
    for (const word of ['true', 'false', 'null']) if (this.#take(word)) return { kind: 'text', text: word }
    return jsonNumber(Number(this.#match(numberPattern)))
  }

  #object(depth: number): Json {
    const members: [string, Json][] = []
    this.#match(whitespace)
    if (this.#take('}')) return { kind: 'object', members }
    for (;;) {
      this.#match(whitespace)
      this.#expect('"')
      const name = this.#string()
      this.#match(whitespace)
      this.#expect(':')
      members.push([name, this.#value(depth + 1)])
      this.#match(whitespace)
      if (this.#take('}')) return { kind: 'object', members }
      this.#expect(',')
    }
  }

  #array(depth: number): Json {
    const items: Json[] = []
    this.#match(whitespace)
    if (this.#take(']')) return { kind: 'array', items }
    for (;;) {
      items.push(this.#value(depth + 1))
      this.#match(whitespace)
      if (this.#take(']')) return { kind: 'array', items }
      this.#expect(',')
    }
  }

  /** Reads a string behind its opening quotation mark. */
  #string(): string {
    let value = ''
    for (;;) {
      value += this.#match(stringBody)
      if (this.#take('"')) return value
      this.#expect('\\')
      if (this.#take('u')) value += this.#unicode()
      else {
        const character = unescaped[this.#text[this.#at] ?? '']
        if (character === undefined) throw new NotJson()
        this.#at++
        value += character
      }
    }
  }

  /** Reads a code point behind `\u`, as UTF-8. */
  #unicode(): string {
    let code = this.#hex()
    if (code >= 0xdc00 && code <= 0xdfff) throw new NotJson()
    if (code >= 0xd800 && code <= 0xdbff) {
      this.#expect('\\u')
      const low = this.#hex()
      if (low < 0xdc00 || low > 0xdfff) throw new NotJson()
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
    }
    return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1')
  }

  #hex(): number {
    return Number.parseInt(this.#match(/[0-9a-fA-F]{4}/y), 16)
  }
}
