import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { upgradeRequest } from '../testing/websocket-peer.ts'
import { answerTo } from './websocket-upgrade.ts'

const ANY = { path: null, origins: [] }
/** The request up to its empty line, with one more header. */
const head = (...headers: string[]): string => upgradeRequest(headers).slice(0, -'\r\n\r\n'.length)

describe('the WebSocket upgrade', () => {
  test('a header value is taken without the blanks and tabs around it, and keeps those within', () => {
    const rules = { path: null, origins: ['https://a b'] }
    assert.equal(answerTo(head('Origin: \t https://a b \t '), rules).refusal, null)
    assert.match(answerTo(head('Origin:\u00a0https://a b'), rules).refusal ?? '', /is not allowed/)
  })

  test('a header of blanks that ends in a control character is refused, however long: it was eight seconds of work', () => {
    assert.match(answerTo(head(`X:${' '.repeat(8_000)}\x01`), ANY).refusal ?? '', /the headers are malformed/)
    assert.equal(answerTo(head(`X:${' '.repeat(8_000)}`), ANY).refusal, null)
  })

  test('a name that is not a token, and a value with a control character, are refused', () => {
    for (const line of ['no colon', ': x', 'a b: x', 'a : x', 'a: \x00', 'a: \x7f', 'a: b\nc', 'ä: x']) {
      assert.match(answerTo(head(line), ANY).refusal ?? '', /the headers are malformed/, JSON.stringify(line))
    }
    assert.equal(answerTo(head('a:', 'b:\t', 'c: \xe4', '!#$%: x\ty'), ANY).refusal, null)
  })

  test('Host stands once, as in every request of HTTP/1.1', () => {
    const without = head().replace('Host: localhost\r\n', '')
    for (const request of [without, head('Host: other'), head('Host: localhost'), head('host: a, b')]) {
      assert.match(answerTo(request, ANY).refusal ?? '', /exactly one Host header \(400\)/)
    }
    for (const host of ['', 'a.example:1883', '[::1]:1883']) {
      assert.equal(answerTo(`${without}\r\nHost: ${host}`, ANY).refusal, null)
    }
  })

  test('a request with a body is refused: what follows the request is MQTT', () => {
    for (const line of [
      'Content-Length: 5',
      'Content-Length: 0, 5',
      'content-length: x',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: identity',
    ]) {
      assert.match(answerTo(head(line), ANY).refusal ?? '', /has a body \(400\)/, line)
    }
    assert.match(answerTo(head('Content-Length: 0', 'Content-Length: 5'), ANY).refusal ?? '', /has a body/)
    assert.equal(answerTo(head('Content-Length: 0'), ANY).refusal, null)
  })
})

test("Mosquitto's answer has another spelling, and a page of another origin gets none", () => {
  const rules = { path: null, origins: ['https://a'], isMosquitto: true }
  assert.match(answerTo(head('Origin: https://a'), rules).response, /\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n/)
  const { response, refusal } = answerTo(head('Origin: https://b'), rules)
  assert.equal(response, '')
  assert.match(refusal ?? '', /is not allowed/)
  assert.match(answerTo('nonsense', rules).response, /^HTTP\/1\.1 400 /)
})
