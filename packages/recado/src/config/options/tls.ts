/**
 * Options about TLS on listeners. `schema.ts` joins them with the others, `tls.ts` reads the files.
 */
import { type Option, option } from './option.ts'

const tls = option('tls', 'listener')

export const tlsOptions: readonly Option[] = [
  tls(
    'certfile',
    'text',
    '',
    'Certificate of this server and those between it and the authority (PEM). With `keyfile` it makes the listener a TLS listener. Read again on SIGHUP, as all files of this section; open connections stay.',
    { lastHolds: true },
  ),
  option('tls', 'global')(
    'certificate_check_interval',
    'integer',
    '60',
    'Our own, not in Mosquitto: how often certificates, keys, authorities and lists of revoked certificates of listeners are looked at, to be used for new connections when their files have changed. 0: on SIGHUP only.',
    { unit: 'seconds', min: 0, max: 86_400 },
  ),
  tls('keyfile', 'text', '', 'Private key of the certificate (PEM, not encrypted).'),
  tls(
    'cafile',
    'text',
    '',
    'Authorities that sign client certificates (PEM). An intermediate in it is sent with the certificate that it has signed, also without `require_certificate`.',
  ),
  tls(
    'capath',
    'text',
    '',
    'Folder of such authorities: all files in it that have certificates (PEM), whatever their names.',
  ),
  tls(
    'crlfile',
    'text',
    '',
    'Revoked client certificates (PEM): the list of the authority that has issued a client’s certificate, which must be there and valid. Lists of the authorities above it hold where they are given. No effect without `require_certificate`.',
    { lastHolds: true },
  ),
  tls(
    'ciphers',
    'text',
    '',
    'Ciphers for TLS 1.2, in the words of OpenSSL. Default: those of Node; with pre-shared keys those that use them.',
    { lastHolds: true },
  ),
  tls(
    'ciphers_tls1.3',
    'text',
    '',
    'Cipher suites for TLS 1.3, with colons between them; one that does not exist is an error. Default: `TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256`.',
    { lastHolds: true },
  ),
  tls('dhparamfile', 'text', '', 'Parameters for DHE (PEM). Default: those of OpenSSL.', { lastHolds: true }),
  tls(
    'tls_version',
    'text',
    'tlsv1.2',
    'Lowest version of TLS: `tlsv1.2` or `tlsv1.3`. `tlsv1.1` is taken for `tlsv1.2`, with a warning.',
  ),
  tls(
    'tls_alpn_strict',
    'boolean',
    'false',
    'Our own, not in Mosquitto: refuses clients that name other protocols only (ALPN, RFC 7301) than `mqtt`, or `http/1.1` for WebSocket. Without it they get in, as in Mosquitto: `x-amzn-mqtt-ca`, say.',
  ),
  tls('tls_engine', 'text', '', 'Engine of OpenSSL.', {
    refused:
      'OpenSSL 3 has given up engines, and Node has none: keep the key in a PEM file that only the broker can read (keyfile), or let a proxy with the key speak TLS (enable_proxy_protocol)',
  }),
  tls('tls_engine_kpass_sha1', 'text', '', 'SHA-1 of the engine’s password.', {
    refused:
      'it belongs to tls_engine, and there are no engines: keep the key in a PEM file that only the broker can read',
  }),
  tls('tls_keyform', 'choice', 'pem', 'Kind of the private key.', {
    choices: ['pem', 'engine'],
    refused: 'there are no engines: keep the key in a PEM file that only the broker can read',
  }),
  tls(
    'require_certificate',
    'boolean',
    'false',
    'Refuses clients without a valid certificate of an authority in `cafile` or `capath`.',
  ),
  tls(
    'use_identity_as_username',
    'boolean',
    'false',
    'Takes the common name of the client certificate, or the identity of the pre-shared key, for the user name; no password is needed.',
  ),
  tls(
    'use_subject_as_username',
    'boolean',
    'false',
    'Takes the whole subject of the client certificate for the user name, as in `CN=ada,O=Example`.',
  ),
  tls('disable_client_cert_date_checks', 'boolean', 'false', 'Takes client certificates before and after their time.', {
    since: '2.1',
    instead: 'Node cannot check a certificate and leave out its dates: certificates that have expired stay refused.',
    belowListener: true,
  }),
  tls(
    'psk_hint',
    'text',
    '',
    'Turns on pre-shared keys, those of `psk_file`, and is sent to clients as a hint. Beside `certfile` it has no effect.',
  ),
]
