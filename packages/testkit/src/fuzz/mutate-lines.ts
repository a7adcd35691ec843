/**
 * Changes texts made of lines: configuration, password and ACL files. Called by the targets of those parsers.
 *
 * Lines are removed, doubled, moved and exchanged, words of one are put into another; and bytes are changed blindly, so
 * that invalid UTF-8 occurs as well (as the replacement character, as in a file read as text).
 */
import { mutateBytes } from './mutate.ts'
import type { FuzzRandom } from './target.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const ODD = [
  '',
  ' ',
  '\t',
  '#',
  '"',
  "'",
  '\\',
  '\r',
  '\u0000',
  '\u2028',
  '￿',
  '%c',
  '%u',
  '%%',
  '+',
  '#',
  '/',
  '$',
  ':',
  '$6$',
  '$7$',
  '-1',
  '0',
  '99999999999999999999',
  '1e3',
  '0x10',
  'true',
  'false',
  '__proto__',
  'constructor',
  'toString',
  '../..',
  'é',
  '𝒳',
  '\ud800',
] as const

export function mutateLines(input: Uint8Array, other: Uint8Array, random: FuzzRandom): Uint8Array {
  if (random.oneIn(4)) return mutateBytes(input, other, random)
  const lines = decoder.decode(input).split('\n')
  const others = decoder.decode(other).split('\n')
  const at = random.below(lines.length)
  const line = lines[at]!
  const words = line.split(' ')
  switch (random.below(9)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(random.below(lines.length + 1), 0, line)
      break
    case 2:
      lines.splice(at, 0, random.pick(others))
      break
    case 3:
      lines[at] = random.pick(others)
      break
    case 4:
      words[random.below(words.length)] = random.pick(random.pick(others).split(' '))
      lines[at] = words.join(' ')
      break
    case 5:
      words.splice(random.below(words.length + 1), random.below(2), random.pick(ODD))
      lines[at] = words.join(' ')
      break
    case 6: {
      const cut = random.below(line.length + 1)
      lines[at] = line.slice(0, cut) + random.pick(ODD) + line.slice(cut + random.below(3))
      break
    }
    case 7:
      lines[at] = line.repeat(1 + random.below(4))
      break
    default:
      lines[at] = words.slice(0, random.below(words.length + 1)).join(' ')
  }
  return encoder.encode(lines.join('\n'))
}

export const textOf = (input: Uint8Array): string => decoder.decode(input)
export const seedsOf = (...texts: string[]): Uint8Array[] => texts.map((text) => encoder.encode(text))
