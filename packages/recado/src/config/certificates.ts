/**
 * The certificates of a folder, as `capath` and `bridge_capath` name one.
 *
 * Called by `tls.ts` for listeners and by `bridge/bridge-tls.ts` for bridges, which say in their own errors what is wrong.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Returns the text of every file of the folder that has a certificate. @throws the error of the file system */
export function certificatesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => readFileSync(join(folder, entry.name), 'latin1'))
    .filter((text) => text.includes('-----BEGIN CERTIFICATE-----'))
}
