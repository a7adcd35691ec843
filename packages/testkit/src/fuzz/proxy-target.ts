/**
 * The PROXY header, versions 1 and 2: the bytes of an unknown peer, or of a broken proxy, before TLS, WebSocket or
 * MQTT.
 *
 * Any bytes are a `ProxyError`, an incomplete header, or a header that lies within them, depends on no byte behind it,
 * is incomplete without its last byte, and names no address that could forge a line of the log. `targets.ts` lists it.
 */
import { ProxyError, parseProxyHeader } from '@recado/broker/testing'
import { mutateBytes } from './mutate.ts'
import { Finding, type FuzzTarget } from './target.ts'

type Parsed = ReturnType<typeof parseProxyHeader>

/** Parses bytes; returns 'refused', or the result of `parseProxyHeader`. */
function parse(bytes: Uint8Array): Parsed | 'refused' {
  try {
    return parseProxyHeader(Buffer.from(bytes), {})
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return 'refused'
  }
}

function run(input: Uint8Array): void {
  const found = parse(input)
  if (found === 'refused' || found === null) {
    // Waiting for more must end.
    if (found === null && input.length > 16 + 65_535) throw new Finding(`still not whole after ${input.length} bytes`)
    return
  }
  const { header, length } = found
  if (length < 1 || length > input.length) throw new Finding(`${length} bytes of ${input.length}`)
  const exact = parse(input.slice(0, length))
  if (JSON.stringify(exact) !== JSON.stringify(found)) throw new Finding('what comes behind the header changes it')
  if (parse(input.slice(0, length - 1)) !== null) throw new Finding('it is whole, or refused, without its last byte')
  const { remoteAddress } = header
  if (remoteAddress !== null && !/^[\x21-\x7e]*$/.test(remoteAddress)) {
    throw new Finding(`an address with other than printable characters: ${JSON.stringify(remoteAddress)}`)
  }
}

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const ADDRESSES = [192, 0, 2, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x07, 0x5b]
const v2 = (command: number, family: number, body: readonly number[]): Uint8Array =>
  Uint8Array.from([...SIGNATURE, 0x20 | command, family, body.length >> 8, body.length & 0xff, ...body])
const tlv = (type: number, value: readonly number[]): number[] => [
  type,
  value.length >> 8,
  value.length & 0xff,
  ...value,
]
const text = (value: string): number[] => [...Buffer.from(value)]

export const proxyTarget: FuzzTarget = {
  name: 'proxy',
  doc: 'PROXY headers of version 1 and 2',
  seeds: () => [
    ...[
      'PROXY TCP4 192.0.2.7 10.0.0.1 50000 1883\r\nabc',
      'PROXY TCP6 2001:db8::1 ::1 50000 1883\r\n',
      'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n',
      'PROXY UNKNOWN\r\n',
    ].map((line) => Uint8Array.from(text(line))),
    v2(1, 0x11, ADDRESSES),
    v2(1, 0x21, [...new Array<number>(36).fill(1)]),
    v2(1, 0x31, [...new Array<number>(216).fill(0)]),
    v2(0, 0x00, tlv(4, text('noop'))),
    // TLS at the proxy: verified, its version and the name in the certificate.
    v2(1, 0x11, [
      ...ADDRESSES,
      ...tlv(1, text('mqtt')),
      ...tlv(2, text('broker.example')),
      ...tlv(0x20, [7, 0, 0, 0, 0, ...tlv(0x21, text('TLSv1.3')), ...tlv(0x22, text('ada'))]),
    ]),
  ],
  mutate: mutateBytes,
  run,
  covers: ['/broker/dist/adapters/proxy-header.js'],
  inputBytesMax: 600,
  inputMsMax: 5_000,
}
