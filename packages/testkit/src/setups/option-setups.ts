/** Configurations around one option or a few: TLS in its kinds, limits, sessions, and what operators combine. */
import { anybody, certificates, everybody, logins, type Setup, tls } from './setup.ts'

const { ada, bob, wrong, unknown, adaByCertificate, eveByCertificate, strangerByCertificate } = logins
const open = ['listener P1', 'allow_anonymous true']
const mqtt = { mqtt: ['mqtt', 'P1'] } as const
const overTls = { 'mqtt over TLS': ['mqtts', 'P1'] } as const
const psk = (identity: string, key: string) => ({ name: `the key of ${identity}`, psk: [identity, key] }) as const

export const optionSetups: readonly Setup[] = [
  {
    name: 'TLS with a certificate of the server',
    lines: ['listener P1', ...tls, 'allow_anonymous true'],
    files: certificates,
    doors: { ...overTls, 'without TLS': ['mqtt', 'P1'] },
    logins: [anybody, adaByCertificate],
    topics: ['a'],
  },
  {
    name: 'TLS 1.3 alone',
    lines: ['listener P1', ...tls, 'tls_version tlsv1.3', 'allow_anonymous true'],
    files: certificates,
    doors: overTls,
  },
  {
    name: 'TLS with a password',
    lines: ['listener P1', ...tls, 'password_file FOLDER/passwd'],
    files: { ...certificates, passwd: everybody },
    doors: overTls,
    logins: [ada, wrong, anybody],
  },
  {
    name: 'client certificates that are user names, with rights',
    lines: ['listener P1', ...tls, 'require_certificate true', 'use_identity_as_username true', 'acl_file FOLDER/acl'],
    files: { ...certificates, acl: 'pattern readwrite users/%u/#\nuser ada\ntopic read all/#\n' },
    doors: overTls,
    logins: [adaByCertificate, strangerByCertificate, anybody, ada],
    topics: ['users/ada/a', 'users/bob/a', 'all/a'],
  },
  {
    name: 'client certificates whose subjects are user names',
    lines: ['listener P1', ...tls, 'require_certificate true', 'use_subject_as_username true', 'acl_file FOLDER/acl'],
    files: { ...certificates, acl: 'user CN=ada,O=Example\ntopic subject\nuser ada\ntopic name\n' },
    doors: overTls,
    logins: [adaByCertificate],
    topics: ['subject', 'name'],
  },
  {
    name: 'client certificates, one of them revoked',
    lines: ['listener P1', ...tls, 'require_certificate true', 'crlfile FOLDER/crl.pem', 'allow_anonymous true'],
    files: certificates,
    doors: overTls,
    logins: [adaByCertificate, eveByCertificate],
  },
  {
    name: 'client certificates and passwords',
    lines: ['listener P1', ...tls, 'require_certificate true', 'password_file FOLDER/passwd'],
    files: { ...certificates, passwd: everybody },
    doors: overTls,
    logins: [{ ...adaByCertificate, ...ada }, { ...adaByCertificate, ...wrong }, adaByCertificate, ada],
  },
  {
    name: 'pre-shared keys',
    lines: [
      'listener P1',
      'psk_hint hint',
      'psk_file FOLDER/psk',
      'use_identity_as_username true',
      'acl_file FOLDER/acl',
    ],
    files: { psk: 'ada:c0ffee\nbob:deadbeef\n', acl: 'user ada\ntopic a\nuser bob\ntopic b\n' },
    doors: { 'mqtt over TLS': ['psk', 'P1'] },
    logins: [psk('ada', 'c0ffee'), psk('bob', 'deadbeef'), psk('bob', 'c0ffee'), psk('eve', 'c0ffee')],
    topics: ['a', 'b'],
  },
  {
    name: 'no Client Identifier, no entry',
    lines: [...open, 'allow_zero_length_clientid false'],
    doors: mqtt,
  },
  {
    name: 'assigned Client Identifiers with a prefix',
    lines: [...open, 'auto_id_prefix house-'],
    doors: mqtt,
  },
  {
    name: 'Client Identifiers that must begin so',
    lines: [...open, 'clientid_prefixes house-'],
    doors: mqtt,
    logins: [
      { name: 'one of the house', clientId: 'house-1' },
      { name: 'another', clientId: 'home-1' },
    ],
  },
  {
    name: 'user names that are Client Identifiers',
    lines: [
      'listener P1',
      'use_username_as_clientid true',
      'password_file FOLDER/passwd',
      'allow_anonymous true',
      'acl_file FOLDER/acl',
    ],
    files: { passwd: everybody, acl: 'pattern readwrite clients/%c\n' },
    doors: mqtt,
    logins: [{ ...ada, clientId: 'x' }, wrong, { ...anybody, clientId: 'y' }],
    topics: ['clients/ada', 'clients/x'],
  },
  {
    name: 'QoS 1 at most',
    lines: ['listener P1', 'max_qos 1', 'allow_anonymous true'],
    doors: mqtt,
  },
  {
    name: 'QoS 0 at most',
    lines: ['listener P1', 'max_qos 0', 'allow_anonymous true'],
    doors: mqtt,
  },
  {
    name: 'nothing is retained',
    lines: [...open, 'retain_available false'],
    doors: mqtt,
    differences: [
      {
        what: 'mqtt: $SYS/broker/version',
        mosquitto: 'is not there',
        recado: 'is there',
        why: 'What clients publish is not retained; whoever watches the broker finds its own topics all the same.',
      },
    ],
  },
  { name: 'small messages only', lines: [...open, 'message_size_limit 1000'], doors: mqtt },
  { name: 'small packets only', lines: [...open, 'max_packet_size 2000'], doors: mqtt },
  { name: 'a Keep Alive of 100 seconds at most', lines: [...open, 'max_keepalive 100'], doors: mqtt },
  { name: 'one message in flight', lines: [...open, 'max_inflight_messages 1'], doors: mqtt, topics: ['a'] },
  { name: 'messages with the QoS of the subscription', lines: [...open, 'upgrade_outgoing_qos true'], doors: mqtt },
  { name: 'QoS 0 is queued too', lines: [...open, 'queue_qos0_messages true'], doors: mqtt },
  {
    name: 'no queue',
    lines: [...open, 'max_queued_messages 1', 'max_queued_bytes 1'],
    doors: mqtt,
    differences: [
      {
        what: 'mqtt: while away',
        mosquitto: 'the session is there, and QoS 1',
        recado: 'the session is there, and nothing',
        why: 'Mosquitto takes the message that goes over max_queued_bytes, and the next one no more; here it is a limit.',
      },
    ],
  },
  { name: 'sessions of a day', lines: [...open, 'persistent_client_expiration 1d'], doors: mqtt },
  { name: 'no $SYS', lines: [...open, 'sys_interval 0'], doors: mqtt },
  {
    name: 'rights without passwords',
    lines: [...open, 'acl_file FOLDER/acl'],
    files: { acl: 'topic read a\ntopic write b\ntopic c\nuser ada\ntopic #\n' },
    doors: mqtt,
    logins: [anybody, { name: 'whoever says ada', username: 'ada' }],
    topics: ['a', 'b', 'c', 'd'],
  },
  {
    name: 'an empty password file',
    lines: ['listener P1', 'password_file FOLDER/passwd'],
    files: { passwd: '' },
    doors: mqtt,
    logins: [anybody, ada],
  },
  {
    name: 'a password file that is not there',
    lines: ['listener P1', 'password_file FOLDER/missing'],
    doors: mqtt,
    logins: [ada],
  },
  {
    name: 'IPv4 alone',
    lines: ['listener P1', 'socket_domain ipv4', 'allow_anonymous true'],
    doors: mqtt,
  },
  {
    name: 'nobody without a listener',
    lines: ['allow_anonymous false'],
    arguments: ['-p', 'P1'],
    doors: mqtt,
    logins: [anybody, ada],
    differences: [
      {
        what: 'mqtt: *',
        mosquitto: 'everybody gets in',
        recado: 'nobody gets in',
        why: '2.0 lets everybody in without a listener, whatever allow_anonymous says; 2.1 does not.',
        version: '2.0',
      },
    ],
  },
  {
    name: 'a listener for each user',
    lines: [
      'per_listener_settings true',
      'listener P1',
      'password_file FOLDER/one',
      'acl_file FOLDER/acl',
      'listener P2',
      'allow_anonymous true',
      'allow_zero_length_clientid false',
    ],
    files: { one: everybody, acl: 'user ada\ntopic a\n' },
    doors: { one: ['mqtt', 'P1'], two: ['mqtt', 'P2'] },
    logins: [ada, bob, unknown, anybody],
    topics: ['a'],
  },
]
