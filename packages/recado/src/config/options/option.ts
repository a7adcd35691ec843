/**
 * The form of an option of mosquitto.conf, and the helpers for the tables of this folder: one file for each group of
 * the page.
 *
 * `../schema.ts` joins them. Invariants: every option of Mosquitto is in a table; one that has no effect here has a
 * reason (`instead`), and a warning names it where it is used; one whose absence would open what the operator meant to
 * close (`guards`) keeps it closed.
 *
 * Descriptions are our own words. Where a default differs from Mosquitto's, `doc` says so.
 */

/** Place of an option: for the broker, for the listener above it, for the bridge or plugin above it. */
export type Scope = 'global' | 'listener' | 'security' | 'bridge' | 'plugin'

export type OptionType =
  | 'boolean'
  | 'integer'
  /** The rest of the line. */
  | 'text'
  | 'choice'
  /** `14d`: a whole number and one of s h d w m y. Its value is in seconds. */
  | 'duration'
  /** Words between blanks; kept as they are. */
  | 'words'
  /** PORT [ADDRESS or unix socket path] */
  | 'listener'
  /** stdout, stderr, file PATH, ... */
  | 'destination'

export interface Option {
  readonly name: string
  readonly group: Group
  readonly scope: Scope
  readonly type: OptionType
  /** Default as it would stand in a file; '' when there is none. */
  readonly default: string
  readonly unit?: string
  /**
   * Bounds of an integer. A value below `min` is an error unless `raise`, which then takes `min`, as Mosquitto does.
   */
  readonly min?: number
  readonly max?: number
  readonly raise?: boolean
  readonly choices?: readonly string[]
  /** Largest length of a text in bytes. */
  readonly bytesMax?: number
  /**
   * Whether it may stand more than once and adds up. Otherwise a second text is an error, and of other types the last
   * value holds.
   */
  readonly repeatable?: boolean
  /** Whether a second one is an error although it is no text. */
  readonly once?: boolean
  /** Whether the last of several texts holds, with a warning: Mosquitto 2.1 accepts it, 2.0 does not. */
  readonly lastHolds?: boolean
  /** Whether it must stand below a `listener` line, as in both Mosquittos. */
  readonly belowListener?: boolean
  /** Other names. */
  readonly aliases?: readonly string[]
  /** Version of Mosquitto that introduced it. */
  readonly since?: string
  /** Default in Mosquitto, where it differs. */
  readonly mosquitto?: string
  readonly doc: string
  /** Whether its value must not be shown. */
  readonly secret?: boolean
  /** Reason why it is accepted without effect, or what to do instead; absent for a supported option. */
  readonly instead?: string
  /**
   * Advice to use instead of this option. Any value but the default is then an error, because continuing without the
   * option would open what it protects, or mislead.
   */
  readonly refused?: string
  /**
   * Right that is closed because the option has no effect yet, and ignoring it would let in what it keeps out.
   * `topics`: no client may publish or subscribe. `users`: no client may connect with a user name.
   */
  readonly guards?: 'topics' | 'users'
}

export const groups = {
  listeners: 'Listeners',
  access: 'Who may connect',
  limits: 'Limits',
  messages: 'Messages and sessions',
  persistence: 'Persistence',
  logging: 'Logging',
  general: 'General',
  tls: 'TLS',
  websockets: 'WebSockets and HTTP',
  plugins: 'Plugins',
  bridges: 'Bridges',
} as const
export type Group = keyof typeof groups

export type Rest = Omit<Partial<Option>, 'name' | 'group' | 'scope' | 'type' | 'default' | 'doc'>

export const option =
  (group: Group, scope: Scope) =>
  (name: string, type: OptionType, defaultValue: string, doc: string, rest: Rest = {}): Option => ({
    name,
    group,
    scope,
    type,
    default: defaultValue,
    doc,
    ...rest,
  })

export const UINT16_MAX = 65_535
export const INT_MAX = 2_147_483_647
