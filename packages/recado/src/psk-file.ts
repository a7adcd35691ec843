/**
 * Mosquitto's `psk_file`: a line for each identity, `IDENTITY:KEY`, the key in hex digits.
 *
 * `config/tls.ts` reads it when a listener opens and on SIGHUP. Invariant: a line that is not understood is an error
 * with its number; no message contains a key.
 */
import { ConfigError } from './config/parse.ts'

/** Parses the file. @throws ConfigError */
export function parsePskFile(text: string, path: string): Map<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>()
  for (const [index, whole] of text.split('\n').entries()) {
    const line = whole.trim()
    if (line === '' || line.startsWith('#')) continue
    const fail = (what: string): never => {
      throw new ConfigError(path, index + 1, what)
    }
    const end = line.indexOf(':')
    if (end <= 0) return fail('expected IDENTITY:KEY')
    const identity = Buffer.from(line.slice(0, end), 'latin1').toString('utf8')
    const key = line.slice(end + 1)
    if (!/^(?:[0-9a-fA-F]{2})+$/.test(key))
      return fail(`the key of ${JSON.stringify(identity)} is not pairs of hex digits`)
    // OpenSSL accepts 256 bytes at most.
    if (key.length > 512) return fail(`the key of ${JSON.stringify(identity)} is longer than 256 bytes`)
    if (keys.has(identity)) return fail(`${JSON.stringify(identity)} stands already above`)
    keys.set(identity, Uint8Array.from(Buffer.from(key, 'hex')))
  }
  return keys
}
