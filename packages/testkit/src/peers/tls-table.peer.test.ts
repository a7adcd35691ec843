/**
 * TLS, option by option, as `openssl s_client` sees it: Recado beside Debian's Mosquitto. Each line of the table in
 * docs/tls-and-websockets.md is one measurement here, and the table is checked against what is measured.
 *
 * RECADO_WRITE_TABLE=1 writes what is measured into the page.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { TestAuthority } from '@recado/broker/testing'
import { Connect, encode } from '@recado/protocol'
import { type BrokerKind, type RunningBroker, startBroker } from './broker.ts'
import { findPeer } from './find.ts'
import { boundMs } from './inbox.ts'

const PAGE = new URL('../../../../docs/tls-and-websockets.md', import.meta.url)
const BEGIN = '| options | client | TLS 1.2 | TLS 1.3 |'
const RULE = '|---|---|---|---|'
const DAY_MS = 86_400_000

const root = new TestAuthority('root')
const inner = new TestAuthority('inner', { issuer: root })
const stranger = new TestAuthority('stranger')
const server = inner.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
const revoked = inner.issue('revoked')
const clients = {
  good: inner.issue('good'),
  stranger: stranger.issue('stranger'),
  expired: inner.issue('expired', { validTo: new Date(Date.now() - DAY_MS) }),
  early: inner.issue('early', { validFrom: new Date(Date.now() + DAY_MS) }),
  revoked,
  nameless: inner.issue('', { subject: [['O', 'Example']] }),
}
const files: Record<string, string> = {
  'root.pem': root.cert,
  'inner.pem': inner.cert,
  'both.pem': root.cert + inner.cert,
  'cert.pem': server.cert,
  'key.pem': server.key,
  'crl.pem': inner.revocationList(revoked),
  'root-crl.pem': root.revocationList(),
  'old-crl.pem': inner.revocationListUntil(new Date(Date.now() - DAY_MS / 2), revoked),
  'nonsense.pem': 'nonsense\n',
  psk: 'meter:deadbeef\n',
}
for (const [name, { cert, key }] of Object.entries(clients))
  Object.assign(files, { [`${name}.crt`]: cert, [`${name}.key`]: key })

const own = ['certfile cert.pem', 'keyfile key.pem']
const mutual = [...own, 'cafile both.pem', 'require_certificate true']
const shown = (name: keyof typeof clients): string[] => ['-cert', `${name}.crt`, '-key', `${name}.key`]

interface Case {
  /** In the page: options besides certfile and keyfile. */
  readonly options: string
  readonly lines: readonly string[]
  /** Actions of the client, and the flags of s_client for each. */
  readonly clients: readonly (readonly [what: string, flags: readonly string[]])[]
  /** Whether the row is about the start of the broker and not about clients. */
  readonly startsNot?: true
}

const cases: readonly Case[] = [
  {
    options: 'no other',
    lines: own,
    clients: [
      ['nothing special', []],
      ['ALPN `x-amzn-mqtt-ca`', ['-alpn', 'x-amzn-mqtt-ca']],
      ['knows the root, not the intermediate', ['-CAfile', 'root.pem', '-verify_return_error']],
    ],
  },
  {
    options: '`cafile` with the intermediate',
    lines: [...own, 'cafile inner.pem'],
    clients: [
      ['knows the root, not the intermediate', ['-CAfile', 'root.pem', '-verify_return_error']],
      ['shows a certificate of a stranger', shown('stranger')],
    ],
  },
  {
    options: '`require_certificate true`',
    lines: mutual,
    clients: [
      ['no certificate', []],
      ['a good one', shown('good')],
      ['of an unknown authority', shown('stranger')],
      ['expired', shown('expired')],
      ['not valid yet', shown('early')],
    ],
  },
  {
    options: '… and `crlfile` of the issuing authority',
    lines: [...mutual, 'crlfile crl.pem'],
    clients: [
      ['a good one', shown('good')],
      ['revoked', shown('revoked')],
    ],
  },
  {
    options: '… and `crlfile` of the root only',
    lines: [...mutual, 'crlfile root-crl.pem'],
    clients: [['a good one', shown('good')]],
  },
  {
    options: '… and `crlfile` that has expired',
    lines: [...mutual, 'crlfile old-crl.pem'],
    clients: [['a good one', shown('good')]],
  },
  {
    options: '`crlfile` without `require_certificate`',
    lines: [...own, 'cafile both.pem', 'crlfile crl.pem'],
    clients: [['shows a revoked one', shown('revoked')]],
  },
  {
    options: '`use_identity_as_username` without `require_certificate`',
    lines: [...own, 'cafile both.pem', 'use_identity_as_username true'],
    clients: [
      ['no certificate', []],
      ['a good one', shown('good')],
    ],
  },
  {
    options: '`use_identity_as_username` with it',
    lines: [...mutual, 'use_identity_as_username true'],
    clients: [
      ['a good one', shown('good')],
      ['one without a common name', shown('nameless')],
    ],
  },
  {
    options: '`use_subject_as_username` without `require_certificate`',
    lines: [...own, 'cafile both.pem', 'use_subject_as_username true'],
    clients: [['no certificate', []]],
  },
  {
    options: '`tls_version tlsv1.3`',
    lines: [...own, 'tls_version tlsv1.3'],
    clients: [['nothing special', []]],
  },
  {
    options: '`ciphers ECDHE-ECDSA-AES128-GCM-SHA256`',
    lines: [...own, 'ciphers ECDHE-ECDSA-AES128-GCM-SHA256'],
    clients: [['knows others only (1.2)', ['-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384']]],
  },
  {
    options: '`ciphers_tls1.3 TLS_AES_128_GCM_SHA256`',
    lines: [...own, 'ciphers_tls1.3 TLS_AES_128_GCM_SHA256'],
    clients: [['knows others only (1.3)', ['-ciphersuites', 'TLS_AES_256_GCM_SHA384']]],
  },
  {
    options: '`psk_hint`, `psk_file`',
    lines: ['psk_hint x', 'psk_file psk', 'use_identity_as_username true'],
    clients: [
      ['the right key', ['-psk_identity', 'meter', '-psk', 'deadbeef']],
      ['a wrong key', ['-psk_identity', 'meter', '-psk', 'deadbeee']],
      ['an unknown identity', ['-psk_identity', 'other', '-psk', 'deadbeef']],
    ],
  },
  ...['ciphers nonsense', 'ciphers_tls1.3 nonsense', 'dhparamfile nonsense.pem', 'cafile nonsense.pem'].map(
    (line): Case => ({ options: `\`${line}\``, lines: [...own, line], clients: [['', []]], startsNot: true }),
  ),
  {
    options: '`crlfile nonsense.pem`',
    lines: [...mutual, 'crlfile nonsense.pem'],
    clients: [['', []]],
    startsNot: true,
  },
]

/** OpenSSL answers a wrong pre-shared key of TLS 1.3 with either. */
const WRONG_KEY = 'decrypt_error or illegal_parameter'
const ALERTS: Readonly<Record<string, string>> = {
  '20': 'bad_record_mac',
  '40': 'handshake_failure',
  '42': 'bad_certificate',
  '43': 'unsupported_certificate',
  '44': 'certificate_revoked',
  '45': 'certificate_expired',
  '46': 'certificate_unknown',
  '47': WRONG_KEY,
  '48': 'unknown_ca',
  '51': WRONG_KEY,
  '70': 'protocol_version',
  '80': 'internal_error',
  '115': 'unknown_psk_identity',
  '116': 'certificate_required',
}

const connect = encode(
  new Connect({ protocolVersion: 4, cleanStart: true, keepAliveSeconds: 60, clientId: 'table' }),
  4,
)

/** Result of a client: `in`, the code of its CONNACK, the alert that it got, or the fault that it has found itself. */
async function ask(port: number, version: string, flags: readonly string[], folder: string): Promise<string> {
  const argv = ['s_client', '-connect', `127.0.0.1:${port}`, `-${version}`, '-quiet', '-ign_eof', ...flags]
  const child = spawn('openssl', argv, { cwd: folder })
  let text = ''
  child.stdin.on('error', () => {})
  child.stdin.write(connect)
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const connack = new Promise<Buffer>((resolve) => child.stdout.on('data', (chunk: Buffer) => resolve(chunk)))
  const timer = setTimeout(() => child.kill(), boundMs)
  const ended = new Promise<null>((resolve) => child.once('close', () => resolve(null)))
  const first = await Promise.race([connack, ended])
  clearTimeout(timer)
  child.kill()
  await ended
  if (first !== null) return first[3] === 0 ? 'in' : `CONNACK ${first[3]}`
  const alert = /SSL alert number (\d+)/.exec(text)?.[1]
  if (alert !== undefined) return `alert ${ALERTS[alert] ?? alert}`
  if (/verify failed|verify error/.test(text)) return 'the client does not trust it'
  return 'closed'
}

interface Row {
  readonly options: string
  readonly client: string
  readonly results: readonly [tls12: string, tls13: string]
}

const NO_START = 'no start'
const startingOr = (answer: string, startsNot: true | undefined): string =>
  startsNot && answer === 'closed' ? NO_START : answer

async function measure(kind: BrokerKind, folder: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const { options, lines, clients: all, startsNot } of cases) {
    const config = lines.map((line) =>
      line.replace(/^(\w+file) (\S+)$/, (_, name: string, file: string) => `${name} ${join(folder, file)}`),
    )
    if (kind === 'mosquitto' && process.getuid?.() === 0) config.push('user root')
    let broker: RunningBroker | null = null
    try {
      broker = await startBroker(kind, { config, inProcess: true })
    } catch (error) {
      if (!/did not start/.test((error as Error).message) || !startsNot) throw error
    }
    for (const [client, flags] of all) {
      const result = async (version: string): Promise<string> =>
        // Mosquitto listens before it has read all files.
        broker === null ? NO_START : startingOr(await ask(broker.port, version, flags, folder), startsNot)
      rows.push({ options, client, results: [await result('tls1_2'), await result('tls1_3')] })
    }
    // Mosquitto listens before it knows what to do with signals.
    if (startsNot) await broker?.stop().catch(() => {})
    else await broker?.stop()
  }
  return rows
}

const missing = findPeer('mosquitto')
const skip =
  'skip' in missing ? missing.skip : spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed'

test('what clients see of TLS is what the page says, option by option, here and at Mosquitto', {
  skip,
  timeout: 300_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-tls-table-'))
  try {
    chmodSync(folder, 0o755)
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    const [ours, theirs] = [await measure('recado', folder), await measure('mosquitto', folder)]
    const lines = ours.map(({ options, client, results }, i) => {
      const cells = results.map((result, j) => {
        const other = theirs[i]!.results[j]!
        return result === other ? result : `${result} (Mosquitto: ${other})`
      })
      return `| ${[options, client, ...cells].join(' | ')} |`
    })
    const page = readFileSync(PAGE, 'utf8')
    const from = page.indexOf(BEGIN)
    assert.ok(from > 0, 'the page has the table')
    const end = page.indexOf('\n\n', from)
    const table = [BEGIN, RULE, ...lines].join('\n')
    if (process.env['RECADO_WRITE_TABLE'] === '1') {
      writeFileSync(PAGE, page.slice(0, from) + table + page.slice(end))
    } else {
      assert.deepEqual(page.slice(from, end).split('\n'), table.split('\n'))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
