/**
 * Every finding of `recado config lint`: its name, its level, the reason, and the remedy.
 *
 * `lint.ts` finds them; docs/lints.md is made from this table. Invariant: a finding has a name of this table.
 */

export type LintName =
  | 'anonymous-public'
  | 'no-tls'
  | 'passwords-in-clear'
  | 'no-acl'
  | 'proxy-protocol-public'
  | 'queue-unbounded'
  | 'retained-unbounded'
  | 'memory-unbounded'
  | 'sessions-for-ever'
  | 'nothing-kept'
  | 'survives-no-power-cut'
  | 'no-effect'
  | 'file-readable'
  | 'file-writable'
  | 'certificate-expires'
  | 'old-password-hash'
  | 'runs-as-root'
  | 'bridge-in-clear'
  | 'bridge-unchecked'

export interface Lint {
  readonly name: LintName
  /** Level. A `warning` makes the exit code 1; a `note` does so with --strict only. */
  readonly level: 'warning' | 'note'
  /** Title in a few words. */
  readonly title: string
  readonly why: string
  readonly remedy: string
}

export const lintTable: readonly Lint[] = [
  {
    name: 'anonymous-public',
    level: 'warning',
    title: 'Strangers may connect over the network',
    why: 'The listener can be reached from other machines and `allow_anonymous` is true: whoever reaches the port may publish and subscribe.',
    remedy:
      '`allow_anonymous false` and a `password_file`, tokens or client certificates; or an address of this machine (`listener 1883 127.0.0.1`).',
  },
  {
    name: 'no-tls',
    level: 'warning',
    title: 'A listener on the network without TLS',
    why: 'Whoever is between a client and the broker reads and changes all messages.',
    remedy:
      '`certfile` and `keyfile`; or a proxy that speaks TLS, with this listener on an address that only the proxy reaches.',
  },
  {
    name: 'passwords-in-clear',
    level: 'warning',
    title: 'Passwords or tokens go over the network in the clear',
    why: 'Clients log in on a listener without TLS: whoever listens on the way has their passwords, and can log in as well.',
    remedy: 'TLS, as for `no-tls`. MQTT 5.0 clients that log in by SCRAM send no password, others do.',
  },
  {
    name: 'no-acl',
    level: 'note',
    title: 'Whoever is logged in may do everything',
    why: 'The listener asks who clients are, and nothing says what each may publish and receive: one stolen password reads and writes all topics.',
    remedy: '`acl_file`; see [access.md](access.md). `recado acl check` says what a file allows.',
  },
  {
    name: 'proxy-protocol-public',
    level: 'warning',
    title: 'Anybody may claim any address',
    why: 'The listener believes the PROXY header of whoever connects and can be reached from other machines. Limits by address, and logs, are worth nothing then.',
    remedy: 'Let the listener listen where only the proxy is, or close the port to all others in a firewall.',
  },
  {
    name: 'queue-unbounded',
    level: 'warning',
    title: 'Queues without limit',
    why: 'Clients that stay away make their queues grow until the disk or the memory is full, and then nobody can publish.',
    remedy:
      'A number other than 0 for `max_queued_messages` or `max_queued_bytes`, and for `max_stored_bytes`; or no such line: the defaults are limits.',
  },
  {
    name: 'retained-unbounded',
    level: 'warning',
    title: 'Retained messages without limit',
    why: 'All retained messages are in memory. A client that publishes them to ever new topics fills it.',
    remedy: 'A number other than 0 for `max_retained_bytes`, or no such line.',
  },
  {
    name: 'memory-unbounded',
    level: 'warning',
    title: 'Memory without limit',
    why: 'Without `memory_limit` the operating system ends the broker when the memory is full, instead of the broker refusing what is too much.',
    remedy: 'No `memory_limit 0`: the default is half of the memory.',
  },
  {
    name: 'sessions-for-ever',
    level: 'note',
    title: 'Sessions that never end',
    why: 'Sessions of clients that never come back, with what waits for them, are kept for more than a year.',
    remedy: '`persistent_client_expiration 30d`, or no such line.',
  },
  {
    name: 'nothing-kept',
    level: 'note',
    title: 'Nothing is kept',
    why: 'With `persistence false` or `durability memory` sessions, waiting and retained messages are gone when the broker ends, also those that were acknowledged.',
    remedy: 'No such line: what is acknowledged is on the disk then.',
  },
  {
    name: 'survives-no-power-cut',
    level: 'note',
    title: 'Acknowledged before it is on the disk',
    why: 'With `durability os` the last second of what was acknowledged can be lost in a power cut.',
    remedy: '`durability fsync`, or no such line.',
  },
  {
    name: 'no-effect',
    level: 'warning',
    title: 'An option without effect',
    why: 'The line is understood, and nothing happens because of it. The finding says why, or what to do instead.',
    remedy: 'Take the line out, or do what the finding says.',
  },
  {
    name: 'file-readable',
    level: 'warning',
    title: 'Others can read a secret',
    why: 'Every user of the machine can read a private key, a pre-shared key, password hashes or another secret.',
    remedy: '`chmod o= FILE`, and its owner or group the user of the broker.',
  },
  {
    name: 'file-writable',
    level: 'warning',
    title: 'Others can change who may connect',
    why: 'Every user of the machine can write a file that decides who may connect, or what they may do.',
    remedy: '`chmod o-w FILE`.',
  },
  {
    name: 'certificate-expires',
    level: 'warning',
    title: 'A certificate has expired or will soon',
    why: 'When it has, clients do not connect any more (its own), or are not let in (an authority). The finding says when; 30 days count as soon.',
    remedy: 'Renew it; SIGHUP reads it again. See [tls-and-websockets.md](tls-and-websockets.md).',
  },
  {
    name: 'old-password-hash',
    level: 'note',
    title: 'Password hashes that are quick to guess',
    why: 'Hashes that begin with $6$ are one round of SHA-512, those of `mosquitto_passwd` that begin with $7$101$ are 101: who gets the file tries millions of passwords a second.',
    remedy:
      '`recado passwd FILE USER` writes a slow one. Mosquitto cannot read those of every kind: see `recado passwd --help` before you go back.',
  },
  {
    name: 'runs-as-root',
    level: 'warning',
    title: 'The broker stays root',
    why: 'With `user root` a fault of the broker is a fault of the whole machine.',
    remedy: '`user mosquitto`, or a service manager that starts it as another user.',
  },
  {
    name: 'bridge-in-clear',
    level: 'warning',
    title: 'A bridge sends its password in the clear',
    why: 'The bridge logs in at another machine without TLS.',
    remedy: '`bridge_cafile`, or `bridge_tls_use_os_certs true`.',
  },
  {
    name: 'bridge-unchecked',
    level: 'warning',
    title: 'A bridge takes any server for the right one',
    why: 'With `bridge_insecure true` the name in the certificate is not looked at: whoever is between can be the other broker.',
    remedy: 'Take the line out, and give the other broker a certificate with its name.',
  },
]
