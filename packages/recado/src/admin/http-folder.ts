/**
 * `http_dir`: the files of a folder, served by HTTP.
 *
 * `http-api.ts` calls it for a path that is none of the API's. The invariant: nothing outside of the folder is served, not by `..` and not by a
 * symbolic link, and nothing whose name, or that of a folder on the way, begins with a dot (`.git`, `.env`).
 */
import { createReadStream, realpathSync, statSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ConfigError, type Setting, unreadable } from '../config/parse.ts'

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.gif': 'image/gif',
  '.htm': 'text/html; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webp': 'image/webp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml',
}

/** Whether a path leads to or through a name with a dot in front. */
const isHidden = (path: string): boolean => path.split(/[/\\]/).some((name) => name.startsWith('.'))

export class HttpFolder {
  readonly #root: string

  private constructor(root: string) {
    this.#root = root
  }

  /** @throws ConfigError for what is no folder */
  static open({ file, line, value }: Setting): HttpFolder {
    const fail = (what: string): never => {
      throw new ConfigError(file, line, `http_dir ${String(value)} ${what}`)
    }
    let root: string
    try {
      root = realpathSync(String(value))
      if (!statSync(root).isDirectory()) return fail('is not a folder')
    } catch (error) {
      if (error instanceof ConfigError) throw error
      return fail(unreadable(error))
    }
    return new HttpFolder(root)
  }

  /** Sends the file behind a path; returns false when there is none. `path` begins with a slash and is not decoded. */
  async send(path: string, response: ServerResponse): Promise<boolean> {
    const found = await this.#find(path)
    if (found === null) return false
    response.writeHead(200, {
      'content-type': types[extname(found.path).toLowerCase()] ?? 'application/octet-stream',
      'content-length': found.bytes,
      'x-content-type-options': 'nosniff',
    })
    // A file that becomes shorter meanwhile, or a client that leaves: the connection ends.
    await pipeline(createReadStream(found.path, { end: Math.max(0, found.bytes - 1) }), response).catch(() =>
      response.destroy(),
    )
    return true
  }

  async #find(path: string): Promise<{ path: string; bytes: number } | null> {
    let name: string
    try {
      name = decodeURIComponent(path)
    } catch {
      return null
    }
    if (name.includes('\0') || isHidden(name)) return null
    try {
      const real = await realpath(join(this.#root, name.endsWith('/') ? `${name}index.html` : name))
      const prefix = this.#root === sep ? sep : this.#root + sep
      // A link may lead to what is hidden.
      if (!real.startsWith(prefix) || isHidden(real.slice(prefix.length))) return null
      const facts = await stat(real)
      return facts.isFile() ? { path: real, bytes: facts.size } : null
    } catch {
      // Missing, or not for us to read: to whoever asks that is the same.
      return null
    }
  }
}
