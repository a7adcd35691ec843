/**
 * Roles of those who use the API, and who a caller is.
 *
 * `identify.ts` finds the caller of a request, `app.ts` compares the role with that of the operation. A role may do all
 * that those before it may.
 */

/** Roles from the least to the most: `viewer` looks, `operator` acts on clients and messages, `admin` on the broker. */
export const roles = ['viewer', 'operator', 'admin'] as const
/** A role of the API. */
export type Role = (typeof roles)[number]

/** Whether somebody with the role `has` may do what asks for `asked`. */
export const isEnough = (has: Role, asked: Role): boolean => roles.indexOf(has) >= roles.indexOf(asked)

/** Sender of a request. */
export interface Caller {
  /** User name, or the name of a token; `anonymous` for nobody in particular. */
  readonly name: string
  readonly role: Role
  readonly via: 'anonymous' | 'login' | 'token' | 'session'
  /** Address and port, as in `127.0.0.1:50123`. */
  readonly remoteAddress: string
  /** Name of the listener. */
  readonly listener: string
}
