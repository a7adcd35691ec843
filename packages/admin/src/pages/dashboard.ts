/**
 * The files of the dashboard, as an HTTP handler: the page itself for every path that is one of its views, and its
 * assets by the names that the build gave them.
 *
 * `admin.ts` asks it first. Invariants: what can be served is known from the beginning (the names in the folder), so that no
 * path leads anywhere else; the page may load nothing but what this listener serves, and runs no script that is not in a
 * file of it; it has nothing of the broker in it, so that it needs no login.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { endIfUnread } from '../http/unread.ts'

/** Views with an address of their own; the page finds out which one it is. */
const views: ReadonlySet<string> = new Set([
  '/',
  '/clients',
  '/client',
  '/topics',
  '/live',
  '/publish',
  '/why',
  '/trace',
  '/drops',
  '/shared',
  '/bridges',
  '/configuration',
  '/bans',
  '/tokens',
  '/audit',
])

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
}
/** Types that are compressed already. */
const compressed = new Set(['.woff2'])
const PAGE = 'index.html'
const ASSETS = '/assets/'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  // Text never becomes markup or code in the page: the browser itself refuses it.
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const headers: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

interface File {
  readonly type: string
  /** Body by gzip; null where that is no shorter. */
  readonly zipped: Buffer | null
  readonly tag: string
}

export class Dashboard {
  /** All files as they were at the start: a build meanwhile does not mix two of them. */
  readonly #bodies: ReadonlyMap<string, Buffer>
  /** Files that were asked for. */
  readonly #files: Map<string, File> = new Map()

  /** @param folder files that the build has made; without them the page says how to make them */
  constructor(folder: string) {
    this.#bodies = new Map(namesIn(folder).map((name) => [name, readFileSync(join(folder, name))]))
  }

  /** Whether the path is a view or a file of the dashboard. */
  has(path: string): boolean {
    return this.#nameFor(path) !== null
  }

  /** Answers a request for a path that `has`. */
  send(path: string, request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { ...headers, allow: 'GET, HEAD', 'content-type': 'text/plain; charset=utf-8' })
      response.end('Only GET and HEAD can be done here.\n')
      return
    }
    const name = this.#nameFor(path)!
    const body = this.#bodies.get(name)
    if (body === undefined) {
      response.writeHead(503, { ...headers, 'content-type': 'text/plain; charset=utf-8' })
      response.end('The dashboard has not been built: run "npm run build" in the folder of the source code.\n')
      return
    }
    const { type, zipped, tag } = this.#fileOf(name, body)
    const isPage = name === PAGE
    const common = {
      ...headers,
      etag: tag,
      vary: 'accept-encoding',
      // The name of an asset has a hash of its contents.
      'cache-control': isPage ? 'no-cache' : 'public, max-age=31536000, immutable',
    }
    if (request.headers['if-none-match'] === tag) {
      response.writeHead(304, common).end()
      return
    }
    const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
    const sent = takesGzip && zipped !== null ? zipped : body
    endIfUnread(response)
    response.writeHead(200, {
      ...common,
      'content-type': type,
      'content-length': sent.length,
      ...(sent === zipped ? { 'content-encoding': 'gzip' } : {}),
    })
    response.end(request.method === 'HEAD' ? undefined : sent)
  }

  /** Name of the file behind a path; null for none. */
  #nameFor(path: string): string | null {
    if (views.has(path)) return PAGE
    if (!path.startsWith(ASSETS)) return null
    const name = path.slice(ASSETS.length)
    return name !== PAGE && this.#bodies.has(name) ? name : null
  }

  #fileOf(name: string, body: Buffer): File {
    const known = this.#files.get(name)
    if (known !== undefined) return known
    const zipped = compressed.has(extname(name)) ? null : gzipSync(body, { level: 9 })
    const tag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
    const file = {
      ...{ type: types[extname(name)] ?? 'application/octet-stream', tag },
      zipped: zipped !== null && zipped.length < body.length ? zipped : null,
    }
    this.#files.set(name, file)
    return file
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
