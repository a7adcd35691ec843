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
  | 'auto-subscribe-all'
  | 'no-effect'
  | 'file-readable'
  | 'file-writable'
  | 'certificate-expires'
  | 'old-password-hash'
  | 'runs-as-root'
  | 'bridge-in-clear'
  | 'bridge-unchecked'
  | 'bridge-loop'
  | 'bridge-echo'
  | 'bridge-to-itself'
  | 'bridge-same-clientid'
  | 'bridge-state-crosses'
  | 'bridge-overwrites-sys'
  | 'bridge-drops'
  | 'bridge-forgets'

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
    name: 'auto-subscribe-all',
    level: 'warning',
    title: 'Every client gets every message',
    why: '`auto_subscribe` has a Topic Filter that matches all topics: each client gets all that its rights allow, whether it wants it or not.',
    remedy: 'A Topic Filter with the name of the client, such as `inbox/%c/#`.',
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
  {
    name: 'bridge-loop',
    level: 'warning',
    title: 'Messages can go round for ever',
    why: 'Two bridges between the same brokers, or a ring of bridges, bring a message back to where it was, and at least one of them speaks MQTT 3.1 or 3.1.1, which has no room for the names of the bridges that it has passed.',
    remedy:
      '`bridge_protocol_version mqttv50` for all of them; or directions (`in`, `out`) and topics that leave no way round. `recado config lint A B C` looks at the files of several brokers together.',
  },
  {
    name: 'bridge-echo',
    level: 'warning',
    title: 'Messages come back',
    why: 'With `try_private false` a bridge of 3.1.1 looks like any client: the other broker sends back whatever it has sent, and every subscriber here gets it twice.',
    remedy: '`bridge_protocol_version mqttv50`, or no `try_private false`, or another prefix for each direction.',
  },
  {
    name: 'bridge-to-itself',
    level: 'warning',
    title: 'A bridge to the broker itself',
    why: 'The address is one that this broker listens on: it would send its messages to itself.',
    remedy: 'The address of the other broker.',
  },
  {
    name: 'bridge-same-clientid',
    level: 'warning',
    title: 'Two bridges disconnect each other',
    why: 'A broker has one connection for each Client Identifier: when the second bridge connects it ends the connection of the first, which connects again, and so on.',
    remedy: 'Different `remote_clientid`s, or no such lines.',
  },
  {
    name: 'bridge-state-crosses',
    level: 'warning',
    title: 'The state of a bridge crosses that bridge',
    why: 'Each side publishes the state on the same topic, and the bridge carries it to the other side: there it is the state as the wrong side saw it, and often the wrong one.',
    remedy: 'A `notification_topic` that no topic of the bridge matches, or no such line.',
  },
  {
    name: 'bridge-overwrites-sys',
    level: 'warning',
    title: 'Another broker’s $SYS over this one’s',
    why: 'The bridge publishes what the other broker says of itself on the topics where this broker says it of itself.',
    remedy: 'A local prefix: `topic # in 0 other/ $SYS/`.',
  },
  {
    name: 'bridge-drops',
    level: 'note',
    title: 'Messages are lost while a bridge is away',
    why: 'A topic without a QoS has QoS 0, and QoS 0 does not wait: whatever is published while the line is down never gets to the other side.',
    remedy: 'QoS 1 or 2 behind the direction (`topic sensors/# out 1`), or `bridge_queue_qos0 true`.',
  },
  {
    name: 'bridge-forgets',
    level: 'note',
    title: 'The other broker keeps nothing for a bridge',
    why: 'With `cleansession true` the session at the other broker ends with each connection, and what is published there meanwhile does not come, whatever its QoS.',
    remedy: 'No `cleansession true`; `local_cleansession true` where only this side is to be forgotten.',
  },
]
