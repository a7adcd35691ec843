/**
 * Every `code` that the broker throws, in addition to those of `@recado/protocol`, with its meaning and the remedy.
 *
 * All are `MqttError`s. docs/errors.md is generated from this table, and a test in tools/tidy fails for a thrown code
 * that stands in no table.
 */
/** Codes of the errors of this package, with meaning and remedy. */
export const brokerErrorCodes = {
  ERR_MQTT_LIMIT:
    'A limit has an unknown name or a value out of its bounds. `message` names it and says what is allowed.',
  ERR_MQTT_LISTEN: 'A listener could not be opened. `message` says why, `cause` has the error of the system.',
  ERR_MQTT_TLS:
    'The TLS settings of a listener cannot be used: a certificate, key, list or cipher. `message` says why, `option` names the setting.',
  ERR_MQTT_CLOSED: 'The broker is closed, or closing; make another one.',
  ERR_MQTT_ACL_FILE:
    'An ACL file cannot be read or has a mistake. `message` names file and line, and says what is wrong.',
  ERR_MQTT_DYNAMIC_SECURITY:
    'The file of dynamic security cannot be read, understood or made. `message` says which and why; `cause` has the error of the system.',
  ERR_MQTT_JWT_KEY: 'A key for JSON Web Tokens cannot be read or used. `message` says which, and why.',
  ERR_MQTT_WEBHOOK: 'A webhook has wrong options, or its server gave a wrong answer. `message` says what is wrong.',
  ERR_MQTT_PASSWORD:
    'A password ends in U+0000, which its kind of hash ignores. Choose another password, or another kind of hash.',
  ERR_MQTT_PASSWORD_FILE: 'A password file cannot be read. `message` names it, `cause` has the error of the system.',
  ERR_MQTT_STORE_FOLDER: 'The data folder cannot be made or written. `message` says what to do.',
  ERR_MQTT_STORE_LOCKED:
    'Another broker uses the data folder; `message` names its process. Stop it, or choose another folder.',
  ERR_MQTT_STORE_VERSION: 'A newer broker wrote the data folder. Use that broker, or export there and import here.',
  ERR_MQTT_STORE_PACKAGE:
    'The package `lmdb`, an optional peer dependency of `@recado/broker`, is not installed or cannot be loaded: `npm install lmdb@3`.',
  ERR_MQTT_STORE_OPEN: 'The store could not be opened or read. `cause` has the error of the system.',
  ERR_MQTT_STORE_WRITE:
    'A batch could not be written: nothing of it is kept, and nothing was acknowledged. It is tried again.',
  ERR_MQTT_STORE_FULL:
    'As ERR_MQTT_STORE_WRITE, because the disk is full. Free some space; the broker goes on by itself.',
  ERR_MQTT_STORE_BACKUP: 'The backup could not be written, for instance because the file exists already.',
  ERR_MQTT_STORE_CONTENTS:
    'The data to import does not have the form that an export writes. `message` says where and why.',
} as const
