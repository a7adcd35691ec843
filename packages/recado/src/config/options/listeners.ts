/**
 * Options of listeners: address and protocol. `schema.ts` joins them with the others.
 */
import { type Option, option, UINT16_MAX } from './option.ts'

const listener = option('listeners', 'listener')
const globalListener = option('listeners', 'global')

export const listenerOptions: readonly Option[] = [
  globalListener(
    'listener',
    'listener',
    '',
    'Opens a listener: `listener 1883`, `listener 1883 127.0.0.1`, or `listener 0 /run/recado.sock` for a unix socket. Without an address it listens on all of them. The listener options below it are its own. Without any listener the broker is for this machine only: 127.0.0.1 and [::1], port 1883.',
    { repeatable: true },
  ),
  globalListener('port', 'integer', '1883', 'Port of the default listener. Better: `listener PORT`.', {
    min: 1,
    max: UINT16_MAX,
  }),
  globalListener(
    'bind_address',
    'text',
    '',
    'Address or host name of the default listener. Better: `listener PORT ADDRESS`.',
  ),
  listener(
    'bind_interface',
    'text',
    '',
    'Listens on the addresses of this network interface only, those that it has at the start.',
  ),
  listener(
    'socket_domain',
    'choice',
    '',
    'Listens with this version of IP only; an address of IPv6 takes IPv6 only, so that `listener P 0.0.0.0` and `listener P ::` are two. Default: both.',
    {
      choices: ['ipv4', 'ipv6'],
    },
  ),
  listener(
    'unix_socket_mode',
    'text',
    '0770',
    'Our own, not in Mosquitto, which makes them like that: mode of the file of a unix socket. Who may write to it may connect.',
  ),
  listener(
    'unix_socket_owner',
    'text',
    '',
    'Our own: who the file of a unix socket belongs to. Default: whoever starts the broker, root before `user`.',
  ),
  listener('unix_socket_group', 'text', '', 'Our own: the group that the file of a unix socket belongs to.'),
  listener(
    'protocol',
    'choice',
    'mqtt',
    'What is spoken on this listener. `http_api`: no MQTT but HTTP: the API of docs/api/http.md with its own logins and roles (`http_api_role`, `recado token`), and as in Mosquitto 2.1 GET of `/api/v1/version`, `/api/v1/listeners` and `/api/v1/systree` (the numbers of `$SYS`), and the files of `http_dir`; without `http_dir` the dashboard is at `/` (docs/operations.md). For those three paths and the files who asks logs in by HTTP Basic as an MQTT client would, has the Client Identifier `http-api`, and may read a path where `acl_file` lets him receive from a topic of that name. A refused login is logged like one by MQTT; while logins cannot be checked the answer is 503. Where no listener is configured, and no -p given, it is on 127.0.0.1:9883, as in Mosquitto 2.1; when that port is taken the broker runs without it.',
    {
      choices: ['mqtt', 'websockets', 'http_api'],
    },
  ),
  listener(
    'mount_point',
    'text',
    '',
    'Puts this in front of all topics of the clients of this listener, who do not see it: `site-1/`. ACL files see whole topics. Without a / at its end nobody can subscribe to a filter that begins with a wildcard.',
    { belowListener: true, lastHolds: true },
  ),
  listener(
    'accept_protocol_versions',
    'words',
    '3 4 5',
    'The MQTT versions that this listener takes: 3 (3.1), 4 (3.1.1), 5 (5.0), with blanks or commas between them.',
    { since: '2.1', choices: ['3', '4', '5'], belowListener: true },
  ),
  listener(
    'use_username_as_clientid',
    'boolean',
    'false',
    'Takes the user name for the Client Identifier; a client without one is refused.',
  ),
  listener(
    'enable_proxy_protocol',
    'integer',
    '',
    'Expects the PROXY protocol, version 1 or 2, before TLS and MQTT, from every connection. Whoever can reach the port can claim any address: let only the proxy.',
    {
      min: 1,
      max: 2,
      since: '2.1',
      belowListener: true,
    },
  ),
  listener(
    'proxy_protocol_v2_require_tls',
    'boolean',
    'false',
    'Refuses clients whose proxy says that they came without TLS.',
    {
      since: '2.1',
      belowListener: true,
    },
  ),
  globalListener(
    'set_tcp_nodelay',
    'boolean',
    'true',
    'Turns Nagle’s algorithm off. It costs little here, because what a turn of the event loop has to say goes out in one write. false in Mosquitto.',
    { mosquitto: 'false' },
  ),
]
