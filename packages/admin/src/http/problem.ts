/**
 * Errors of the API as RFC 9457 has them (`application/problem+json`): what is wrong, where, and what to do.
 *
 * Operations throw a `Problem`; `app.ts` makes an answer of it. Invariant: `detail` is a sentence for a person and never
 * has a password, a token or a payload.
 */

/** Titles by status: short, and the same for every problem of a kind. */
const titles: Readonly<Record<number, string>> = {
  400: 'The request is malformed',
  401: 'A login is needed',
  403: 'This is not allowed',
  404: 'There is no such thing',
  405: 'This method is not allowed here',
  409: 'This does not fit the present state',
  412: 'It has changed meanwhile',
  413: 'The body is too large',
  415: 'The body must be JSON',
  422: 'A value cannot be used',
  429: 'Too many requests',
  500: 'The broker has failed',
  501: 'This broker cannot do this',
  503: 'The broker cannot do this now',
}

/** A value of a request that cannot be used. */
export interface Fault {
  /** Place in the request, such as `query.limit` or `body.topic`. */
  readonly where: string
  readonly what: string
}

/** Error whose answer is a problem document. */
export class Problem extends Error {
  readonly status: number
  readonly faults: readonly Fault[]
  readonly headers: Readonly<Record<string, string>>

  /** @param detail one sentence: what is wrong, and what to do */
  constructor(
    status: number,
    detail: string,
    { faults = [], headers = {} }: { faults?: readonly Fault[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail)
    this.status = status
    this.faults = faults
    this.headers = headers
  }

  /** Returns the document. `instance` is the path of the request. */
  document(instance: string): Record<string, unknown> {
    const { status, message, faults } = this
    return {
      type: 'about:blank',
      title: titles[status] ?? 'The request has failed',
      status,
      detail: message,
      instance,
      ...(faults.length === 0 ? {} : { faults }),
    }
  }
}
