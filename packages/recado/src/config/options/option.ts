/**
 * The form of an option of mosquitto.conf, and what the tables of this folder are written with: one file for each group of the page.
 *
 * `../schema.ts` joins them. The invariants: an option that is in Mosquitto is in a table; one that has no effect here says why (`instead`), and is
 * warned about by name where it is used; one whose absence would open what the operator meant to close (`guards`) keeps it closed.
 *
 * Descriptions are our own words. Where a default differs from Mosquitto's, `doc` says so.
 */

/** Where an option stands: for the broker, for the listener above it, for the bridge or plugin above it. */
export type Scope = 'global' | 'listener' | 'security' | 'bridge' | 'plugin'

export type OptionType =
  | 'boolean'
  | 'integer'
  /** The rest of the line. */
  | 'text'
  | 'choice'
  /** `14d`: a whole number and one of s h d w m y. Its value is seconds. */
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
  /** As it would stand in a file; '' when there is none. */
  readonly default: string
  readonly unit?: string
  /** Bounds of an integer. Below `min` is an error unless `raise`, which takes `min` as Mosquitto does. */
  readonly min?: number
  readonly max?: number
  readonly raise?: boolean
  readonly choices?: readonly string[]
  /** Bytes of a text. */
  readonly bytesMax?: number
  /** May stand more than once and adds up. Otherwise text is an error the second time, and of the rest the last holds. */
  readonly repeatable?: boolean
  /** An error the second time although it is no text. */
  readonly once?: boolean
  /** Text of which the last holds, with a warning: Mosquitto 2.1 takes it, 2.0 does not. */
  readonly lastHolds?: boolean
  /** Stands below a `listener` line or is an error, as in both Mosquittos. */
  readonly belowListener?: boolean
  /** What else it is called. */
  readonly aliases?: readonly string[]
  /** Since this version of Mosquitto. */
  readonly since?: string
  /** The default in Mosquitto, where it is another. */
  readonly mosquitto?: string
  readonly doc: string
  /** Not to be shown to whoever looks at the configuration. */
  readonly secret?: boolean
  /** Absent: supported. Otherwise it is accepted without effect, and this says why, or what to do instead. */
  readonly instead?: string
  /** Any value but the default is an error, since to go on without it would open what it protects, or mislead; this says what to do instead. */
  readonly refused?: string
  /**
   * Has no effect yet, and ignoring it would let in what it keeps out. `topics`: nobody may publish or subscribe. `users`: nobody may connect
   * with a user name.
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
