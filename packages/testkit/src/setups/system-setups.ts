/** Configurations of systems: the files of the Docker image and of Debian as they come, and what is put beside them; plugins. */
import { anybody, certificates, everybody, logins, type Setup, secretOf, tls } from './setup.ts'

const { ada, bob, wrong } = logins

const debian = [
  '# Place your local configuration in FOLDER/conf.d/',
  '#',
  '# A full description of the configuration file is at',
  '# /usr/share/doc/mosquitto/examples/mosquitto.conf.example',
  '',
  'pid_file FOLDER/mosquitto.pid',
  '',
  'persistence true',
  'persistence_location FOLDER/data/',
  '',
  'log_dest file FOLDER/log/mosquitto.log',
  '',
  'include_dir FOLDER/conf.d',
]
const debianFiles = {
  'conf.d/README': 'Any files placed in this directory that have a .conf ending are read.\n',
  'data/.keep': '',
  'log/.keep': '',
}

/** Ada may all in the house but `house/b`, Bob may read there; the passwords are as in password files. */
const dynamicSecurity = JSON.stringify({
  defaultACLAccess: { publishClientSend: false, publishClientReceive: true, subscribe: false, unsubscribe: true },
  clients: [
    { username: 'ada', ...secretOf(ada), roles: [{ rolename: 'resident' }] },
    { username: 'bob', ...secretOf(bob), roles: [{ rolename: 'guest' }] },
  ],
  groups: [],
  roles: [
    {
      rolename: 'resident',
      acls: [
        { acltype: 'publishClientSend', topic: 'house/b', priority: 10, allow: false },
        { acltype: 'publishClientSend', topic: 'house/#', priority: 0, allow: true },
        { acltype: 'subscribePattern', topic: 'house/#', priority: 0, allow: true },
      ],
    },
    { rolename: 'guest', acls: [{ acltype: 'subscribePattern', topic: 'house/+', priority: 0, allow: true }] },
  ],
})

export const systemSetups: readonly Setup[] = [
  {
    name: "the Docker image's default file, all of it comments",
    lines: [
      '# Config file for mosquitto',
      '#',
      '# See mosquitto.conf(5) for more information.',
      '',
      '#listener',
      '#allow_anonymous false',
    ],
    arguments: ['-p', 'P1'],
    doors: { mqtt: ['mqtt', 'P1'] },
    logins: [anybody, ada],
    topics: ['a'],
  },
  {
    name: "the Docker image's mosquitto-no-auth.conf",
    lines: [
      '# This is a Mosquitto configuration file that creates a listener on port 1883',
      'listener P1',
      'allow_anonymous true',
    ],
    doors: { mqtt: ['mqtt', 'P1'] },
    topics: ['a'],
  },
  {
    name: 'a compose file: persistence, log, a listener and WebSocket',
    lines: [
      'persistence true',
      'persistence_location FOLDER/data/',
      'log_dest file FOLDER/log/mosquitto.log',
      'log_dest stdout',
      'listener P1 0.0.0.0',
      'listener P2 0.0.0.0',
      'protocol websockets',
      'allow_anonymous false',
      'password_file FOLDER/config/password.txt',
    ],
    files: { 'config/password.txt': everybody, 'data/.keep': '', 'log/.keep': '' },
    doors: { mqtt: ['mqtt', 'P1'], websocket: ['ws', 'P2'] },
    logins: [ada, wrong, anybody],
    topics: ['a'],
    differences: [
      {
        what: 'websocket: no Client Identifier by 3.1.1',
        mosquitto: 'closed',
        recado: 'in',
        why: '2.1.2 closes such a connection when it has a user name and comes by WebSocket; by TCP it does not.',
        version: '2.1',
      },
    ],
  },
  {
    name: 'a log folder that is not there',
    lines: ['listener P1', 'allow_anonymous true', 'log_dest file FOLDER/missing/mosquitto.log'],
    doors: { mqtt: ['mqtt', 'P1'] },
  },
  {
    name: "Debian's file as it comes",
    lines: debian,
    files: debianFiles,
    arguments: ['-p', 'P1'],
    doors: { mqtt: ['mqtt', 'P1'] },
    topics: ['a'],
  },
  {
    name: "Debian's file, with listener and passwords in conf.d",
    lines: debian,
    files: {
      ...debianFiles,
      'conf.d/default.conf': 'listener P1\nallow_anonymous false\n',
      'conf.d/users.conf': 'password_file FOLDER/passwd\n',
      passwd: everybody,
    },
    doors: { mqtt: ['mqtt', 'P1'] },
    logins: [ada, wrong, anybody],
    topics: ['a'],
  },
  {
    name: "Debian's file, with names in conf.d whose order decides",
    lines: debian,
    files: {
      ...debianFiles,
      'conf.d/a.conf': 'max_keepalive 100\n',
      'conf.d/B.conf': 'max_keepalive 200\nlistener P1\n',
      'conf.d/C.conf': 'max_keepalive 300\n',
      'conf.d/b.conf': 'max_keepalive 400\nallow_anonymous true\n',
      'conf.d/z.conf.bak': 'nonsense\n',
    },
    doors: { mqtt: ['mqtt', 'P1'] },
  },
  {
    name: "Debian's file, with a listener of TLS in conf.d",
    lines: debian,
    files: {
      ...debianFiles,
      ...certificates,
      'conf.d/tls.conf': `listener P1\n${tls.join('\n')}\nallow_anonymous true\n`,
      'conf.d/plain.conf': 'listener P2 localhost\n',
    },
    doors: { 'mqtt over TLS': ['mqtts', 'P1'], mqtt: ['mqtt', 'P2'] },
    topics: ['a'],
  },
  {
    name: 'a unix socket for what is on the machine',
    lines: ['listener 0 FOLDER/mosquitto.sock', 'listener P1', 'allow_anonymous true'],
    doors: { 'unix socket': ['unix', 'mosquitto.sock'], mqtt: ['mqtt', 'P1'] },
    topics: ['a'],
  },
  {
    name: "the 2.1 image's default file: open, with the HTTP API",
    lines: ['listener P1', 'allow_anonymous true', 'listener P2', 'protocol http_api'],
    doors: { mqtt: ['mqtt', 'P1'], 'no MQTT on the port of the API': ['mqtt', 'P2'] },
    differences: [
      {
        what: '*',
        mosquitto: 'does not start',
        recado: 'starts',
        why: 'http_api is an option of 2.1.',
        version: '2.0',
      },
    ],
  },
  {
    name: 'dynamic security',
    lines: [
      'listener P1',
      'plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so',
      'plugin_opt_config_file FOLDER/dynsec/dynamic-security.json',
    ],
    files: { 'dynsec/dynamic-security.json': dynamicSecurity },
    doors: { mqtt: ['mqtt', 'P1'] },
    logins: [ada, bob, wrong, anybody],
    topics: ['house/a', 'house/b', 'other'],
  },
  {
    name: 'mosquitto-go-auth, whose library is not there',
    lines: [
      'listener P1',
      'auth_plugin /mosquitto/go-auth.so',
      'auth_opt_backends files',
      'auth_opt_files_password_path FOLDER/passwd',
    ],
    files: { passwd: everybody },
    doors: { mqtt: ['mqtt', 'P1'] },
    logins: [ada],
    differences: [
      {
        what: '*',
        mosquitto: 'does not start',
        recado: 'starts, and lets in who is in the password file',
        why: 'The options of the plugin are translated to our own; the library is not needed.',
      },
    ],
  },
]
