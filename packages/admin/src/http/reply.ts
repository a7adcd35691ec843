/**
 * Answers of operations that are more than JSON with status 200.
 *
 * An operation returns a plain value, or a `Reply`; `app.ts` writes it.
 */

/** Answer with a status and headers of its own. */
export class Reply {
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>

  /** @param body JSON value; text goes out as it is; undefined for none; a stream for server-sent events */
  constructor(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** Answer without a body. */
export const done = (headers: Readonly<Record<string, string>> = {}): Reply => new Reply(204, undefined, headers)
